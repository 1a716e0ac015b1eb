"""Recipes: everything needed to reproduce a picture, stored in the picture's own file."""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnnjax import assets
from bnnjax.images import read_metadata
from bnnjax.models.network import Network
from bnnjax.nst.config import OPTIONS, StylizeConfig, Weight
from bnnjax.nst.ensemble import Ensemble, load_models
from bnnjax.nst.terms import Term, check_terms
from bnnjax.port.storage.download import file_sha256

if TYPE_CHECKING:
    from bnnjax.nst.result import StylizeResult

KEYWORD = "bnnjax-recipe"  # of the text in the picture's file
UNFINISHED = "bnnjax-unfinished"  # of another text, in pictures of interrupted runs
# What values of wrong types, enormous numbers and a thousand brackets lead to.
_DAMAGES = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclasses.dataclass(frozen=True)
class Source:
    """An input picture of a stylization.

    Attributes:
      name: the file name without folders; None if the picture was not a file.
      sha256: the hash of the file, or of the pixels.
      path: the path of the file, if the recipe keeps paths.
    """

    name: str | None
    sha256: str
    path: str | None = None

    @classmethod
    def checked(cls, name: Any, sha256: Any, path: Any = None) -> "Source":
        """A source from unchecked values.

        Raises:
          ValueError: they are not strings, or the name has folders.
        """
        is_name = name is None or (isinstance(name, str) and Path(name).name == name)
        if not (isinstance(sha256, str) and is_name):
            raise ValueError(f"{name!r} with sha256 {sha256!r} is not a picture")
        return cls(name, sha256, None if path is None else str(path))

    def find(self, kind: str, *, beside: Path | None = None) -> Path:
        """Finds the file by name and hash: at its path, in the working directory, in the recipe's
        folder, or among the samples.

        Raises:
          ValueError: the picture was not a file, or was not found.
        """
        if self.name is None:
            raise ValueError(f"the recipe's {kind} was an array, not a file; give one")
        folders = [Path(), Path() if beside is None else beside.parent, assets.SAMPLES]
        places = [Path(self.path)] if self.path else []
        places += [folder / self.name for folder in folders]
        for place in places:
            if os.path.isfile(place) and file_sha256(place) == self.sha256:
                return place
        raise ValueError(
            f"the recipe's {kind}, {self.name} (sha256 {self.sha256[:8]}…), is neither here nor "
            "beside the recipe; give its path, or another picture"
        )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a picture was made from, and how.

    Attributes:
      content, style: the photograph and the painting.
      model: the network's name, or the name of the file that it was loaded from.
      provenance: where the network's weights come from.
      config: all options.
      version: the version of bnnjax.
      extra_terms: name of each additional term of the loss → its weight.
      files: further pictures: "blend" (the other paintings), "content_mask", "style_mask", "start".
      path: the picture that the recipe was read from.
    """

    content: Source
    style: Source
    model: str
    provenance: Mapping[str, Any]
    config: StylizeConfig
    version: str
    extra_terms: Mapping[str, float] = dataclasses.field(default_factory=dict)
    files: Mapping[str, tuple[Source, ...]] = dataclasses.field(default_factory=dict)
    path: Path | None = None

    @classmethod
    def read(cls, path: str | Path) -> "Recipe":
        """Reads the recipe from a picture made by bnnjax.

        Raises:
          ValueError: the file is not a PNG, JPEG or WebP, or its recipe is missing or damaged.
        """
        text = read_metadata(path).get(KEYWORD)
        if text is None:
            raise ValueError(f"{path}: holds no recipe; only pictures made by bnnjax do")
        try:
            found = json.loads(text)
            options = {n: v for n, v in found["options"].items() if n in OPTIONS}
            if "clip" in options:
                options["clip"] = float(options["clip"])  # may be the text "inf", see `plain`
            return cls(
                content=Source.checked(**found["content"]),
                style=Source.checked(**found["style"]),
                model=str(found["model"]),
                provenance=dict(found["provenance"]),
                config=StylizeConfig(**options),
                version=str(found["bnnjax"]),
                extra_terms={str(n): float(w) for n, w in found.get("extra_terms", {}).items()},
                files={
                    str(n): tuple(Source.checked(**source) for source in listed)
                    for n, listed in found.get("files", {}).items()
                },
                path=Path(path),
            )
        except _DAMAGES as error:
            raise ValueError(f"{path}: its recipe is damaged ({error})") from None

    def changed(self, **options: Any) -> "Recipe":
        """A copy with some options changed; see `StylizeConfig.changed`."""
        return dataclasses.replace(self, config=self.config.changed(**options))

    def sources(self, contents: Any = None, styles: Any = None) -> tuple[Any, Any]:
        """The given photographs and paintings, or the recipe's own where they are None.

        Raises:
          ValueError: a picture of the recipe is needed and not found (see `Source.find`).
        """
        if contents is None:
            contents = self.content.find("photograph", beside=self.path)
        if styles is None:
            styles = self.style.find("painting", beside=self.path)
            if others := self._found("blend"):
                styles = [(styles, *others)]
        return contents, styles

    def guides(self, contents: Any = None, styles: Any = None) -> dict[str, Any]:
        """The masks of the recipe's own pictures and the picture to start from, as arguments of
        `stylize_batch`. What belongs to a photograph or painting that is given anew is left out.

        Raises:
          ValueError: one of them is not found (see `Source.find`).
        """
        own = ["content_mask", "start"] if contents is None else []
        own += ["style_mask"] if styles is None else []
        found: dict[str, Any] = {n: [self._found(n)] for n in own if n in self.files}
        return found if styles is None else {**found, "style_blend": None}

    def _found(self, name: str) -> tuple[Path, ...]:
        sources = self.files.get(name, ())
        return tuple(source.find(name, beside=self.path) for source in sources)

    def check_terms(self, extra_terms: Iterable[Term] = ()) -> None:
        """Raises a ValueError unless all additional terms of the picture's loss are given.

        A recipe holds their names and weights, but not their code.
        """
        given = {term.name for term in extra_terms}
        if missing := [f"{n} ({w:g})" for n, w in self.extra_terms.items() if n not in given]:
            raise ValueError(
                f"the recipe's picture was made with extra terms, name (weight): "
                f"{', '.join(missing)}; pass them to Recipe.run as extra_terms={{TERM: WEIGHT}}"
            )

    def run(
        self,
        contents: Any = None,
        styles: Any = None,
        *,
        extra_terms: Mapping[Term, Weight] | None = None,
        **keywords: Any,
    ) -> "StylizeResult":
        """Makes the picture again, or makes others in the same way.

        Args:
          contents, styles: see `sources`.
          extra_terms: see `stylize_batch`; those of the recipe are required.
          **keywords: passed on to `stylize_batch`; they take precedence over the recipe.

        Raises:
          ValueError: see `check_terms`, `sources`, `network` and `stylize_batch`.
        """
        from bnnjax.nst.stylize import stylize_batch  # which itself imports this module

        keywords["extra_terms"] = check_terms(extra_terms or {})
        self.check_terms(keywords["extra_terms"])
        keywords["model"] = keywords.get("model") or self.network()
        keywords = self.guides(contents, styles) | keywords
        return stylize_batch(*self.sources(contents, styles), config=self.config, **keywords)

    def network(self) -> Network | Ensemble:
        """Loads the network or networks that the picture was made with.

        Raises:
          ValueError: its file is not found, or its weights differ from the recipe's.
        """
        beside = Path() if self.path is None else self.path.parent
        network = load_models(
            [_nearby(m, beside) for m in self.model.split(",")],
            preprocessing=self.provenance.get("preprocessing"),
        )
        if dict(network.provenance) != dict(self.provenance):
            raise ValueError(
                f"{self.model} has other weights than the recipe's network; give its path"
            )
        return network

    def to_json(self) -> str:
        """The text that `read` reads from a picture."""
        values = {
            "bnnjax": self.version,
            "content": dataclasses.asdict(self.content),
            "style": dataclasses.asdict(self.style),
            "model": self.model,
            "provenance": dict(self.provenance),
            "options": plain(self.config),
            "extra_terms": dict(self.extra_terms),
            "files": {n: [*map(dataclasses.asdict, listed)] for n, listed in self.files.items()},
        }
        return json.dumps(values, ensure_ascii=False, allow_nan=False)


def _nearby(model: str, beside: Path) -> str:
    """The path of a network's file in the working directory or beside the recipe, or its name."""
    places = [folder / model for folder in (Path(), beside)]
    return next((str(place) for place in places if os.path.isfile(place)), model)


def plain(config: StylizeConfig) -> dict[str, Any]:
    """The options as JSON values; an optimiser without a name is given by its repr, and an infinite
    ``clip``, which JSON has no number for, by the text "inf"."""
    values = {name: getattr(config, name) for name in OPTIONS}
    optimizer, clip = config.optimizer, config.clip
    return values | {
        "optimizer": optimizer if isinstance(optimizer, str) else repr(optimizer),
        "clip": clip if math.isfinite(clip) else str(clip),
    }
