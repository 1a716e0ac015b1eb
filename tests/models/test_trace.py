"""The calls of the layers of a small network."""

from flax import linen as nn

from bnnjax.models.trace import trace


class Pair(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(7, name="later_in_the_alphabet")(x)
        return nn.Dense(5, name="earlier")(self.doubled(x))

    def doubled(self, x):
        return 2 * x


class Outer(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (3, 3), strides=2, name="conv")(x)
        x = Pair(name="pair")(x)
        return nn.Dense(2, name="a_last")(x.mean((1, 2)))


def test_innermost_layers_come_in_the_order_of_their_calls():
    calls = trace(Outer(), side=9)
    assert [(call.path, type(call.layer), call.output_shape) for call in calls] == [
        (("conv",), nn.Conv, (1, 5, 5, 4)),
        (("pair", "later_in_the_alphabet"), nn.Dense, (1, 5, 5, 7)),
        (("pair", "earlier"), nn.Dense, (1, 5, 5, 5)),
        (("a_last",), nn.Dense, (1, 2)),
    ]


def test_layers_are_as_they_were_called_and_know_their_module():
    conv, first, *_ = trace(Outer(), side=9)
    assert (conv.layer.features, conv.layer.strides, conv.layer.kernel_size) == (4, 2, (3, 3))
    assert first.layer.features == 7
    assert [type(call.parent) for call in (conv, first)] == [Outer, Pair]


def test_a_layer_alone_is_its_own_innermost():
    (call,) = trace(nn.Conv(4, (1, 1)), side=3)
    assert (call.path, call.output_shape) == ((), (1, 3, 3, 4))


def test_nothing_is_computed():
    """No memory could hold a picture of this size."""
    (call,) = trace(nn.Conv(4, (1, 1)), side=10**6)
    assert call.output_shape == (1, 10**6, 10**6, 4)
