"""Where training begins: the weights of a network that has been trained before."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.models.network import Architecture


def with_classes(architecture: Architecture, count: int | None) -> Architecture:
    """The same architecture with another number of classes.

    Raises:
      ValueError: its file fixes the number.
    """
    found = dataclasses.replace(architecture, num_classes=count)
    if found != architecture and found.latent_shapes() == architecture.latent_shapes():
        raise ValueError(
            f"{architecture.entry.name} has {architecture.num_classes} classes, which its file "
            f"fixes, and the photographs have {count}; choose as many (--classes)"
        )
    return found


def taken_over(variables: Mapping[str, Any], trained: Mapping[str, Any]) -> dict[str, Any]:
    """The variables, with copies of those of a trained network wherever their shapes are the same.

    Steps of training consume their arrays, and the network keeps its own.
    """
    new, old = flatten_dict(variables), flatten_dict(trained)
    same = {path for path, value in old.items() if path in new and value.shape == new[path].shape}
    return unflatten_dict(
        {path: jnp.array(old[path]) if path in same else new[path] for path in new}
    )
