"""Larq's quantizers and constraints, in the notations of all its versions."""

import pytest

from bnnjax import quant
from bnnjax.port.keras.handlers import quantizers


def stated(name, **config):
    return {"class_name": name, "config": {"name": "quantizer", "dtype": "float32", **config}}


@pytest.mark.parametrize(
    ("value", "function", "options"),
    [
        ("ste_sign", quant.ste_sign, {}),
        ("SteSign", quant.ste_sign, {}),
        ("Larq>SteSign", quant.ste_sign, {}),
        (stated("SteSign", clip_value=1.25), quant.ste_sign, {"clip": 1.25}),
        (stated("SteSign", clip_value=None), quant.ste_sign, {"clip": None}),
        (stated("Larq>ApproxSign"), quant.approx_sign, {}),
        (stated("SwishSign", beta=3.0), quant.swish_sign, {"beta": 3.0}),
        (stated("SteHeaviside", clip_value=2.0), quant.ste_heaviside, {"clip": 2.0}),
        (stated("MagnitudeAwareSign", clip_value=1.0), quant.magnitude_aware_sign, {"clip": 1.0}),
        (
            stated("SteTern", threshold_value=0.1, ternary_weight_networks=True, clip_value=1.0),
            quant.ste_tern,
            {"threshold": 0.1, "ternary_weight_networks": True, "clip": 1.0},
        ),
        (stated("DoReFa", k_bit=3, mode="weights"), quant.dorefa, {"k_bit": 3, "mode": "weights"}),
        (stated("DoReFaQuantizer", k_bit=2), quant.dorefa, {"k_bit": 2}),  # before 0.10
        ("dorefa_quantizer", quant.dorefa, {}),
        (stated("NoOp", precision=1), quant.no_op, {}),
        # A function of larq_zoo, as Keras 2.15 states functions.
        (
            {"class_name": "function", "config": "xnor_weight_scale"},
            quant.xnor_weight_scale,
            {},
        ),
    ],
)
def test_quantizers_are_found(value, function, options):
    found = quantizers.read({"kernel_quantizer": value}, "kernel_quantizer")
    assert getattr(found, "func", found) is function
    assert getattr(found, "keywords", {}) == options


def test_equal_quantizers_are_the_same_object():
    """Else, a file that is read again would be compiled again."""
    first, second = (
        quantizers.read({"q": stated("SteSign", clip_value=1.5)}, "q") for _ in range(2)
    )
    assert first is second


def test_no_quantizer_is_none():
    assert quantizers.read({"input_quantizer": None}, "input_quantizer") is None
    assert quantizers.read({}, "input_quantizer") is None


def test_others_are_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"its q 'SteSing' is none of Larq's .* mean 'SteSign'"):
        quantizers.read({"q": stated("SteSing")}, "q")


@pytest.mark.parametrize(
    ("value", "clip"),
    [
        (None, None),
        ("weight_clip", 1.0),
        (stated("WeightClip", clip_value=1.25), 1.25),
        (stated("weight_clip", clip_value=2), 2.0),
        (stated("MaxNorm", max_value=2), None),  # training alone would need it
    ],
)
def test_clips_of_weights_are_read(value, clip):
    assert quantizers.clip_of({"kernel_constraint": value}, "kernel_constraint") == clip
