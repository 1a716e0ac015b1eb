"""Where the pixels of a frame come from: optical flow, and where it can be trusted."""

from types import ModuleType
from typing import NamedTuple

import numpy as np

from bnnjax.nst.color import LUMA

ALIKE = 0.1  # of the range of values: the mean difference of the colours of one thing, at most


class Motion(NamedTuple):
    """What moves from one frame to the next.

    Attributes:
      backward: the flow from the frame to its predecessor, float32 [H, W, 2].
      trusted: where the frame shows what its predecessor shows, float32 [H, W]: see `trusted`;
        what was there must also look alike. The flow may be consistent and wrong, above all where
        something small moves far.
    """

    backward: np.ndarray
    trusted: np.ndarray

    @classmethod
    def between(cls, before: np.ndarray, frame: np.ndarray) -> "Motion":
        """The motion between two frames, float32 [H, W, 3], sRGB in [0, 1]."""
        backward = flow(frame, before)
        alike = np.abs(frame - warped(before, backward)).mean(-1) < ALIKE
        return cls(backward, alike * trusted(flow(before, frame), backward))


def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The optical flow from one frame to another, in pixels, float32 [H, W, 2].

    With (u, v) = flow[y, x], ``second[y + v, x + u]`` shows what ``first[y, x]`` shows. It is found
    by OpenCV's DIS (Kroeger et al., *Fast Optical Flow using Dense Inverse Search*, ECCV 2016), at
    full resolution.

    Args:
      first, second: the frames, float32 [H, W, 3], sRGB in [0, 1].

    Raises:
      ValueError: OpenCV is not installed.
    """
    cv2 = opencv()
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)  # the preset stops at half the resolution
    return np.asarray(search.calc(_grey(first), _grey(second), None), np.float32)


def warped(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The picture [H, W, …] at (y + v, x + u) for every (y, x), with (u, v) = flow[y, x].

    Between pixels, it is interpolated by cubics, because lines would blur a film more and more.
    Values may overshoot. Outside, the picture continues as its mirror image.
    """
    cv2 = opencv()
    rows, columns = _positions(flow)
    return np.asarray(
        cv2.remap(picture, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    )


def trusted(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Where a frame shows what its predecessor shows, too: 1, and 0 elsewhere, float32 [H, W].

    A pixel is not trusted if it was hidden or outside before, which the flow forward and back again
    shows, |w̃ + ŵ|² > 0.01 (|w̃|² + |ŵ|²) + 0.5, or if it lies at an edge between motions,
    |∇û|² + |∇v̂|² > 0.01 |ŵ|² + 0.002 (Ruder et al., *Artistic Style Transfer for Videos*, GCPR
    2016, equations 5 and 6, after Sundaram et al., ECCV 2010).

    Args:
      forward: the flow from the predecessor to the frame, w, float32 [H, W, 2].
      backward: the flow from the frame to the predecessor, ŵ.
    """
    there = warped(forward, backward)  # w̃
    apart = _squares(there + backward)
    hidden = apart > 0.01 * (_squares(there) + _squares(backward)) + 0.5
    steep = sum(_squares(np.gradient(backward, axis=axis)) for axis in (0, 1))
    edge = steep > 0.01 * _squares(backward) + 0.002
    inside = np.ones(backward.shape[:2], bool)
    for position, side in zip(_positions(backward), backward.shape[:2], strict=True):
        inside &= (position >= 0) & (position <= side - 1)
    return (inside & ~hidden & ~edge).astype(np.float32)


def opencv() -> ModuleType:
    """The module ``cv2``, an extra.

    Raises:
      ValueError: it is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise ValueError(
            "films need the extra 'video' (OpenCV): pip install 'bnnjax[video]'"
        ) from None
    return cv2


def _positions(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns that a flow points at, float32 [H, W] each."""
    rows, columns = np.indices(flow.shape[:2], np.float32)
    return rows + flow[..., 1], columns + flow[..., 0]


def _squares(vectors: np.ndarray) -> np.ndarray:
    return np.sum(vectors**2, axis=-1)


def _grey(frame: np.ndarray) -> np.ndarray:
    return np.rint(255 * (frame @ np.asarray(LUMA, np.float32))).astype(np.uint8)
