"""What all networks trained by Larq on ImageNet share."""

import jax.numpy as jnp
from jax import Array

CLASSES = 1000
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def normalize(images: Array) -> Array:
    """sRGB in [0, 1] → zero mean, unit deviation over ImageNet (``larq_zoo/training/data.py``)."""
    return (images - jnp.asarray(MEAN)) / jnp.asarray(DEVIATION)
