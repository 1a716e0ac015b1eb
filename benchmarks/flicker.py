"""How much a painted film flickers, compared with a film whose frames are painted one by one.

    python benchmarks/flicker.py --output_dir=flicker

It makes a film of its own: a slow pan and zoom over a sample picture, with a disc that moves
across, so that parts are hidden and come into view. Both ways paint it with the same seed and
options; painted one by one, all frames take as many steps as the first.
Flicker is the mean absolute difference between a painted frame and its predecessor, warped by the
flow of the original film, where that flow can be trusted (`bnnjax.film.flicker`).
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from absl import flags

import bnnjax
from bnnjax import assets, cli, images
from bnnjax.film import flicker, stylize_film
from bnnjax.film.frames import Film

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", "flicker", "folder for the films and the contact sheet")
flags.DEFINE_string("model", None, "the network; default: inknet")
flags.DEFINE_integer("frames", 16, "number of frames")
flags.DEFINE_integer("size", 96, "shorter side, in pixels; even")
flags.DEFINE_integer("steps", 40, "steps of a frame without a predecessor")
flags.DEFINE_integer("frame_steps", None, "steps of the others; default: a quarter")
flags.DEFINE_float("temporal_weight", None, "weight of the temporal term; default: the film's own")
flags.DEFINE_integer("shown", 6, "frames on the contact sheet")
cli.define_json()
RATE = Fraction(12)  # frames per second
ZOOM, PAN = 0.15, 0.4  # over the whole film, as shares of the picture and of what is not shown
RADIUS = 0.13  # of the disc, as a share of the height


def scenes(count: int, size: int) -> Iterator[np.ndarray]:
    """The frames of the film, float32 [size, W, 3]."""
    picture = images.load(assets.samples()[0][0])
    height, width = picture.shape[:2]
    wide = 2 * round(size * width / height / 2)
    for number in range(count):
        time = number / max(count - 1, 1)
        share = 0.85 - ZOOM * time
        top, left = (1 - share) * height * 0.5, (1 - share) * width * (0.4 + PAN * time)
        rows, columns = (
            first + share * np.arange(side) * (whole / side)
            for first, side, whole in ((top, size, height), (left, wide, width))
        )
        yield _with_disc(_sampled(picture, rows, columns), time)


def _sampled(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The picture at fractional rows and columns, interpolated linearly."""
    for axis, place in enumerate((rows, columns)):
        low = np.clip(np.floor(place).astype(int), 0, picture.shape[axis] - 2)
        part = np.expand_dims(place - low, (1 - axis, 2)).astype(np.float32)
        picture = (1 - part) * picture.take(low, axis) + part * picture.take(low + 1, axis)
    return picture


def _with_disc(frame: np.ndarray, time: float) -> np.ndarray:
    """The frame behind a striped disc that moves from the left to the right."""
    height, width = frame.shape[:2]
    rows, columns = np.mgrid[:height, :width] + 0.5
    down, across = rows - 0.6 * height, columns - (0.15 + 0.7 * time) * width
    inside = np.clip(RADIUS * height - np.hypot(down, across) + 0.5, 0, 1)[..., None]
    stripes = 0.5 + 0.5 * np.sin(across * 40 / height)[..., None]
    color = stripes * [0.9, 0.3, 0.2] + (1 - stripes) * [0.95, 0.85, 0.5]
    return (frame + inside * (color - frame)).astype(np.float32)


def main() -> int:
    folder = Path(FLAGS.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    film = _write_film(folder / "film.mkv")
    frames = [frame.pixels for frame in film.frames()]
    painting = assets.samples()[1][0]
    same = {"size": FLAGS.size, "steps": FLAGS.steps, "model": FLAGS.model}
    own = cli.given(["frame_steps", "temporal_weight"])
    result = stylize_film(
        film.path, painting, folder / "painted.mp4", overwrite=True, keep_frames=True, **own, **same
    )
    ways = {
        "a film": [images.load(path) for path in sorted(result.folder.glob("*.png"))],
        "one by one": bnnjax.stylize_batch(frames, painting, **same).images,
    }
    found = {way: float(np.mean(flicker(frames, painted))) for way, painted in ways.items()}
    found["the original"] = float(np.mean(flicker(frames, frames)))
    ratio = found["a film"] / found["one by one"]
    cli.print_table([["painted as", "flicker"], *([w, f"{v:.4f}"] for w, v in found.items())])
    print(f"the film flickers {ratio:.2f} times as much as frames painted one by one")
    chosen = np.linspace(0, len(frames) - 1, min(FLAGS.shown, len(frames))).round().astype(int)
    rows = [[pictures[n] for n in chosen] for pictures in (frames, *ways.values())]
    images.save_png(folder / "sheet.png", images.contact_sheet(rows), overwrite=True)
    cli.print_json({"flicker": found, "ratio": ratio, **cli.costs()})
    return 0


def _write_film(path: Path) -> Film:
    frames = [*scenes(FLAGS.frames, FLAGS.size)]
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv444p"
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.rint(255 * pixels).astype(np.uint8))
            container.mux(stream.encode(frame.reformat(format="yuv444p")))
        container.mux(stream.encode(None))
    return Film.open(path, size=FLAGS.size)


if __name__ == "__main__":
    cli.run(main)
