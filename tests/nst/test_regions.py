"""Blends and masks against closed forms and NumPy, and what they leave alone."""

import jax.numpy as jnp
import numpy as np
import pytest

import bnnjax
from bnnjax.nst.regions import Share, confine, union
from bnnjax.nst.statistics import Statistics, blend, mean_covariance, statistics
from bnnjax.nst.terms import Color, Scene, Seen, Style

JITTERS = jnp.asarray([[0, 0], [2, -4]])
TAPS = {"style_tap_weights": jnp.ones(1, jnp.float32), "strength": jnp.ones(())}


def picture_of(seed, height=8, width=12):
    return np.random.default_rng(seed).uniform(0, 1, (height, width, 3)).astype(np.float32)


def look(picture):
    """A tap at stride 2."""
    return {"tap": picture[::2, ::2] - 0.4}


def loss_of(term, picture, *, jitter=0, **scene):
    scene = Scene(jnp.asarray(picture_of(0)), jnp.asarray(picture_of(1)), JITTERS, look, **scene)
    rolled = jnp.roll(picture, JITTERS[jitter], (0, 1))
    seen = Seen(jnp.asarray(picture), look(rolled), jnp.asarray(jitter))
    return term.loss(seen, term.target(scene), TAPS)


# --- statistics ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["moments", "gram"])
def test_a_mask_of_ones_and_zeros_leaves_positions_out(kind):
    features = picture_of(3)
    mask = np.zeros((8, 12), np.float32)
    mask[2:7, 3:5] = 0.5  # only ratios count
    expected = statistics(features[2:7, 3:5], kind)
    for found, want in zip(statistics(features, kind, jnp.asarray(mask)), expected, strict=True):
        np.testing.assert_allclose(found, want, atol=1e-6)


def test_soft_masks_weight_positions_as_numpy_does():
    features, mask = picture_of(3), picture_of(4)[..., 0]
    flat, weights = features.reshape(-1, 3), mask.reshape(-1)
    mean, covariance = mean_covariance(features, jnp.asarray(mask))
    np.testing.assert_allclose(mean, np.average(flat, axis=0, weights=weights), rtol=1e-5)
    expected = np.cov(flat, rowvar=False, aweights=weights, ddof=0)
    np.testing.assert_allclose(covariance, expected, rtol=1e-4, atol=1e-6)


def test_a_mask_of_zeros_measures_nothing():
    for value in statistics(picture_of(3), "moments", jnp.zeros((8, 12))):
        np.testing.assert_array_equal(value, np.zeros_like(value))


def test_a_blend_averages_directions_and_norms():
    """Of 3 e₁ and e₂ with shares 1 : 3, the direction is (1, 3) / 4 and the norm 1.5."""
    faint, strong = (
        Statistics(jnp.asarray(mean), jnp.diag(jnp.asarray(mean)))
        for mean in ([3.0, 0.0], [0.0, 1.0])
    )
    found = blend([faint, strong], jnp.asarray([2.0, 6.0]))
    np.testing.assert_allclose(found.mean, [0.375, 1.125], rtol=1e-6)
    np.testing.assert_allclose(found.second, np.diag([0.375, 1.125]), rtol=1e-6)


def test_a_share_of_zero_leaves_its_painting_out():
    each = [statistics(picture_of(seed), "moments") for seed in (3, 4)]
    for found, want in zip(blend(each, jnp.asarray([0.0, 2.0])), each[1], strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-5)


def halved(mask):
    """A mask of equal rows, halved with a triangle filter that is cut off at the edges."""
    rows = np.zeros((6, 12))
    for row in range(6):
        for offset, weight in zip(range(-1, 3), (1, 3, 3, 1), strict=True):
            if 0 <= 2 * row + offset < 12:
                rows[row, 2 * row + offset] = weight
    return np.tile(rows / rows.sum(1, keepdims=True) @ mask[0], (4, 1))


# --- terms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("term", [Style(("tap",)), Style(("tap",), "gram"), Color()], ids=repr)
@pytest.mark.parametrize("jitter", [0, 1])
def test_masks_of_white_change_nothing(term, jitter):
    white, picture = jnp.ones((8, 12)), picture_of(2)
    plain = loss_of(term, picture, jitter=jitter)
    shares = (Share(jnp.asarray(picture_of(1)), mask=white),)
    masked = loss_of(term, picture, jitter=jitter, shares=shares, regions=(white,))
    np.testing.assert_allclose(masked, plain, rtol=1e-5)


