"""Merges operators as LCE's converter does: affine maps into weights, activations into what they
follow, and signs into packed results.

A rule takes the draft and an operator, and returns whether it changed something.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bnnjax.port.tflite.lowering import choices, packed
from bnnjax.port.tflite.lowering.draft import Draft, Node

Rule = Callable[[Draft, Node], bool]
_ACTIVATIONS = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
_OUTPUT_AXIS = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3}  # of the weights
_ACTIVATED = (*_OUTPUT_AXIS, "ADD", "SUB", "MUL", "DIV", "MAX_POOL_2D", "AVERAGE_POOL_2D")
ACTIVATION = "FusedActivationFunction"


def fuse(draft: Draft) -> None:
    """Applies the rules until none changes anything."""
    while _changed(draft, RULES):
        pass
    while _changed(draft, LAST):
        pass


def _changed(draft: Draft, rules: Mapping[str, Sequence[Rule]]) -> bool:
    draft.prune()
    found = False
    for node in tuple(draft.nodes):
        if draft.maker(node.output) is node:
            found |= any(rule(draft, node) for rule in rules.get(node.kind, ()))
    draft.prune()
    return found


# --- affine maps ---------------------------------------------------------------------------


def _per_channel(draft: Draft, node: Node) -> np.ndarray | None:
    """The constant of a map of channels; None if the operator is no such map."""
    found = draft.constants.get(node.inputs[1])
    if found is None or node.options.get(ACTIVATION):
        return None
    fits = found.ndim == 0 or (found.ndim == 1 and found.size == draft.shapes[node.output][-1])
    return found if fits else None


def _into_weights(draft: Draft, node: Node) -> bool:
    """A map of the channels of a convolution's or dense layer's result."""
    found, before = _per_channel(draft, node), draft.only_for(node)
    if found is None or before is None or before.options.get(ACTIVATION):
        return False
    if before.kind not in _OUTPUT_AXIS:
        return False
    if node.kind in ("MUL", "DIV"):
        factor = found if node.kind == "MUL" else 1 / found
        kernel = np.moveaxis(draft.constants[before.inputs[1]], _OUTPUT_AXIS[before.kind], -1)
        scaled = np.moveaxis(kernel * factor, -1, _OUTPUT_AXIS[before.kind])
        before.inputs[1] = draft.constant(np.ascontiguousarray(scaled))
        before.inputs[2] = draft.constant(draft.constants[before.inputs[2]] * factor)
    else:
        shift = found if node.kind == "ADD" else -found
        before.inputs[2] = draft.constant(draft.constants[before.inputs[2]] + shift)
    draft.absorb(node, before)
    return True


def _into_binary_conv(draft: Draft, node: Node) -> bool:
    """A map of the sums of signs, before or after their activation."""
    found, before = _per_channel(draft, node), draft.only_for(node)
    if found is None or before is None or before.kind != "LceBconv2d" or before.packed:
        return False
    multiplier, bias = (draft.constants[value] for value in before.inputs[2:4])
    if node.kind in ("MUL", "DIV"):
        factor = found if node.kind == "MUL" else 1 / found
        multiplier, bias = multiplier * factor, bias * factor
    else:
        bias = bias + (found if node.kind == "ADD" else -found)
    before.inputs[2:4] = draft.constant(multiplier), draft.constant(bias)
    draft.absorb(node, before)
    return True


def _into_factor(draft: Draft, node: Node) -> bool:
    """A second factor per channel."""
    found, before = _per_channel(draft, node), draft.only_for(node)
    if found is None or before is None or before.kind != "MUL":
        return False
    other = _per_channel(draft, before)
    if other is None:
        return False
    before.inputs[1] = draft.constant(other * found)
    draft.absorb(node, before)
    return True


def _mean(draft: Draft, node: Node) -> bool:
    """A sum that is divided by the number of its terms."""
    found, before = _per_channel(draft, node), draft.only_for(node)
    if found is None or found.ndim or before is None or before.kind != "SUM":
        return False
    axes = draft.constants[before.inputs[1]]
    terms = np.prod([draft.shapes[before.inputs[0]][axis] for axis in axes])
    if (found if node.kind == "DIV" else 1 / found) != np.float32(terms):
        return False
    before.kind = "MEAN"
    draft.absorb(node, before)
    return True


# --- activations ---------------------------------------------------------------------------


def _into_activated(draft: Draft, node: Node) -> bool:
    """A ReLU after an operator that has an activation."""
    before = draft.only_for(node)
    if before is None or before.kind not in _ACTIVATED or before.options.get(ACTIVATION):
        return False
    before.options[ACTIVATION] = _ACTIVATIONS[node.kind]
    draft.absorb(node, before)
    return True


def _into_activated_sums(draft: Draft, node: Node) -> bool:
    """A ReLU of the sums of signs, which LCE applies before multiplier and bias."""
    before = draft.only_for(node)
    if before is None or before.kind != "LceBconv2d" or before.packed or _pads_zeros(before):
        return False
    multiplier, bias = (draft.constants[value] for value in before.inputs[2:4])
    commutes = (multiplier > 0).all() if node.kind == "RELU" else (multiplier == 1).all()
    if before.options["fused_activation_function"] or bias.any() or not commutes:
        return False
    before.options["fused_activation_function"] = _ACTIVATIONS[node.kind]
    draft.absorb(node, before)
    return True


# --- signs ---------------------------------------------------------------------------------


def _to_signs(draft: Draft, node: Node) -> bool:
    """sign(sign(x) + c) with 0 < c < 1 is the sign that is +1 at 0."""
    added = draft.maker(node.inputs[0])
    if added is None or added.kind != "ADD":
        return False
    inner, shift = draft.maker(added.inputs[0]), draft.constants.get(added.inputs[1])
    if inner is None or inner.kind != "SIGN" or shift is None:
        return False
    if not ((shift > 0) & (shift < 1)).all():
        return False
    x = inner.inputs[0]
    node.kind, node.inputs = "LceDequantize", [draft.add("LceQuantize", [x], draft.shapes[x])]
    return True


def _same_signs(draft: Draft, node: Node) -> bool:
    """Signs that exist already."""
    before = draft.maker(node.inputs[0])
    if before is not None and before.kind == "LceDequantize":
        draft.replace(node.output, before.inputs[0])
        draft.remove(node)
        return True
    for other in draft.nodes:
        if other is not node and (other.kind, other.inputs) == (node.kind, node.inputs):
            draft.replace(node.output, other.output)
            draft.remove(node)
            return True
    return False


def _packed_result(draft: Draft, node: Node) -> bool:
    """Signs of the result of a binary convolution."""
    before = draft.only_for(node)
    if before is None or before.kind != "LceBconv2d" or before.packed or _pads_zeros(before):
        return False
    packed.pack_result(draft, before)
    draft.absorb(node, before)
    return True


def _packed_pool(draft: Draft, node: Node) -> bool:
    """Signs of a maximum are maxima of signs."""
    before = draft.only_for(node)
    if before is None or before.kind != "MAX_POOL_2D" or before.options.get(ACTIVATION):
        return False
    draft.remove(before)
    draft.remove(node)
    signs = draft.add("LceQuantize", before.inputs, draft.shapes[before.inputs[0]])
    names = {
        "padding": "Padding",
        "stride_width": "StrideW",
        "stride_height": "StrideH",
        "filter_width": "FilterWidth",
        "filter_height": "FilterHeight",
    }
    options = {name: before.options[old] for name, old in names.items()}
    draft.keep(Node("LceBMaxPool2d", [signs], node.output, options))
    return True


def _moved_signs(draft: Draft, node: Node) -> bool:
    """Signs of signs that are padded, or have another shape, are those of the values themselves."""
    before = draft.only_for(node)
    if before is None or before.kind not in ("PAD", "PADV2", "RESHAPE"):
        return False
    floats = draft.maker(before.inputs[0])
    signs = None if floats is None else draft.maker(floats.inputs[0])
    if floats is None or signs is None:
        return False
    if (floats.kind, signs.kind) != ("LceDequantize", "LceQuantize"):
        return False
    before.inputs[0] = signs.inputs[0]
    return True


def _pads_zeros(conv: Node) -> bool:
    return conv.options["padding"] == 0 and conv.options["pad_values"] == 0


# --- shapes --------------------------------------------------------------------------------


def _before_reshape(draft: Draft, node: Node) -> bool:
    """What treats all values of a channel alike may as well come before a change of shape."""
    before = draft.only_for(node)
    if before is None or before.kind != "RESHAPE":
        return False
    x = before.inputs[0]
    if len(node.inputs) > 1:
        found = _per_channel(draft, node)
        if found is None or (found.ndim and found.size != draft.shapes[x][-1]):
            return False
    draft.remove(before)
    draft.remove(node)
    first = draft.add(node.kind, [x, *node.inputs[1:]], draft.shapes[x], **node.options)
    draft.keep(Node("RESHAPE", [first, before.inputs[1]], node.output, {}))
    return True


def _one_reshape(draft: Draft, node: Node) -> bool:
    before = draft.maker(node.inputs[0])
    if draft.shapes[node.inputs[0]] == draft.shapes[node.output]:
        draft.replace(node.output, node.inputs[0])
        draft.remove(node)
    elif before is not None and before.kind == "RESHAPE":
        node.inputs[0] = before.inputs[0]
    else:
        return False
    return True


_AFFINE: tuple[Rule, ...] = (_into_weights, _into_binary_conv, _before_reshape)
_RELU: tuple[Rule, ...] = (_into_activated, _into_activated_sums, _before_reshape)
RULES: dict[str, tuple[Rule, ...]] = {
    "ADD": _AFFINE,
    "SUB": _AFFINE,
    "MUL": (*_AFFINE, _mean, _into_factor),
    "DIV": (*_AFFINE, _mean),
    "RELU": _RELU,
    "RELU6": _RELU,
    "RELU_N1_TO_1": _RELU,
    "SELECT_V2": (choices.to_limit, choices.to_larger),
    "MAXIMUM": (choices.to_symmetric_clamp,),
    "MINIMUM": (choices.to_relu6, choices.to_symmetric_clamp),
    "SIGN": (_to_signs,),
    "LceQuantize": (_same_signs, _packed_result, _packed_pool, _moved_signs),
    "RESHAPE": (_one_reshape,),
}
LAST: dict[str, tuple[Rule, ...]] = {"SIGN": (choices.to_choice,)}  # what no other rule has changed
