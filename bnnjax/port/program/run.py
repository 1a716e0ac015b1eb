"""What the steps of a program share while it runs."""

import dataclasses
from typing import Any

from flax import linen as nn

from bnnjax.layers import Options
from bnnjax.port.program.program import Call


@dataclasses.dataclass
class Run:
    """One call of a network.

    Attributes:
      options: the options of the computation.
      train: whether batch norms use the statistics of the batch, and dropout drops.
      layers: the layers so far by their names; a model may call one of its layers repeatedly.
    """

    options: Options
    train: bool = False
    layers: dict[str, nn.Module] = dataclasses.field(default_factory=dict)

    def layer(self, name: str, call: Call) -> Any:
        """The layer of this name, which the first call makes within the running module."""
        if name not in self.layers:
            self.layers[name] = call(name=name)
        return self.layers[name]
