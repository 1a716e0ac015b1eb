"""The arrays of a Keras file as the variables of a translated model."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.models.trace import Path
from bnnjax.port.keras import importer
from bnnjax.port.keras.archive import Saved
from bnnjax.port.keras.builder import UNUSED
from bnnjax.port.keras.h5 import Source, values
from bnnjax.port.keras.model import Place
from bnnjax.port.keras.translate import Translation


def read_variables(saved: Saved, found: Translation) -> dict[str, Any]:
    """Latent variables of a translated model.

    Args:
      saved: the file.
      found: the model's translation.

    Raises:
      ValueError: in one error, all arrays that are missing, left over, misshaped or not finite.
    """
    shapes, variables = flatten_dict(found.needed), {}
    faults: list[str] = []
    for source, targets in found.builder.arrays.items():
        arrays = _arrays(saved, found, source)
        name = ".".join(place.name for place in source)
        faults += [f"{name}: {other} is left over" for other in arrays if other not in targets]
        for keras, target in targets.items():
            if target.collection == UNUSED:
                continue
            try:
                path = (target.collection, *target.path)
                variables[path] = jnp.asarray(_fitted(arrays, keras, shapes[path].shape))
            except ValueError as error:
                faults.append(f"{name}: {error}")
    if faults:
        raise ValueError("its weights do not fit its layers: " + "; ".join(faults))
    return unflatten_dict(variables)


def match(
    saved: Saved,
    found: Translation,
    layers: Mapping[Path, nn.Module],
) -> list[tuple[importer.Target, Source]]:
    """Each layer that needs arrays, and those that the file holds; see `read_variables`.

    Args:
      saved: the file.
      found: the model's translation.
      layers: the layers by their paths.
    """
    shapes, pairs = flatten_dict(found.needed), []
    for source, targets in found.builder.arrays.items():
        arrays = _arrays(saved, found, source)
        used = {keras: t for keras, t in targets.items() if t.collection != UNUSED}
        for path in dict.fromkeys(target.path[:-1] for target in used.values()):
            own = {keras: t for keras, t in used.items() if t.path[:-1] == path}
            fitted = {
                keras: _fitted(arrays, keras, shapes[t.collection, *t.path].shape)
                for keras, t in own.items()
            }
            wanted = {
                keras: (t.collection, t.path[-1], fitted[keras].shape) for keras, t in own.items()
            }
            target = importer.Target(path, layers[path], "", source[-1].name, wanted)
            pairs.append((target, Source(".".join(path), fitted)))
    return pairs


def _arrays(saved: Saved, found: Translation, source: tuple[Place, ...]) -> dict[str, Any]:
    """The arrays of a layer, with a kernel in the layout that is needed here."""
    arrays = saved.arrays(source, tuple(found.builder.arrays[source]))
    if source in found.builder.layouts and "kernel" in arrays:
        convert, x = found.builder.layouts[source]
        arrays["kernel"] = convert(values(arrays["kernel"]), found.shapes[x])
    return arrays


def _fitted(arrays: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"{name} is missing")
    array = arrays[name]
    if array.dtype.kind != "f":
        raise ValueError(f"{name} is {array.dtype}, needs a float type")
    # Kernels along one axis are stored here as maps of one row.
    if [side for side in array.shape if side != 1] != [side for side in shape if side != 1]:
        raise ValueError(f"{name} has shape {list(array.shape)}, needs {list(shape)}")
    with np.errstate(over="ignore"):
        value = values(array).astype(np.float32).reshape(shape)
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds values that are not finite")
    return value
