"""Recipes: all it takes to make a picture again, kept in the picture's own file."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnnjax import assets
from bnnjax.images import read_metadata
from bnnjax.models.network import Network
from bnnjax.nst.config import OPTIONS, StylizeConfig
from bnnjax.port.load import load_model
from bnnjax.port.storage.download import file_sha256

if TYPE_CHECKING:
    from bnnjax.nst.result import StylizeResult

KEYWORD = "bnnjax-recipe"  # of the PNG's text


@dataclasses.dataclass(frozen=True)
class Source:
    """A picture that went into another.

    Attributes:
      name: of its file, without folders; None for a picture that was no file.
      sha256: of its file, or of its pixels.
      path: of its file, if the recipe was told to keep paths.
    """

    name: str | None
    sha256: str
    path: str | None = None

    @classmethod
    def checked(cls, name: Any, sha256: Any, path: Any = None) -> "Source":
        """A source of values that may be anything.

        Raises:
          ValueError: they are not texts.
        """
        if not (isinstance(sha256, str) and isinstance(name, str | None)):
            raise ValueError(f"{name!r} with sha256 {sha256!r} is no picture")
        return cls(name, sha256, None if path is None else str(path))

    def find(self, kind: str, *, beside: Path | None = None) -> Path:
        """The file, in the folder it is said to be in, the working folder, the folder of the recipe
        or among the samples; it must be the very same.

        Raises:
          ValueError: the picture was no file, or is not there.
        """
        if self.name is None:
            raise ValueError(f"the recipe's {kind} was an array, not a file; give one")
        folders = [Path(), Path() if beside is None else beside.parent, assets.SAMPLES]
        places = [Path(self.path)] if self.path else []
        places += [folder / self.name for folder in folders]
        for place in places:
            if place.is_file() and file_sha256(place) == self.sha256:
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
      model: a network's name, or that of the file it was loaded from.
      provenance: where the network's weights come from.
      config: all options.
      version: of bnnjax.
      path: the picture that the recipe was read from.
    """

    content: Source
    style: Source
    model: str
    provenance: Mapping[str, Any]
    config: StylizeConfig
    version: str
    path: Path | None = None

    @classmethod
    def read(cls, path: str | Path) -> "Recipe":
        """The recipe in a picture that was made by bnnjax.

        Raises:
          ValueError: not a PNG, or one without a recipe, or with a damaged one.
        """
        text = read_metadata(path).get(KEYWORD)
        if text is None:
            raise ValueError(f"{path}: holds no recipe; only pictures made by bnnjax do")
        try:
            found = json.loads(text)
            options = {n: v for n, v in found["options"].items() if n in OPTIONS}
            return cls(
                content=Source.checked(**found["content"]),
                style=Source.checked(**found["style"]),
                model=str(found["model"]),
                provenance=dict(found["provenance"]),
                config=StylizeConfig(**options),
                version=str(found["bnnjax"]),
                path=Path(path),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}: its recipe is damaged ({error})") from None

    def changed(self, **options: Any) -> "Recipe":
        """The same with some options changed; see `StylizeConfig.changed`."""
        return dataclasses.replace(self, config=self.config.changed(**options))

    def sources(self, contents: Any = None, styles: Any = None) -> tuple[Any, Any]:
        """Photographs and paintings as given, and the recipe's own where there are none.

        Raises:
          ValueError: the recipe's own are needed, and are not to be found (see `Source.find`).
        """
        if contents is None:
            contents = self.content.find("photograph", beside=self.path)
        if styles is None:
            styles = self.style.find("painting", beside=self.path)
        return contents, styles

    def run(self, contents: Any = None, styles: Any = None, **keywords: Any) -> "StylizeResult":
        """Makes the picture again, or others in the same way.

        Args:
          contents, styles: see `sources`.
          **keywords: of `stylize_batch`; its options take precedence over the recipe's.
        """
        from bnnjax.nst.stylize import stylize_batch  # whose results make recipes

        keywords["model"] = keywords.get("model") or self.network()
        return stylize_batch(*self.sources(contents, styles), config=self.config, **keywords)

    def network(self) -> Network:
        """The network that the picture was made through.

        Raises:
          ValueError: its file is not here, or there are other weights under its name.
        """
        beside = Path() if self.path is None else self.path.parent
        places = [folder / self.model for folder in (Path(), beside)]
        model = next((str(place) for place in places if place.is_file()), self.model)
        network = load_model(model, preprocessing=self.provenance.get("preprocessing"))
        if dict(network.provenance) != dict(self.provenance):
            raise ValueError(f"{model} has other weights than the recipe's network; give its path")
        return network

    def to_json(self) -> str:
        """The text that `read` finds in a picture."""
        values = {
            "bnnjax": self.version,
            "content": dataclasses.asdict(self.content),
            "style": dataclasses.asdict(self.style),
            "model": self.model,
            "provenance": dict(self.provenance),
            "options": plain(self.config),
        }
        return json.dumps(values, ensure_ascii=False)


def plain(config: StylizeConfig) -> dict[str, Any]:
    """The options as values for JSON; an optimiser that has no name by its repr."""
    values = {name: getattr(config, name) for name in OPTIONS}
    optimizer = config.optimizer
    return values | {"optimizer": optimizer if isinstance(optimizer, str) else repr(optimizer)}
