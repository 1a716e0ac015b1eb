"""Stores results of Larq's 1-D, 3-D and transposed layers for tests/layers/test_spatial.py.

Run it like layers.py, whose conventions these cases follow. ``dilation`` and ``stride`` are the
same along every axis, ``more`` is ``output_padding``, and -1 is none.
"""

from importlib.metadata import version
from pathlib import Path

import larq as lq
import numpy as np
from layers import Settings, normal, with_random_weights

CASES = """
conv1d k=3 stride=1 dilation=1 padding=same pad_value=0 input=none kernel=none bias=0
conv1d k=3 stride=1 dilation=1 padding=same pad_value=0 input=sign kernel=sign bias=0
conv1d k=4 stride=2 dilation=1 padding=same pad_value=1 input=sign kernel=wide_sign bias=1
conv1d k=3 stride=1 dilation=2 padding=same pad_value=-1 input=sign kernel=sign bias=0
conv1d k=3 stride=1 dilation=2 padding=causal pad_value=0 input=sign kernel=sign bias=0
conv1d k=2 stride=2 dilation=1 padding=causal pad_value=0 input=none kernel=magnitude bias=1
conv1d k=3 stride=1 dilation=2 padding=valid pad_value=0 input=sign kernel=magnitude bias=0
conv1d k=3 stride=3 dilation=1 padding=same pad_value=0 input=dorefa kernel=tern bias=0
conv3d k=2 stride=1 dilation=1 padding=same pad_value=0 input=none kernel=none bias=1
conv3d k=2 stride=1 dilation=1 padding=same pad_value=0 input=sign kernel=sign bias=0
conv3d k=3 stride=2 dilation=1 padding=same pad_value=1 input=sign kernel=sign bias=1
conv3d k=2 stride=1 dilation=2 padding=same pad_value=-1 input=sign kernel=wide_sign bias=0
conv3d k=2 stride=2 dilation=1 padding=valid pad_value=0 input=sign kernel=magnitude bias=0
transpose2d k=3 stride=1 dilation=1 padding=same more=-1 input=none kernel=none bias=1
transpose2d k=3 stride=2 dilation=1 padding=same more=-1 input=sign kernel=sign bias=0
transpose2d k=2 stride=3 dilation=1 padding=same more=-1 input=sign kernel=sign bias=0
transpose2d k=2 stride=3 dilation=1 padding=valid more=-1 input=sign kernel=wide_sign bias=1
transpose2d k=4 stride=2 dilation=1 padding=valid more=-1 input=none kernel=xnor bias=0
transpose2d k=3 stride=2 dilation=1 padding=same more=1 input=sign kernel=sign bias=0
transpose2d k=3 stride=2 dilation=1 padding=same more=0 input=sign kernel=magnitude bias=0
transpose2d k=3 stride=3 dilation=1 padding=valid more=2 input=sign kernel=sign bias=0
transpose2d k=3 stride=1 dilation=2 padding=same more=-1 input=sign kernel=sign bias=0
transpose2d k=2 stride=1 dilation=2 padding=valid more=-1 input=none kernel=tern bias=0
transpose3d k=2 stride=1 dilation=1 padding=same more=-1 input=none kernel=none bias=0
transpose3d k=3 stride=2 dilation=1 padding=same more=-1 input=sign kernel=sign bias=1
transpose3d k=2 stride=2 dilation=1 padding=valid more=-1 input=sign kernel=magnitude bias=0
transpose3d k=2 stride=3 dilation=1 padding=valid more=1 input=sign kernel=sign bias=0
separable1d k=3 stride=1 padding=same pad_value=0 multiplier=1 input=sign depthwise=sign pointwise=sign bias=0
separable1d k=4 stride=2 padding=same pad_value=1 multiplier=2 input=sign depthwise=sign pointwise=magnitude bias=1
separable1d k=3 stride=1 padding=valid pad_value=0 multiplier=3 input=none depthwise=magnitude pointwise=sign bias=1
""".strip().splitlines()  # noqa: E501


def common(settings: Settings, layer: str) -> dict:
    options = {
        "kernel_size": settings.number("k"),
        "strides": settings.number("stride"),
        "padding": settings["padding"],
        "use_bias": bool(settings.number("bias")),
        "input_quantizer": settings.quantizer("input"),
    }
    if not layer.startswith("transpose"):
        options["pad_values"] = settings.number("pad_value") * 1.0
    elif settings.number("more") >= 0:
        options["output_padding"] = settings.number("more")
    return options


def convolution(layer: str, settings: Settings) -> dict:
    kind, shape = {
        "conv1d": (lq.layers.QuantConv1D, (2, 9, 5)),
        "conv3d": (lq.layers.QuantConv3D, (2, 4, 5, 3, 4)),
        "transpose2d": (lq.layers.QuantConv2DTranspose, (2, 4, 3, 5)),
        "transpose3d": (lq.layers.QuantConv3DTranspose, (2, 2, 3, 2, 4)),
    }[layer]
    made = kind(
        3,
        dilation_rate=settings.number("dilation"),
        kernel_quantizer=settings.quantizer("kernel"),
        **common(settings, layer),
    )
    return with_random_weights(made, normal(*shape))


def separable(settings: Settings) -> dict:
    made = lq.layers.QuantSeparableConv1D(
        4,
        depth_multiplier=settings.number("multiplier"),
        depthwise_quantizer=settings.quantizer("depthwise"),
        pointwise_quantizer=settings.quantizer("pointwise"),
        **common(settings, "separable1d"),
    )
    return with_random_weights(made, normal(2, 7, 3))


def flips() -> dict[str, np.ndarray]:
    """A kernel's signs over some steps, and Larq's mean ratio of flips after each."""
    metric, random = lq.metrics.FlipRatio(), np.random.default_rng(1)
    kernels = [random.choice([-1, 1], (3, 3, 4, 5), p=[0.3, 0.7]) for _ in range(5)]
    ratios = []
    for kernel in kernels:
        metric.update_state(kernel)
        ratios.append(metric.result().numpy())
    return {"flips kernels": np.array(kernels, np.int8), "flips ratios": np.array(ratios)}


def main() -> None:
    arrays = flips()
    for case in CASES:
        layer, *parts = case.split()
        settings = Settings(part.split("=") for part in parts)
        made = separable(settings) if layer == "separable1d" else convolution(layer, settings)
        arrays |= {f"{case} {tensor}": array for tensor, array in made.items()}
    versions = ", ".join(f"{name} {version(name)}" for name in ("larq", "tensorflow-cpu", "numpy"))
    target = Path(__file__).with_suffix(".npz")
    np.savez_compressed(target, cases=CASES, versions=versions, **arrays)
    print(f"{target}: {target.stat().st_size} bytes, {versions}")


if __name__ == "__main__":
    main()
