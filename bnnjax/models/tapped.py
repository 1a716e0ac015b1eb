"""How networks expose the activations inside them."""

from typing import Any

from flax import linen as nn

TAPS = "taps"  # the collection of variables
REPLACED = "replaced"  # likewise; what the network computes with in place of a tap, by its name


class Tapped(nn.Module):
    """The base of modules that record some of their activations."""

    @nn.nowrap
    def tap(self, name: str, value: Any) -> Any:
        """Records ``value`` in the collection "taps" if that is mutable, and returns it.

        A value of this name in the collection "replaced" takes its place: the network then is a
        function of the tap. This is `sow` without its check for name collisions, because taps are
        named like layers.
        """
        if self.has_variable(REPLACED, name):
            value = self.get_variable(REPLACED, name)
        if self.is_mutable_collection(TAPS) and not self.is_initializing():
            self.put_variable(TAPS, name, value)
        return value
