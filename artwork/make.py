"""Draws the sample pictures, in about two minutes.

python -m artwork.make [--output_dir=bnnjax/assets/samples]
"""

from pathlib import Path

import numpy as np
from absl import app, flags
from PIL import Image

from artwork import lake, night, still_life, town
from artwork.fields import shrunk

SCENES = {"lake": lake.draw, "still_life": still_life.draw, "night": night.draw, "town": town.draw}
WIDTH, HEIGHT = 512, 384
QUALITY = {"lake": 86, "still_life": 88, "night": 80, "town": 80}  # JPEG files of at most 60 kB
SAMPLES = Path(__file__).parents[1] / "bnnjax" / "assets" / "samples"


def picture(name: str, *, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """The scene of that name, uint8 [height, width, 3], drawn at twice the size and reduced."""
    return np.asarray(shrunk(SCENES[name](2 * width, 2 * height)))


def main(argv: list[str]) -> None:
    for name in SCENES:
        path = Path(FLAGS.output_dir) / f"{name}.jpg"
        Image.fromarray(picture(name)).save(path, quality=QUALITY[name], optimize=True)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    FLAGS = flags.FLAGS
    flags.DEFINE_string("output_dir", str(SAMPLES), "directory for the pictures NAME.jpg")
    app.run(main)
