"""What ``--vary`` says."""

import numpy as np
import pytest

from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.inputs import make_pairs
from bnnjax.studies import grid


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("style_weight=2,4,8", "style_weight", [2, 4, 8]),
        ("tv_weight=0,1e-2..100:3", "tv_weight", [0, 0.01, 1, 100]),
        ("tv_weight=0,1e-3..1e6:10", "tv_weight", [0, *(10.0**e for e in range(-3, 7))]),
        ("learning_rate=.01..0.16:5", "learning_rate", [0.01, 0.02, 0.04, 0.08, 0.16]),
        ("content_weight=1..16", "content_weight", [1, 2, 4, 8, 16]),
        ("pooling=max,avg,blur", "pooling", ["max", "avg", "blur"]),
        ("jitter=0,4", "jitter", [0, 4]),
        ("style_taps=stem,stem+section1", "style_taps", [("stem",), ("stem", "section1")]),
        ("style_weight=2,2,1..2:2", "style_weight", [2, 1]),
    ],
)
def test_values_ranges_and_choices_are_read(text, name, values):
    found, items = grid.parse(text)
    assert found == name
    expanded = grid.expand(items)
    if isinstance(values[0], (int, float)):
        np.testing.assert_allclose(expanded, values, rtol=5e-3)
    assert len(expanded) == len(values)
    if not isinstance(values[0], (int, float)):
        assert expanded == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("style_weight", "varies nothing"),
        ("stile_weight=1,2", "cannot vary 'stile_weight'; did you mean 'style_weight'"),
        ("size=64,128", "cannot vary 'size'"),
        ("style_tap_weights=1,2", "cannot vary 'style_tap_weights'"),
        ("style_weight=a,b", "style_weight is 'a', needs numbers"),
        ("style_weight=-1", "needs finite non-negative numbers"),
        ("style_weight=", "needs numbers"),
        ("style_weight=8..2", "is no range"),
        ("style_weight=0..2", "is no range"),
        ("style_weight=1..2:1", "is no range"),
        ("style_weight=a..b", "is no range"),
        ("jitter=1..4", "is no range"),
        ("pooling=median", "pooling is 'median', needs one of max, avg, blur"),
    ],
)
def test_mistakes_are_named_in_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        grid.parse(text)
    assert len(str(caught.value).splitlines()) == 1


def test_an_empty_sequence_is_refused():
    with pytest.raises(ValueError, match="needs at least one value"):
        grid.items("style_weight", [])


def test_every_pair_meets_every_combination():
    pairs = make_pairs(["a", "b"], ["c"], pairing="zip")
    config = StylizeConfig(content_weight=[0.5, 2.0])
    trials = grid.trials(pairs, config, {"style_weight": [1, 2], "pooling": "max,avg"})
    found = [
        (t.pair.name, t.config.style_weight, t.config.pooling, t.config.content_weight)
        for t in trials
    ]
    assert found == [
        (pair, style, pooling, content)
        for pair, content in (("a__c", 0.5), ("b__c", 2.0))
        for style in (1.0, 2.0)
        for pooling in ("max", "avg")
    ]
    assert trials[1].name == "a__c__style_weight=1,pooling=avg"
