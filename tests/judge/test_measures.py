"""The measures against closed forms and NumPy, and on pictures whose ranking is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax import images
from bnnjax.judge import measures


def features(batch):
    """Two cheap taps, one of which is nonlinear and has half the size."""
    return {"pixels": batch, "squares": jnp.square(batch[:, ::2, ::2] - 0.3)}


def random_image(seed, height=64, width=72):
    return np.random.default_rng(seed).uniform(size=(height, width, 3)).astype(np.float32)


def waves(length, amplitudes):
    """Grey [length, length, 3], with a cosine along each row for every bin of `amplitudes`."""
    x = np.arange(length)
    row = 0.5 + sum(a * np.cos(2 * np.pi * k * x / length) for k, a in amplitudes.items())
    return np.broadcast_to(row[None, :, None], (length, length, 3)).astype(np.float32)


@pytest.mark.slow
def test_the_originals_themselves_are_at_distance_0():
    photograph, painting = random_image(0), random_image(1)
    found = measures.judge(photograph, photograph, painting, features)
    assert found["content"] == 0
    assert found["style"] > 0
    assert found["strokes"] > 0
    found = measures.judge(painting, photograph, painting, features)
    assert found["style"] == found["strokes"] == 0
    assert found["content"] > 0
    assert all(isinstance(value, float) for value in found.values())


@pytest.mark.slow
def test_style_distance_agrees_with_numpy():
    rng = np.random.default_rng(0)
    found = {"a": rng.normal(size=(5, 7, 4)), "b": rng.normal(size=(3, 2, 6))}
    painting = {"a": rng.normal(size=(6, 4, 4)), "b": rng.normal(size=(8, 2, 6))}
    distances = []
    for tap in found:
        gram, target = (
            np.einsum("hwc,hwd->cd", maps[tap], maps[tap]) / maps[tap][..., 0].size
            for maps in (found, painting)
        )
        distances.append(np.sqrt(((gram - target) ** 2).sum() / (target**2).sum()))
    result = measures.style_distance(_float32(found), _float32(painting))
    np.testing.assert_allclose(result, np.mean(distances), rtol=1e-5)


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_style_distance_of_scaled_features(factor):
    painting = _float32({"a": np.random.default_rng(0).normal(size=(8, 8, 3))})
    found = {"a": factor * painting["a"]}
    result = measures.style_distance(found, painting)
    np.testing.assert_allclose(result, abs(factor**2 - 1), rtol=1e-5)


def test_content_distance_is_2_minus_twice_the_cosine():
    angles = np.linspace(0, np.pi, 12).reshape(3, 4)
    lengths = np.random.default_rng(0).uniform(0.1, 9, (3, 4, 1))
    found = {"a": lengths * np.stack([np.cos(angles), np.sin(angles)], axis=-1)}
    photograph = {"a": np.broadcast_to([3.0, 0.0], (3, 4, 2))}
    result = measures.content_distance(_float32(found), _float32(photograph))
    np.testing.assert_allclose(result, np.mean(2 - 2 * np.cos(angles)), rtol=1e-5)


def test_content_distance_of_silent_positions():
    silent, loud = {"a": jnp.zeros((2, 2, 3))}, {"a": jnp.ones((2, 2, 3))}
    assert measures.content_distance(silent, silent) == 0
    np.testing.assert_allclose(measures.content_distance(silent, loud), 1, rtol=1e-6)


def test_matched_luma_has_the_mean_and_deviation_of_the_reference():
    image, reference = random_image(0), random_image(1, 80, 66) ** 2
    matched = np.asarray(measures.match_luma(image, reference))
    luma = reference @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(matched.mean((0, 1)), luma.mean(), rtol=1e-4)
    np.testing.assert_allclose(matched.std((0, 1)), luma.std(), rtol=1e-4)
    correlation = np.corrcoef(matched[..., 0].ravel(), (image @ measures.LUMA).ravel())[0, 1]
    assert correlation > 0.9999


def test_matched_luma_of_a_flat_picture_is_the_mean():
    reference = random_image(1)
    matched = measures.match_luma(np.full((64, 64, 3), 0.7, np.float32), reference)
    np.testing.assert_allclose(matched, np.mean(reference @ measures.LUMA), rtol=0.05)


@pytest.mark.slow
def test_strokes_ignore_brightness_contrast_and_colour():
    painting = random_image(0)
    grey = np.repeat((painting @ measures.LUMA)[..., None], 3, axis=2)
    faded = (0.2 + 0.5 * grey).astype(np.float32)
    found = measures.judge(faded, painting, painting, features)
    assert found["strokes"] < 1e-4
    assert found["style"] > 0.05


# Under a Hann window, a line of amplitude B has B/2 in its bin and B/4 in each adjacent one.
# A line 4 bins away thus fills three of the 8 bins 3 to 6 away, with B²/4 + 2 B²/16 in total.
NEARBY_POWER = (1 / 4 + 2 / 16) / 8


@pytest.mark.parametrize("period", [4, 8])
def test_checker_of_a_grating_between_two_others(period):
    k = 128 // period
    image = waves(128, {k: 0.2, k - 4: 0.1, k + 4: 0.05})
    ratio = (0.2**2 / 4) / (NEARBY_POWER * (0.1**2 + 0.05**2))
    # The other five (periods, directions) contain nothing: 1.
    np.testing.assert_allclose(measures.checker(image), (ratio + 5) / 6, rtol=1e-3)


def test_checker_of_the_finest_grating():
    # At period 2, a cosine has twice the amplitude in its bin, and an adjacent line counts on both
    # sides, because the spectrum of a real signal is mirrored there.
    image = waves(128, {64: 0.1, 60: 0.2})
    ratio = (4 * 0.1**2 / 4) / (NEARBY_POWER * 2 * 0.2**2)
    np.testing.assert_allclose(measures.checker(image), (ratio + 5) / 6, rtol=1e-3)


@pytest.mark.slow
def test_checker_without_a_grid_is_1():
    np.testing.assert_allclose(
        measures.checker(np.full((70, 64, 3), 0.3, np.float32)), 1, rtol=1e-3
    )
    noise = [measures.checker(random_image(seed, 256, 264)) for seed in range(4)]
    np.testing.assert_allclose(np.mean(noise), 1, atol=0.05)


@pytest.mark.slow
def test_checker_is_the_same_in_both_directions():
    image = random_image(0, 64, 96)
    image[:, ::8] = 0
    turned = measures.checker(image.transpose(1, 0, 2))
    np.testing.assert_allclose(measures.checker(image), turned, rtol=1e-5)
    assert turned > 2


@pytest.mark.parametrize("shape", [(64, 64), (63, 64, 3), (64, 64, 4), (1, 64, 64, 3)])
def test_checker_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="sides of at least 64"):
        measures.checker(np.zeros(shape, np.float32))


def test_judge_refuses_pictures_that_do_not_fit():
    picture, small = random_image(0), random_image(0)[:32]
    with pytest.raises(ValueError, match="style has shape"):
        measures.judge(picture, picture, small, features)
    with pytest.raises(ValueError, match="need the same"):
        measures.judge(picture, random_image(0, 64, 80), picture, features)


@pytest.mark.slow
def test_good_pictures_score_better_than_poor_ones(data_dir):
    path = data_dir / "prototype_sheet.jpg"
    if not path.is_file():
        pytest.skip(f"no {path}; set BNNJAX_DATA")
    # Rows of the sheet, below 16 px of label each: photograph, painting, plain pixels, pyramid.
    sheet = images.load(path)[:, :224]
    rows = [images.center_crop(sheet[top : top + 224], size=144) for top in (16, 256, 496, 736)]
    photograph, painting, poor, good = rows
    judge = measures.vgg_features(data_dir / "weights" / "vgg19_conv_to_conv5_1_q8.npz")
    untouched, poor, good = (
        measures.judge(picture, photograph, painting, judge) for picture in (photograph, poor, good)
    )
    for measure in ("style", "strokes"):
        assert good[measure] < poor[measure] < untouched[measure]
    assert abs(good["checker"] - 1) < 0.2 < poor["checker"] - 1
    assert untouched["content"] == 0


def _float32(maps):
    return {tap: jnp.asarray(values, jnp.float32) for tap, values in maps.items()}
