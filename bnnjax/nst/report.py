"""What the command line says of a stylization."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bnnjax.nst.result import StylizeResult


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
