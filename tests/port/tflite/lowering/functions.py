"""Functions of pictures as networks."""

from flax import linen as nn

from bnnjax.layers import Options
from bnnjax.models.entry import Entry, Sizes
from bnnjax.models.network import Architecture, Network
from bnnjax.models.tapped import Tapped
from bnnjax.port.tflite.lowering.fuse import fuse
from bnnjax.port.tflite.lowering.record import lower


def graph_of(function, *, size=(4, 4)):
    """The graph that computes a function of a picture [1, *size, 3]."""

    class Module(Tapped):
        options: Options = Options()
        num_classes: int | None = None

        @nn.compact
        def __call__(self, x, *, train=False):
            return self.tap("result", function(x))

    sizes = Sizes(takes=lambda side: True, stride=4)
    entry = Entry(name="function", build=Module, normalize=lambda x: x, sizes=sizes)
    draft = lower(Network(Architecture(entry, Options(), None), {"params": {}}, {}), size)
    fuse(draft)
    return draft.graph()