@pytest.mark.parametrize("jitter", [0, 1])
def test_a_region_is_measured_alone_and_counts_by_its_area(jitter):
    left = np.zeros((8, 12), np.float32)
    left[:, :6] = 1
    term, picture = Style(("tap",)), picture_of(2)
    found = loss_of(term, picture, jitter=jitter, regions=(jnp.asarray(left),))
    rolled, mask = (np.roll(x, JITTERS[jitter], (0, 1)) for x in (picture, left))
    weights, flat = halved(mask).reshape(-1), look(rolled)["tap"].reshape(-1, 3)
    have = (
        np.average(flat, axis=0, weights=weights),
        np.cov(flat, rowvar=False, aweights=weights, ddof=0),
    )
    want = statistics(look(picture_of(1))["tap"], "moments")
    ratios = [np.linalg.norm(h - w) / np.linalg.norm(w) for h, w in zip(have, want, strict=True)]
    expected = np.mean(np.hypot(ratios, 0.01) - 0.01)
    np.testing.assert_allclose(found, weights.mean() * expected, rtol=1e-4)


def test_each_painting_is_compared_with_its_own_region():
    left = np.zeros((8, 12), np.float32)
    left[:, :6] = 1
    paintings = picture_of(5)[:, :6], picture_of(6)[:, :6]
    shares = tuple(Share(jnp.asarray(painting)) for painting in paintings)
    regions = jnp.asarray(left), jnp.asarray(1 - left)
    collage = np.concatenate(paintings, axis=1)
    assert loss_of(Color(), collage, shares=shares, regions=regions) < 1e-10
    assert loss_of(Color(), collage[:, ::-1], shares=shares, regions=regions) > 1e-5


def test_a_picture_is_confined_to_the_union_of_its_regions():
    picture, photograph = picture_of(0), picture_of(1)
    masks = [np.zeros((8, 12), np.float32) for _ in range(2)]
    masks[0][:3] = masks[1][2:5] = 0.75
    found = confine(picture, photograph, union(masks))
    np.testing.assert_array_equal(found[5:], photograph[5:])
    np.testing.assert_allclose(found[2], picture[2], atol=1e-6)
    np.testing.assert_allclose(found[0], 0.25 * photograph[0] + 0.75 * picture[0], atol=1e-6)


# --- runs ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(toy, make_picture):
    photograph, painting, other = (make_picture(seed, 32, 64) for seed in range(3))

    def stylize(styles=None, **options):
        styles = painting if styles is None else styles(painting, other)
        common = {"model": toy, "size": 32, "steps": 8, "progress": False}
        result = bnnjax.stylize_batch(photograph, styles, **common | options)
        return result.images[0], photograph

    return stylize


@pytest.mark.slow
def test_outside_the_mask_the_photograph_is_kept(run):
    mask = np.zeros((32, 64), np.float32)
    mask[:, :32] = 1
    picture, photograph = run(content_mask=mask)
    np.testing.assert_array_equal(picture[:, 34:], photograph[:, 34:])
    assert np.abs(picture[:, :30] - photograph[:, :30]).mean() > 0.01


@pytest.mark.slow
def test_a_blend_with_one_share_is_the_other_painting_alone(run):
    alone, _ = run(styles=lambda _, other: other)
    blended, _ = run(styles=lambda *both: [both], style_blend=(0, 1))
    assert np.abs(blended - alone).mean() < 0.01
    even, _ = run(styles=lambda *both: [both])
    assert np.abs(even - alone).mean() > 2 * np.abs(blended - alone).mean()


@pytest.mark.slow
def test_the_photographs_chroma_is_kept(run):
    picture, photograph = run(colors="photograph")
    inside = ((picture > 0) & (picture < 1)).all(axis=2)
    difference = (picture - photograph)[inside]
    assert inside.mean() > 0.5
    np.testing.assert_allclose(difference - difference[:, :1], 0, atol=1e-5)


def test_the_optimisation_starts_from_the_given_picture(run, make_picture):
    first = make_picture(7, 32, 64)
    picture, _ = run(start=first, steps=1, learning_rate=1e-6)
    np.testing.assert_allclose(picture, np.clip(first, 0.02, 0.98), atol=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style_blend": (1, 2)}, "style_blend has 2 shares, needs 1"),
        ({"style_blend": (0, 0)}, "numbers that are not all 0"),
        ({"content_mask": [np.ones((8, 8))] * 2}, "2 content_mask for 1 pictures"),
        ({"content_mask": [(np.ones((8, 8)),) * 2]}, "2 content masks for 1 paintings"),
        ({"style_mask": [(np.ones((8, 8)),) * 2]}, "2 style masks for 1 paintings"),
        ({"start": "missing.png"}, "missing.png"),
    ],
)
def test_guides_that_do_not_fit_are_refused(run, options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)
