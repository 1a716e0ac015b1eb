"""Options: their names and values, and their effects."""

from functools import partial

import numpy as np
import pytest

from bnnjax import quant
from bnnjax.layers import Options, QuantConv


@pytest.mark.parametrize(
    ("choice", "part"),
    [
        ({"pseudo_gradient": "ste_tern"}, "pseudo_gradient is 'ste_tern', needs one of"),
        ({"pooling": "mean"}, "pooling is 'mean', needs one of ('max', 'avg', 'blur')"),
        ({"residual_scale": -1.0}, "residual_scale is -1.0, needs a finite"),
        ({"residual_scale": float("inf")}, "residual_scale is inf, needs a finite"),
        ({"backend": "cuda"}, "backend is 'cuda', needs one of ('auto', 'packed', 'dense')"),
        ({"gradient_dtype": "float16"}, "gradient_dtype is 'float16', needs one of"),
        ({"clip": 0.0}, "clip is 0.0, needs a positive number or None"),
        ({"clip": -1.0}, "clip is -1.0, needs"),
        ({"clip": float("nan")}, "clip is nan, needs"),
    ],
)
def test_unknown_values_are_refused(choice, part):
    with pytest.raises(ValueError, match="needs") as caught:
        Options(**choice)
    assert str(caught.value).startswith(part)


def test_options_are_hashable_and_equal_by_value():
    assert len({Options(), Options(clip=1.0), Options(clip=None)}) == 2


@pytest.mark.slow
def test_pseudo_gradients_change_the_gradient_and_nothing_else(reals, bytes_of, with_gradient):
    x, g = reals((1, 5, 4, 3)), bytes_of((1, 5, 4, 2))
    variables = {"params": {"kernel": reals((2, 1, 3, 2))}}
    choices = {
        "ste": (Options(clip=1.0), abs(x) <= 1),
        "wider ste": (Options(clip=1.25), abs(x) <= 1.25),
        "whole ste": (Options(clip=None), np.ones_like(x)),
        "approx": (Options(pseudo_gradient="approx_sign"), 2 * np.maximum(1 - abs(x), 0)),
        "swish": (
            Options(pseudo_gradient="swish_sign"),
            5 * (2 - 5 * x * np.tanh(2.5 * x)) / (1 + np.cosh(5 * x)),
        ),
    }
    results = {}
    for name, (options, slope) in choices.items():
        layer = QuantConv(
            2,
            (2, 1),
            input_quantizer=options.input_quantizer,
            kernel_quantizer=quant.ste_sign,
        )
        results[name] = (*with_gradient(partial(layer.apply, variables), x, g), slope)
    y, through, _ = results["whole ste"]
    for forward, gradient, slope in results.values():
        np.testing.assert_array_equal(forward, y)
        np.testing.assert_allclose(gradient, through * slope, rtol=1e-4, atol=1e-3)
