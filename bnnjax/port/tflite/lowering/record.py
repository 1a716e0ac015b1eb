"""Records a network as a jaxpr and lowers it, equation by equation, into a draft.

Nothing here knows architectures: a network is what its module computes. Within
`bnnjax.binary.whole.recording`, convolutions and pools are single equations; the others are
arithmetic of arrays. Whatever depends on weights alone is computed when it is needed.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from bnnjax.binary.backend import Arithmetic, using
from bnnjax.binary.whole import WHOLE, recording
from bnnjax.models import trace
from bnnjax.models.network import Network
from bnnjax.models.tapped import TAPS
from bnnjax.port.tflite.lowering import arithmetic, choices, products, spatial, windows
from bnnjax.port.tflite.lowering.draft import Draft
from bnnjax.port.tflite.lowering.known import Known

HANDLERS = {
    **arithmetic.HANDLERS,
    **choices.HANDLERS,
    **products.HANDLERS,
    **windows.HANDLERS,
    **spatial.HANDLERS,
}
_COUNTS_BITS = Arithmetic(backend="packed")


def lower(network: Network, size: tuple[int, int]) -> Draft:
    """The operators of a frozen network for one normalized picture of this height and width.

    They return the logits, or the last tap of a network without a classifier.

    Raises:
      ValueError: the network computes what has no operator.
    """
    module, picture = network.architecture.module, trace.picture(size)

    def result(variables: Any, image: Any) -> Any:
        logits, state = module.apply(variables, image, mutable=[TAPS])
        return [*state[TAPS].values()][-1] if logits is None else logits

    with recording(), using(_COUNTS_BITS):
        closed = jax.make_jaxpr(result)(network.variables, picture)
    draft = Draft(tuple(picture.shape))
    weights = [Known.of(leaf) for leaf in jax.tree.leaves(network.variables)]
    consts = [Known.of(value) for value in closed.consts]
    (draft.output,) = _walk(draft, closed.jaxpr, consts, [*weights, draft.image])
    return draft


def _walk(draft: Draft, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Lowers the equations of a jaxpr; values of the draft are numbers, others are `Known`."""
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *inputs), strict=True))

    def read(variable: Any) -> Any:
        return Known.of(variable.val) if isinstance(variable, Literal) else values[variable]

    for equation in jaxpr.eqns:
        given = [read(variable) for variable in equation.invars]
        values.update(zip(equation.outvars, _results(draft, equation, given), strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _results(draft: Draft, equation: Any, given: list[Any]) -> list[Any]:
    inner = next((equation.params[name] for name in _INNER if name in equation.params), None)
    if inner is not None and equation.primitive is not WHOLE:
        jaxpr, consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
        return _walk(draft, jaxpr, [Known.of(value) for value in consts], given)
    if all(isinstance(value, Known) for value in given):
        return _evaluated(equation, given)
    shapes = [variable.aval.shape for variable in equation.outvars]
    if not any(map(math.prod, shapes)):  # borders of no width
        return [Known.of(np.zeros(shape, np.float32)) for shape in shapes]
    handler = _handler(equation)
    if equation.primitive.name not in (*arithmetic.BROADCASTING, *choices.HANDLERS):
        given = [
            arithmetic.repeated(draft, value, variable.aval.shape)
            if isinstance(value, int)
            else value
            for variable, value in zip(equation.invars, given, strict=True)
        ]
    found = handler(draft, equation, *given)
    return found if isinstance(found, list) else [found]


_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # parameters that hold the body of a called function


def _handler(equation: Any) -> Callable[..., Any]:
    name = equation.primitive.name
    name = equation.params["name"] if equation.primitive is WHOLE else name
    if name not in HANDLERS:
        shapes = [list(variable.aval.shape) for variable in equation.outvars]
        raise ValueError(f"computes {name!r}, of shapes {shapes}, which has no operator in TFLite")
    return HANDLERS[name]


def _evaluated(equation: Any, given: Sequence[Known]) -> list[Any]:
    """The results of an equation of weights alone, which are computed when they are needed."""
    if equation.primitive.name == "broadcast_in_dim":
        return [given[0].broadcast(**equation.params)]

    @functools.cache
    def results() -> list[Any]:
        found = equation.primitive.bind(*(known.value for known in given), **equation.params)
        return found if equation.primitive.multiple_results else [found]

    def nth(n: int) -> Known:
        return Known(lambda: np.asarray(results()[n]))

    return [nth(n) for n in range(len(equation.outvars))]
