"""Loads any Keras model of Larq's and Keras' layers, with taps and gradients.

The package's own layers compute those of the file, so binary kernels can be packed, and the network
has the package's speed, pseudo-gradients and options. A tap is the result of a layer that is a map,
under the layer's name.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from bnnjax.images import failure
from bnnjax.layers import Quantized
from bnnjax.models import trace
from bnnjax.models.forms import freeze_layer
from bnnjax.models.network import Architecture, Network
from bnnjax.port.keras import archive
from bnnjax.port.keras.entry import KerasBuild, translated
from bnnjax.port.keras.h5 import Source
from bnnjax.port.keras.importer import Target
from bnnjax.port.keras.weights import match, read_variables
from bnnjax.port.program.preprocessing import check
from bnnjax.port.storage.download import file_sha256

Variables = Mapping[str, Any]
Layers = Mapping[trace.Path, nn.Module]


def load_keras(
    path: str | Path, *, preprocessing: str = "imagenet", frozen: bool = True
) -> Network:
    """Loads a network from a Keras model: a whole ``.h5`` file or ``.keras`` archive, or an ``.h5``
    file of weights beside the JSON of ``model.to_json()`` (``own.h5`` and ``own.json``).

    Args:
      path: the path of the file.
      preprocessing: how the model expects its pictures: "imagenet" (zero mean and unit deviation
        over ImageNet), "unit" ([0, 1]), "symmetric" ([−1, 1]) or "bytes" (0 to 255).
      frozen: whether to return packed weights, or latent floats for further training.

    Raises:
      ValueError: a layer, quantizer or activation that is not supported (the message names it), a
        damaged file, or an unknown ``preprocessing``; in one line.
      ModuleNotFoundError: the extra ``port`` is not installed.
    """
    check(preprocessing)
    try:
        with archive.opened(path) as saved:
            description = {"keras": saved.version, "model": saved.config}
        description["preprocessing"] = preprocessing
        entry, found = translated(description, Path(path).name)
        with archive.opened(path) as saved:
            variables = read_variables(saved, found)
        architecture = Architecture.published(entry)
        layers = architecture.layers()
        latent = _are_latent(variables, layers)
        variables = _frozen(variables, layers) if frozen else variables
    except ModuleNotFoundError:
        raise
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except Exception as error:  # a damaged file may break any step in any way
        what = f"damaged model of Keras, {type(error).__name__}"
        raise failure(path, what, error) from error
    provenance = {
        "source": Path(path).name,
        "sha256": file_sha256(path),
        "kernels": "latent" if latent else "binarized",
        "preprocessing": preprocessing,
    }
    return Network(architecture, variables, provenance, path=str(path))


def _are_latent(variables: Variables, layers: Layers) -> bool:
    """Whether a kernel differs from what its quantizer makes of it."""
    params = trace.by_layer(variables["params"])
    kernels = (
        (layer.kernel_quantizer, params[path]["kernel"])
        for path, layer in layers.items()
        if isinstance(layer, Quantized) and layer.kernel_quantizer is not None
    )
    return not all(jnp.allclose(quantizer(kernel), kernel) for quantizer, kernel in kernels)


def _frozen(variables: Variables, layers: Layers) -> dict[str, Any]:
    """The frozen variables; see `bnnjax.models.forms.freeze`."""
    params, stats = (trace.by_layer(variables.get(name, {})) for name in ("params", "batch_stats"))
    for path, layer in layers.items():
        try:
            params[path] = freeze_layer(layer, params.get(path, {}), stats.get(path, {}))
        except ValueError as error:
            raise ValueError(f"{'/'.join(path)}: {error}") from None
    return {"params": trace.joined(params)}


def matched(network: Network, saved: archive.Saved) -> list[tuple[Target, Source]]:
    """The layers of a network that `load_keras` or `entry_of` made, and their arrays in the file.

    Raises:
      ValueError: the file holds another model.
    """
    build = network.entry.build
    assert isinstance(build, KerasBuild)
    description = json.loads(build.description)
    if saved.config != description["model"]:
        raise ValueError(f"holds another model than {network.name}")
    found = translated(description, network.name)[1]
    return match(saved, found, network.architecture.layers())
