"""What the page offers: samples, networks, and values to choose from."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bnnjax.app.config import AppConfig
from bnnjax.app.uploads import Upload
from bnnjax.models import registry
from bnnjax.models.network import Network
from bnnjax.nst.config import StylizeConfig
from bnnjax.port.load import SHIPPED, load_model

CONTROLS = ("strength", "stroke_size", "colors", "size", "steps")  # options with one value each
MOST_PAINTINGS = 6
SIZES = (224, 320, 448, 640, 896, 1024, 1536, 2048, 4096)  # px
STEPS = (100, 200, 400, 800)


@lru_cache(maxsize=4)
def load(model: str) -> Network:
    """`load_model`, which takes seconds."""
    return load_model(model)


def networks(config: AppConfig) -> dict[str, str]:
    """The networks on offer: the name that visitors see → what `load_model` takes.

    Raises:
      ValueError: an unknown name, a file that cannot be read, or two of the same name.
    """
    if config.models is None:
        published = [n for n in registry.names() if registry.find(n).weights.files]
        return {name: name for name in (SHIPPED, *published)}
    found: dict[str, str] = {}
    for model in config.models:
        if model not in registry.REGISTRY:
            load(model)  # so that a wrong file shows now
        name = Path(model).stem
        if name in found:
            raise ValueError(f"two networks are called {name}; rename one of the files")
        found[name] = model
    return found


def describe(
    config: AppConfig, samples: Iterable[Upload], models: Mapping[str, str]
) -> dict[str, Any]:
    """What the page needs to know before a visitor chooses, as JSON values."""
    usual = StylizeConfig()
    return {
        "samples": [{"id": s.id, "kind": s.kind, "name": s.path.stem} for s in samples],
        "networks": [*models],
        "remote": [m for m in models.values() if m in registry.REGISTRY and m != SHIPPED],
        "sizes": [size for size in SIZES if size <= config.largest] or [config.largest],
        "steps": [steps for steps in STEPS if steps <= config.most_steps],
        "upload_mib": config.upload_mib,
        "most_paintings": MOST_PAINTINGS,
        "usual": {name: getattr(usual, name) for name in CONTROLS},
    }
