"""A picture too large to be seen at once is seen through windows, and what they show is added up.

Style and content depend on a network's maps only through sums over positions. Each window shows a
part of the picture together with a margin as wide as the network sees, or up to the picture's edge.
Its own positions are therefore computed exactly as in the whole picture, and there are no seams.
The maps of one window at a time are in memory; the backward pass computes them once more.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

MOST = 2**22  # px; larger pictures are divided
LONGEST = 1280  # px, the sides of windows


class Window(NamedTuple):
    """What a network sees through one window.

    Attributes:
      taps: name → its map [h, w, C] of the window.
      place: int32 [2, 3], for rows and columns: where the window begins, and where the part that
        is its own begins and ends, in pixels of the picture.
      size: the window's height and width in pixels.
      jitter: the index of the step's jitter, see `Seen`.
    """

    taps: Mapping[str, Array]
    place: Array
    size: tuple[int, int]
    jitter: Array

    def own(self, tap: str) -> Array:
        """1 where a position of the map belongs to this window and 0 elsewhere, float32 [h, w]."""
        rows, columns = (self._own(axis, scale) for axis, scale in enumerate(self._scales(tap)))
        return (rows[:, None] & columns[None]).astype(jnp.float32)

    def cut(self, tap: str, stored: Array) -> Array:
        """This window's part of what is stored for every jitter and position, [J, H, W, …]."""
        others = stored.shape[3:]
        start: list[Any] = [self.jitter, *(self.place[:, 0] // np.asarray(self._scales(tap)))]
        start += [np.int32(0)] * len(others)
        return lax.dynamic_slice(stored, start, (1, *self.taps[tap].shape[:2], *others))[0]

    def _scales(self, tap: str) -> tuple[int, int]:
        """The pixels per position."""
        height, width = self.taps[tap].shape[:2]
        return self.size[0] // height, self.size[1] // width

    def _own(self, axis: int, scale: int) -> Array:
        start, first, stop = self.place[axis] // scale
        line = start + jnp.arange(self.size[axis] // scale, dtype=jnp.int32)
        return (line >= first) & (line < stop)


class Windows(NamedTuple):
    """How large pictures are divided.

    Attributes:
      margin: how far a window extends beyond its own part, at least, in pixels.
      stride: all windows begin at multiples of it.
      most: pictures of more pixels are divided.
      longest: the sides of windows, at most; but they are at least four times as long as margins,
        because most of what they show would be margins otherwise.
    """

    margin: int
    stride: int
    most: int
    longest: int

    def divide(self, shape: Sequence[int]) -> bool:
        """Whether pictures of this shape, [H, W, 3], are divided."""
        height, width = shape[:2]
        return height * width > self.most and not (height % self.stride or width % self.stride)

    def places(self, shape: Sequence[int]) -> tuple[tuple[int, int], Array]:
        """The size of all windows of a picture, and the place of each, int32 [n, 2, 3].

        There is one window for a picture that is not divided.
        """
        divided = self.divide(shape)
        (height, rows), (width, columns) = (
            self._spans(side) if divided else (side, [(0, 0, side)]) for side in shape[:2]
        )
        places = [(row, column) for row in rows for column in columns]
        return (height, width), jnp.asarray(places, jnp.int32)

    def _spans(self, side: int) -> tuple[int, list[tuple[int, int, int]]]:
        """The length of windows along one side of a picture, and the place of each.

        All windows have one length. Those at the edges lie within the picture, so that the network
        pads the picture where it would pad it as a whole, and nowhere else that matters.
        """
        margin = _up(self.margin, self.stride)
        longest = max(self.longest, 4 * margin)
        count = 1 if side <= longest else math.ceil(side / (longest - 2 * margin))
        part = _up(math.ceil(side / count), self.stride)
        length = min(part + 2 * margin, side)
        firsts = range(0, side, part)
        starts = (min(max(first - margin, 0), side - length) for first in firsts)
        stops = (min(first + part, side) for first in firsts)
        return length, list(zip(starts, firsts, stops, strict=True))


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def total(
    sums: Callable[[Any, Array, Array], Any], windows: Windows, picture: Array, operands: Any
) -> Any:
    """The sum, over all windows of a picture [H, W, 3], of what ``sums`` returns for each.

    Only the picture has a gradient.

    Args:
      sums: (operands, the pixels of a window [h, w, 3], its place) → a pytree of arrays.
      windows: how the picture is divided.
      picture: float32 [H, W, 3].
      operands: what else ``sums`` needs.
    """
    size, places = windows.places(picture.shape)

    def add(total: Any, place: Array) -> tuple[Any, None]:
        found = sums(operands, _pixels(picture, place, size), place)
        return jax.tree.map(jnp.add, total, found), None

    shapes = jax.eval_shape(sums, operands, _pixels(picture, places[0], size), places[0])
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return lax.scan(add, nothing, places)[0]


def _backward(
    sums: Callable[[Any, Array, Array], Any],
    windows: Windows,
    given: tuple[Array, Any],
    cotangent: Any,
) -> tuple[Array, None]:
    picture, operands = given
    size, places = windows.places(picture.shape)

    def add(gradient: Array, place: Array) -> tuple[Array, None]:
        pixels = _pixels(picture, place, size)
        _, pull = jax.vjp(lambda pixels: sums(operands, pixels, place), pixels)
        # JAX would add a whole picture of zeros for every window.
        more = _pixels(gradient, place, size) + pull(cotangent)[0]
        return lax.dynamic_update_slice(gradient, more, _corner(place)), None

    return lax.scan(add, jnp.zeros_like(picture), places)[0], None


total.defvjp(
    lambda sums, windows, *given: (total(sums, windows, *given), given),
    _backward,
)


def _pixels(picture: Array, place: Array, size: tuple[int, int]) -> Array:
    return lax.dynamic_slice(picture, _corner(place), (*size, picture.shape[2]))


def _corner(place: Array) -> tuple[Array, Array, np.int32]:
    return place[0, 0], place[1, 0], np.int32(0)


@jax.custom_vjp
def roll(picture: Array, jitter: Array) -> Array:
    """`jnp.roll` of rows and columns. Its gradient is rolled back, which takes less memory than
    what JAX makes of it."""
    return jnp.roll(picture, jitter, (0, 1))


roll.defvjp(
    lambda picture, jitter: (roll(picture, jitter), jitter),
    lambda jitter, cotangent: (roll(cotangent, -jitter), None),
)


def _up(pixels: int, stride: int) -> int:
    return -(-pixels // stride) * stride
