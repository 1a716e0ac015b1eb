"""How networks from files expect their pictures."""

from collections.abc import Callable

from jax import Array

from bnnjax.models import imagenet

PREPROCESSINGS: dict[str, Callable[[Array], Array]] = {
    "imagenet": imagenet.normalize,
    "unit": lambda images: images,
    "symmetric": lambda images: 2 * images - 1,
    "bytes": lambda images: 255 * images,
}


def check(preprocessing: str) -> None:
    """Raises ValueError unless there is a preprocessing of this name."""
    if preprocessing not in PREPROCESSINGS:
        raise ValueError(f"preprocessing is {preprocessing!r}, needs one of {(*PREPROCESSINGS,)}")
