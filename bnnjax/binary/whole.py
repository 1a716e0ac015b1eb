"""Operations that stay whole while a network is recorded.

A binary convolution unrolls into hundreds of equations of XLA, from which nobody could tell what it
was. Whoever translates networks into another format (`bnnjax.port.tflite.export`) needs the
operation itself: within `recording`, a call of a `whole` function is one equation of the jaxpr.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, ParamSpec

import jax
from jax import Array
from jax.core import ShapedArray
from jax.extend.core import Primitive

Parameters = ParamSpec("Parameters")

WHOLE = Primitive("whole")
"""The equation of a call. Its inputs are the arrays of the call. Its parameters are the ``name`` of
the function, the names of the ``arrays``, and the ``others``, pairs of name and value."""

_recording: ContextVar[bool] = ContextVar("recording", default=False)


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """A context for `jax.make_jaxpr`, in which calls of `whole` functions are single equations.

    Pass a function made for the purpose: JAX does not trace the same function anew when only the
    context has changed.
    """
    token = _recording.set(True)
    try:
        yield
    finally:
        _recording.reset(token)


def whole(function: Callable[Parameters, Array]) -> Callable[Parameters, Array]:
    """Decorates a function of arrays and hashable values, which returns an array."""

    @functools.wraps(function)
    def call(*args: Parameters.args, **keywords: Parameters.kwargs) -> Array:
        if not _recording.get():
            return function(*args, **keywords)
        given = inspect.signature(function).bind(*args, **keywords)
        given.apply_defaults()
        arrays = {name: x for name, x in given.arguments.items() if isinstance(x, Array)}
        others = {name: x for name, x in given.arguments.items() if name not in arrays}
        by_name: Any = function
        made = jax.eval_shape(lambda arrays: by_name(**others, **arrays), arrays)
        result = ShapedArray(made.shape, made.dtype)
        return WHOLE.bind(
            *arrays.values(),
            name=function.__name__,
            arrays=tuple(arrays),
            others=tuple(others.items()),
            result=result,
        )

    return call


def _result(*values: Any, result: ShapedArray, **static: Any) -> ShapedArray:
    del values, static
    return result


WHOLE.def_abstract_eval(_result)
