"""A stylization before it runs: what will be painted, and the recipe of every picture."""

import dataclasses
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from bnnjax.models.network import Network
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.ensemble import Ensemble
from bnnjax.nst.inputs import Pair, Picture
from bnnjax.nst.recipe import Recipe, Source


@dataclasses.dataclass(repr=False)
class Stylization:
    """Pairs of photographs and paintings, the network, and all options.

    Attributes:
      pairs: which photograph is paired with which painting.
      photographs, paintings: the inputs on their canvases.
      network: the network, with the options of this run.
      config: all options.
      extra_weights: name of each additional term of the loss → its weights, [N].
    """

    pairs: Sequence[Pair]
    photographs: Sequence[Picture]
    paintings: Sequence[Picture]
    network: Network | Ensemble
    config: StylizeConfig
    extra_weights: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """CONTENT__STYLE for each picture, followed by its setting in a sweep."""
        return [pair.name for pair in self.pairs]

    def photograph(self, number: int) -> Picture:
        """The photograph of a picture."""
        return self.photographs[self.pairs[number].content]

    def recipe(self, number: int, *, keep_paths: bool = False) -> Recipe:
        """Everything needed to reproduce one of the pictures; `save` writes it into the picture.

        Args:
          number: the index of the picture.
          keep_paths: whether to include the paths of photograph and painting besides their names
            and hashes.
        """
        photograph = self.photograph(number)
        painting = self.paintings[self.pairs[number].style]
        files = {
            "blend": painting.others,
            "content_mask": photograph.masks,
            "style_mask": [mask for own in painting.paintings for mask in own.masks],
            "start": [photograph.start] if photograph.start else [],
        }
        return Recipe(
            content=_source(photograph, keep_paths),
            style=_source(painting, keep_paths),
            model=self.network.source,
            provenance=dict(self.network.provenance),
            config=self.config.of_picture(number),
            extra_terms={n: float(weights[number]) for n, weights in self.extra_weights.items()},
            version=version("bnnjax"),
            files={n: tuple(_source(p, keep_paths) for p in ps) for n, ps in files.items() if ps},
        )


def _source(picture: Picture, keep_path: bool) -> Source:
    if picture.path is None:
        return Source(None, picture.sha256)
    path = str(Path(picture.path).absolute()) if keep_path else None
    return Source(Path(picture.path).name, picture.sha256, path)
