"""The settings of a picture made before, as the page's controls show them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bnnjax.app.config import AppConfig
from bnnjax.app.offer import CONTROLS
from bnnjax.app.uploads import Upload
from bnnjax.models import registry
from bnnjax.nst.config import OPTIONS, StylizeConfig
from bnnjax.nst.recipe import Recipe, Source


def describe(
    recipe: Recipe,
    *,
    pictures: Iterable[Upload],
    models: Mapping[str, str],
    config: AppConfig,
) -> dict[str, Any]:
    """What the controls show for a recipe, as JSON values.

    It finds only pictures that the visitor may use: no recipe can make the server read a file.

    Returns:
      The values of `order.read` by name, None where the recipe's own is not available; ``others``,
      further options that differ from the default, as text; and ``notes``, sentences about what
      cannot be repeated.

    Raises:
      ValueError: the picture was made with terms whose code is not here.
    """
    recipe.check_terms()
    available = {picture.sha256: picture.id for picture in pictures}
    styles = [recipe.style, *recipe.files.get("blend", ())]
    found = [available.get(source.sha256) for source in styles]
    options = recipe.config
    offered = {Path(model).name: name for name, model in models.items()}
    network = offered.get(recipe.model)
    controls = {name: getattr(options, name) for name in CONTROLS}
    return controls | {
        "size": min(options.size, config.largest),
        "steps": min(options.steps, config.most_steps),
        "photograph": available.get(recipe.content.sha256),
        "paintings": found if all(found) else None,
        "shares": [*options.style_blend] if options.style_blend else [1.0] * len(styles),
        "network": network,
        "others": _others(options, recipe.model),
        "notes": [*_missing(recipe, styles, available, network), *_too_much(options, config)],
    }


def _others(options: StylizeConfig, model: str) -> list[str]:
    """Options without a control that differ from the network's defaults, as "name value"."""
    entry = registry.REGISTRY.get(model)
    usual = StylizeConfig(**(entry.style.preset if entry else {}))
    hidden = [n for n in OPTIONS if n not in (*CONTROLS, "style_blend")]
    changed = [n for n in hidden if getattr(options, n) != getattr(usual, n)]
    return [f"{name.replace('_', ' ')} {getattr(options, name)}" for name in changed]


def _missing(
    recipe: Recipe, styles: list[Source], available: Mapping[str, str], network: str | None
) -> list[str]:
    notes = [
        f"Its {kind}, {source.name or 'which was not a file'}, is not here; please drop it."
        for kind, source in [("photograph", recipe.content), *(("painting", s) for s in styles)]
        if source.sha256 not in available
    ]
    if network is None:
        notes.append(f"Its network, {recipe.model}, is not offered here; another one is used.")
    if guides := sorted({*recipe.files} - {"blend"}):
        kinds = ", ".join(name.replace("_", " ") for name in guides)
        notes.append(f"It was made with further pictures that this page does not use: {kinds}.")
    return notes


def _too_much(options: StylizeConfig, config: AppConfig) -> list[str]:
    notes = []
    if options.size > config.largest:
        notes.append(f"Its size of {options.size} px is reduced to {config.largest} px.")
    if options.steps > config.most_steps:
        notes.append(f"Its {options.steps} steps are reduced to {config.most_steps}.")
    return notes
