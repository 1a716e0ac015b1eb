"""What the command line shows of a stylization: previews under way, a table and a line at the
end."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bnnjax.images import save_png
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.stylize import Preview


def previewer(directory: str | Path) -> Preview:
    """A ``preview`` for `stylize_batch` that keeps NAME.preview.png of every picture up to date."""

    def write(_: int, names: Sequence[str], pictures: Sequence[np.ndarray]) -> None:
        Path(directory).mkdir(parents=True, exist_ok=True)
        for name, picture in zip(names, pictures, strict=True):
            save_png(Path(directory, f"{name}.preview.png"), picture, overwrite=True)

    return write


def table(result: StylizeResult, paths: Sequence[Path]) -> list[list[str]]:
    """What became of each picture: a heading, and a row each."""
    rows = [["picture", "size", "steps", "first loss", "last", "file"]]
    pictures = zip(result.names, result.images, result.losses, paths, strict=False)
    for name, image, losses, path in pictures:
        total = losses.get("total", np.zeros(0))
        ends = [f"{total[0]:.3f}", f"{total[-1]:.3f}"] if len(total) else ["", ""]
        height, width = image.shape[:2]
        rows.append([name, f"{width}×{height}", str(len(total)), *ends, str(path)])
    return rows


def summary(result: StylizeResult) -> str:
    """One line: what was done, with what, where, and how fast."""
    run, count = result.run, len(result.names)
    steps = sum(len(losses.get("total", ())) for losses in result.losses)
    pace = 1000 * result.minimized.seconds["optimize"] / max(steps, 1)
    pictures = "picture" if count == 1 else "pictures"
    return f"{count} {pictures} by {run['network']} on {run['device']}; {pace:.1f} ms per step"
