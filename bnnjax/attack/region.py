"""The ball around a picture: where a search starts in it, and how an optimiser sees it."""

from functools import cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from bnnjax.attack.config import Norm
from bnnjax.optimize import Parametrization, ball

Start = Literal["uniform", "stripes"]
Region = dict[str, Array]  # "picture" and "center" [H, W, 3], "radius" a scalar


@cache
def around(norm: Norm, start: Start = "uniform") -> Parametrization:
    """`bnnjax.optimize.ball` with a random start.

    Besides ``center`` and ``radius``, the data holds the ``seed`` of the start, an integer:

    - "uniform": uniform in the cube for "linf"; for "l2", a uniform direction and length;
    - "stripes": vertical stripes of ± the radius, from which the Square attack starts.
    """
    inside = ball(norm)

    def encode(picture: Array, data: Any) -> Array:
        change = _START[start](jax.random.key(data["seed"]), picture.shape, norm)
        return inside.project(picture + data["radius"] * change, data)

    return inside._replace(encode=encode)


@cache
def carrying(norm: Norm) -> Parametrization:
    """`around`, whose parameters are a `Region`, for an optimiser that projects by itself."""
    plain = around(norm)

    def encode(picture: Array, data: Any) -> Region:
        ends = {name: jnp.asarray(data[name], jnp.float32) for name in ("center", "radius")}
        return {"picture": plain.encode(picture, data), **ends}

    def decode(region: Region, data: Any) -> Array:
        del data
        return region["picture"]

    def project(region: Region, data: Any) -> Region:
        return {**region, "picture": plain.project(region["picture"], data)}

    return Parametrization(encode, decode, project)


def into(norm: Norm, region: Any) -> Any:
    """The region with its picture projected into its ball.

    Anything else is returned as it is: the engine tries every optimiser on a bare picture.
    """
    if not isinstance(region, dict):
        return region
    return {**region, "picture": ball(norm).project(region["picture"], region)}


def steepest(norm: Norm, gradient: Any) -> Any:
    """The direction of steepest descent, of unit length in this norm; a tree like the gradient.

    The loss does not depend on a region's ball, whose part of the direction is therefore 0.
    """
    if norm == "linf":
        return jax.tree.map(lambda g: -jnp.sign(g), gradient)
    squares = sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient))
    length = jnp.maximum(jnp.sqrt(squares), 1e-12)
    return jax.tree.map(lambda g: -g / length, gradient)


def _uniform(key: Array, shape: tuple[int, ...], norm: Norm) -> Array:
    if norm == "linf":
        return jax.random.uniform(key, shape, jnp.float32, -1, 1)
    angle, length = jax.random.split(key)
    noise = jax.random.normal(angle, shape, jnp.float32)
    return jax.random.uniform(length, (), jnp.float32) * noise / jnp.linalg.norm(noise)


def _stripes(key: Array, shape: tuple[int, ...], norm: Norm) -> Array:
    del norm
    return jax.random.rademacher(key, (1, *shape[1:]), jnp.float32)


_START = {"uniform": _uniform, "stripes": _stripes}
