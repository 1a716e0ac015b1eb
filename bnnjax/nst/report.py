"""What the command line prints about a stylization."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bnnjax.nst.result import StylizeResult


def table(result: StylizeResult, paths: Mapping[int, Path]) -> list[list[str]]:
    """The outcome of each picture that was written: a heading, then one row per picture."""
    rows = [["picture", "size", "steps", "first loss", "last", "file"]]
    for number, path in paths.items():
        name, image, losses = result.names[number], result.images[number], result.losses[number]
        total = losses.get("total", np.zeros(0))
        ends = [f"{total[0]:.3f}", f"{total[-1]:.3f}"] if len(total) else ["", ""]
        height, width = image.shape[:2]
        rows.append([name, f"{width}×{height}", str(len(total)), *ends, str(path)])
    return rows


def summary(result: StylizeResult) -> str:
    """One line: the number of pictures, the network, the device and the speed."""
    run, count = result.run, len(result.names)
    steps = sum(len(losses.get("total", ())) for losses in result.losses)
    pace = 1000 * result.minimized.seconds["optimize"] / max(steps, 1)
    pictures = "picture" if count == 1 else "pictures"
    return f"{count} {pictures} by {run['network']} on {run['device']}; {pace:.1f} ms per step"
