"""Pictures whose edges meet, so that copies of them side by side show no seam."""

import numpy as np

from bnnjax import images

_OVERLAP = 8  # an eighth of each side fades into the opposite edge


def wrapped(pixels: np.ndarray, *, size: int, stride: int) -> np.ndarray:
    """A picture [H, W, 3] with edges that meet; its sides are multiples of ``stride``.

    It is enlarged by an eighth, and what sticks out at the bottom and the right fades into the top
    and the left. The first row then continues the last.
    """
    sides = _sides(pixels, size, stride)
    overlaps = [side // _OVERLAP for side in sides]
    height, width = (side + overlap for side, overlap in zip(sides, overlaps, strict=True))
    larger = images.resize(pixels, height=height, width=width)
    faded = _faded(larger, overlaps[0])
    return _faded(faded.swapaxes(0, 1), overlaps[1]).swapaxes(0, 1)


def fill_canvas(pixels: np.ndarray, *, size: int, stride: int) -> tuple[np.ndarray, slice, slice]:
    """Resizes a picture to sides that are multiples of ``stride``, the shorter one about ``size``.

    Returns:
      What `inputs.put_on_canvas` returns; there are no margins.
    """
    height, width = _sides(pixels, size, stride)
    return images.resize(pixels, height=height, width=width), slice(0, height), slice(0, width)


def _sides(pixels: np.ndarray, size: int, stride: int) -> list[int]:
    scale = size / min(pixels.shape[:2])
    return [max(round(side * scale / stride), 1) * stride for side in pixels.shape[:2]]


def _faded(pixels: np.ndarray, overlap: int) -> np.ndarray:
    """The rows [H + overlap] as H rows that continue each other around the edge."""
    keep = ((np.arange(overlap, dtype=np.float32) + 0.5) / overlap)[:, None, None]
    head, tail = pixels[:overlap], pixels[len(pixels) - overlap :]
    return np.concatenate([tail + keep * (head - tail), pixels[overlap : len(pixels) - overlap]])
