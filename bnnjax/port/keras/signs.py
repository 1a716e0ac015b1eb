"""The signs that the layers of a Keras model take of activations, as an option."""

from collections import Counter
from collections.abc import Sequence

from bnnjax import quant
from bnnjax.layers import Options
from bnnjax.layers.options import SIGN_QUANTIZERS
from bnnjax.port.program.program import Call, Program, Step


def default_options(signs: Sequence[quant.Quantizer]) -> Options:
    """The options with the most common of these signs."""
    found: Counter[tuple[str, float | None]] = Counter()
    for quantizer in signs:
        function = getattr(quantizer, "func", quantizer)
        for name in SIGN_QUANTIZERS:
            if quant.get(name) is function:
                found[name, getattr(quantizer, "keywords", {}).get("clip", 1.0)] += 1
    (name, clip), _ = (found.most_common(1) or [(("ste_sign", 1.0), 0)])[0]
    return Options(pseudo_gradient=name, clip=clip)


def with_signs(program: Program, sign: quant.Quantizer) -> Program:
    """The program with another sign of activations."""
    steps, head = (
        tuple(_with_sign(step, sign) for step in part) for part in (program.steps, program.head)
    )
    return program._replace(steps=steps, head=head)


def _with_sign(step: Step, sign: quant.Quantizer) -> Step:
    if step.kind == "quantize" and quant.values(step.options) == "signs":
        return step._replace(options=sign)
    if step.kind == "layer":
        call: Call = step.options
        if quant.values(dict(call.keywords).get("input_quantizer")) == "signs":
            return step._replace(options=call.replaced(input_quantizer=sign))
    return step
