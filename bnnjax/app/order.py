"""What a visitor asks for: the page's controls become the arguments of a stylization."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bnnjax.app import offer
from bnnjax.app.config import AppConfig
from bnnjax.app.uploads import Upload
from bnnjax.nst.config import StylizeConfig, resolve
from bnnjax.nst.prepare import Prepared, prepare
from bnnjax.options import nearest

_STROKES = (0.25, 8)


class Order(NamedTuple):
    """A stylization that has been checked as far as is possible without its pictures.

    Attributes:
      photograph: the file of the photograph.
      paintings: the files of the paintings, which are blended.
      model: what `load_model` takes.
      base: the options of a recipe, or None for those of the network.
      options: what takes precedence over ``base``.
    """

    photograph: Path
    paintings: tuple[Path, ...]
    model: str
    base: StylizeConfig | None
    options: Mapping[str, Any]

    def prepare(self) -> Prepared:
        """Loads the network and reads the pictures, see `bnnjax.nst.prepare.prepare`."""
        styles = [self.paintings if len(self.paintings) > 1 else self.paintings[0]]
        return prepare(
            self.photograph, styles, model=offer.load(self.model), config=self.base, **self.options
        )


def read(
    form: Mapping[str, Any],
    *,
    pictures: Mapping[str, Upload],
    recipes: Mapping[str, StylizeConfig],
    models: Mapping[str, str],
    config: AppConfig,
) -> Order:
    """The order that a form contains.

    Args:
      form: the values of the page's controls: those of `offer.CONTROLS`, "photograph" (an id),
        "paintings" (ids), "shares" (a number per painting), "network", and "recipe", an id or None.
      pictures: what the visitor may use, by id.
      recipes: the options of the visitor's recipes, by id.
      models: see `offer.networks`.
      config: what is allowed.

    Raises:
      ValueError: a missing or invalid value.
    """
    photograph = _picture(form.get("photograph"), pictures, "a photograph")
    ids = form.get("paintings") or [None]
    if not isinstance(ids, list) or len(ids) > offer.MOST_PAINTINGS:
        raise ValueError(f"choose at most {offer.MOST_PAINTINGS} paintings")
    paintings = tuple(_picture(one, pictures, "a painting") for one in ids)
    network = form.get("network")
    if not isinstance(network, str) or network not in models:
        raise ValueError(f"no network {network!r}{nearest(str(network), models)}")
    recipe = form.get("recipe")
    if recipe is not None and recipe not in recipes:
        raise ValueError("the recipe is no longer there; drop its picture again")
    options = {name: form[name] for name in offer.CONTROLS if name in form}
    if any(isinstance(value, list | dict) for value in options.values()):
        raise ValueError("every control needs a single value")
    options["style_blend"] = _shares(form.get("shares"), len(paintings))
    base = None if recipe is None else recipes[recipe]
    _check_limits(resolve(options, config=base), config)
    return Order(photograph, paintings, models[network], base, options)


def _picture(id: Any, pictures: Mapping[str, Upload], what: str) -> Path:
    if not id:
        raise ValueError(f"choose {what} first")
    if not isinstance(id, str) or id not in pictures:
        raise ValueError(f"{what} is no longer there; choose another")
    return pictures[id].path


def _shares(shares: Any, count: int) -> Sequence[float] | None:
    """The shares of a blend; None for a single painting."""
    if count == 1 or shares is None:
        return None
    if not isinstance(shares, list) or len(shares) != count:
        raise ValueError(f"shares are {shares!r}, needs a number for each of {count} paintings")
    return shares


def _check_limits(options: StylizeConfig, config: AppConfig) -> None:
    """Raises a ValueError if a picture would take more time or memory than is allowed."""
    for name, value, most in (
        ("size", options.size, config.largest),
        ("style_size", options.style_size or 0, 2 * config.largest),
        ("steps", options.steps, config.most_steps),
    ):
        if value > most:
            raise ValueError(f"{name} is {value}, at most {most} is allowed here")
    if not _STROKES[0] <= options.stroke_size <= _STROKES[1]:
        raise ValueError(
            f"stroke_size is {options.stroke_size}, needs {_STROKES[0]} to {_STROKES[1]}"
        )
