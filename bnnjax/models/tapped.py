"""How a network lets one see what is inside it."""

from typing import Any

from flax import linen as nn

TAPS = "taps"  # the collection of variables


class Tapped(nn.Module):
    """The base of modules that record activations on their way."""

    @nn.nowrap
    def tap(self, name: str, value: Any) -> Any:
        """Records ``value`` in the collection "taps" if that is mutable, and returns it.

        Flax's `sow` would refuse the names, because layers are called like their taps.
        """
        if self.is_mutable_collection(TAPS) and not self.is_initializing():
            self.put_variable(TAPS, name, value)
        return value
