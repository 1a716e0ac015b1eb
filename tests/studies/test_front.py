"""The Pareto front and the score, against definitions written as loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bnnjax.studies.front import pareto_front, score

numbers = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0])


@given(
    points=arrays.arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=numbers)
)
def test_the_front_is_what_a_scan_by_style_finds(points):
    """Sorted by style, then content: a point is in the front if its content is a new minimum, or
    if it equals the last point that was."""
    expected, last = set(), (np.inf, np.inf)
    for style, content in sorted(map(tuple, points)):
        if content < last[1] or (style, content) == last:
            expected.add((style, content))
            last = (style, content)
    assert pareto_front(points).tolist() == [tuple(point) in expected for point in points]


def test_three_measures_are_compared_as_well():
    points = [(1, 2, 3), (2, 1, 3), (1, 2, 4), (3, 3, 1), (2, 2, 3)]
    assert pareto_front(points).tolist() == [True, True, False, True, False]


def test_points_that_are_not_finite_are_left_out():
    points = [(np.nan, 0.0), (1.0, 1.0), (0.0, np.inf), (2.0, 2.0)]
    assert pareto_front(points).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ({"style": 0.5, "strokes": 0.25, "content": 1.5, "checker": 9.0}, 1.25),
        ({"style": 0.5, "content": 3.0}, 1.5),
        ({"style": np.nan, "content": 1.0}, np.inf),
    ],
)
def test_the_score_adds_style_strokes_and_a_third_of_content(measures, expected):
    assert score(measures) == pytest.approx(expected)
