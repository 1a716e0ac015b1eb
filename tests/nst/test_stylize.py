"""`stylize_batch` from what a user hands over to what he gets, through a small network."""

from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from PIL import Image

import bnnjax
from bnnjax import images
from bnnjax.nst import color, optimize
from bnnjax.nst.config import CHOICES, StylizeConfig
from bnnjax.nst.stylize import configured


@pytest.fixture(scope="module")
def stylize(toy):
    return partial(bnnjax.stylize_batch, model=toy, size=32, progress=False)


@pytest.fixture(scope="module")
def photograph(make_picture):
    return make_picture(0, 32, 32)


@pytest.fixture(scope="module")
def painting(make_picture):
    return make_picture(1, 40, 40)


# --- pictures in, pictures out -------------------------------------------------------------


def test_the_loss_falls(stylize, photograph, painting):
    total = stylize(photograph, painting, steps=60, init="content").losses[0]["total"]
    assert len(total) == 60
    assert total[-10:].mean() < 0.3 * total[0]


def test_the_picture_moves_towards_the_painting(stylize, toy, photograph, painting):
    """Measured by NumPy at a tap of the network, outside of all losses."""

    def colours(picture):
        return np.cov(picture.reshape(-1, 3), rowvar=False)

    def responses(picture):
        _, taps = toy.apply(toy.variables, picture[None])
        return np.cov(np.asarray(taps["stem"]).reshape(-1, 32), rowvar=False)

    found = stylize(photograph, painting, steps=60).images[0]
    for measure in (colours, responses):
        goal = measure(images.fit(painting, size=32))
        before = np.linalg.norm(measure(photograph) - goal)
        assert np.linalg.norm(measure(found) - goal) < 0.5 * before


def test_a_tflite_file_is_a_network(photograph, painting, tmp_path):
    pytest.importorskip("tflite")
    path = tmp_path / "deployed.tflite"
    archive = np.load(Path(__file__).parents[1] / "reference" / "lce.npz")
    path.write_bytes(archive["ones file"].tobytes())
    choices = {"size": 32, "steps": 20, "progress": False}
    result = bnnjax.stylize_batch(photograph, painting, weights=path, **choices)
    assert result.run["network"] == "deployed.tflite"
    assert result.recipe(0)["weights"] == str(path)
    total = result.losses[0]["total"]
    assert total[-1] < 0.7 * total[0]
    other = bnnjax.stylize_batch(
        photograph, painting, weights=path, preprocessing="unit", **choices
    )
    assert other.recipe(0)["provenance"]["preprocessing"] == "unit"
    assert np.abs(other.images[0] - result.images[0]).max() > 0.01
    with pytest.raises(ValueError, match=r"chosen for \.tflite files only"):
        bnnjax.stylize_batch(photograph, painting, preprocessing="unit", **choices)
    with pytest.raises(ValueError, match="a loaded network has its preprocessing"):
        bnnjax.stylize_batch(
            photograph, painting, model=result.network, preprocessing="unit", **choices
        )


def test_results_are_pictures_of_the_photographs_shape(stylize, make_picture, painting):
    found = stylize([make_picture(0, 50, 62), make_picture(1, 20, 20)], painting, steps=1)
    assert [image.shape for image in found.images] == [(32, 40, 3), (32, 32, 3)]
    for image in found.images:
        assert image.dtype == np.float32
        assert 0 <= image.min() <= image.max() <= 1


def test_every_form_of_a_picture_gives_the_same_result(stylize, photograph, painting, tmp_path):
    coded = np.rint(255 * photograph).astype(np.uint8)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        Image.fromarray(coded).save(path)
    forms = [
        str(paths[0]),
        paths[1],
        Image.fromarray(coded),
        coded,
        (coded / np.float32(255)).astype(np.float32),
        (coded / 255).astype(np.float64),
        jax.numpy.asarray(coded),
    ]
    found = stylize(forms, painting, steps=3)
    assert len(found.images) == len(forms)
    for image in found.images[1:]:
        np.testing.assert_array_equal(image, found.images[0])
    stacked = stylize(np.stack([coded, coded]), painting, steps=3)
    np.testing.assert_array_equal(stacked.images[1], found.images[0])


def test_product_pairs_everything_in_order(stylize, make_picture):
    contents = [make_picture(seed, 32, 32) for seed in (0, 1)]
    styles = [make_picture(seed, 32, 32) for seed in (2, 3)]
    found = stylize(contents, styles, steps=2, pairing="product")
    assert found.names == [f"content{i}__style{j}" for i in (1, 2) for j in (1, 2)]
    alone = stylize(contents[1], styles[0], steps=2)
    np.testing.assert_array_equal(found.images[2], alone.images[0])


@pytest.mark.parametrize("init", ["content", "matched"])
def test_without_any_step_the_first_picture_is_what_was_chosen(stylize, photograph, painting, init):
    """But for the values at the ends of the range, which the pyramid's logits cannot take."""
    found = stylize(photograph, painting, steps=1, learning_rate=0.0, init=init).images[0]
    first = photograph
    if init == "matched":
        first = np.asarray(color.match(photograph, images.fit(painting, size=32)))
        assert np.abs(first - photograph).max() > 0.05
    np.testing.assert_allclose(found, np.clip(first, 0.02, 0.98), atol=1e-5)


def test_the_paintings_size_is_its_own(stylize, photograph, make_picture):
    painting = make_picture(1, 96, 96)
    small = stylize(photograph, painting, steps=1)
    large = stylize(photograph, painting, steps=1, style_size=96)
    assert large.images[0].shape == small.images[0].shape == (32, 32, 3)
    assert small.losses[0]["style"] != large.losses[0]["style"]
    shrunk = stylize(photograph, images.fit(painting, size=32), steps=1)
    np.testing.assert_allclose(small.losses[0]["style"], shrunk.losses[0]["style"], rtol=1e-4)


def test_all_other_choices_work_together(stylize, photograph, painting):
    found = stylize(
        photograph,
        painting,
        steps=30,
        init="noise",
        parametrization="pixels",
        statistics="gram",
        tv="absolute",
        pooling="avg",
        pseudo_gradient="swish_sign",
        shift=0,
        optimizer=optax.adam(0.02),
        style_taps=["binary"],
        content_taps=["stem"],
    )
    total = found.losses[0]["total"]
    assert total[-1] < 0.7 * total[0]
    assert not found.problems


def test_options_reach_the_network(toy):
    options = configured(
        toy, StylizeConfig(pooling="avg", clip=float("inf"), pseudo_gradient="approx_sign")
    ).architecture.options
    assert (options.pooling, options.clip, options.pseudo_gradient) == ("avg", None, "approx_sign")
    assert configured(toy, StylizeConfig(clip=0.5)).architecture.options.clip == 0.5
    with pytest.raises(ValueError, match="clip"):
        configured(toy, StylizeConfig(clip=-1.0))


# --- speed ---------------------------------------------------------------------------------


def test_a_second_call_with_other_numbers_compiles_nothing(
    stylize, photograph, painting, make_picture, caplog
):
    stylize(photograph, painting, steps=3)
    compiled = optimize.run_chunk._cache_size()
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        stylize(
            make_picture(7, 32, 32),
            make_picture(8, 40, 40),
            steps=30,
            seed=3,
            content_weight=0.01,
            style_weight=2.0,
            tv_weight=0.0,
            color_weight=5.0,
            style_tap_weights=[1.0, 3.0],
            learning_rate=0.01,
        )
    assert optimize.run_chunk._cache_size() == compiled
    assert [r.message for r in caplog.records if "Compiling" in r.message] == []


def test_compilations_are_seen_by_the_test_above(caplog):
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        jax.jit(lambda x: x * 3 + 1.25)(np.arange(7.0))
    assert any("Compiling" in record.message for record in caplog.records)


# --- signs of life -------------------------------------------------------------------------


def test_previews_show_names_and_pictures_of_the_moment(stylize, photograph, painting):
    seen = []
    found = stylize([photograph, photograph], painting, steps=9, preview=lambda *a: seen.append(a))
    steps, names, pictures = zip(*seen, strict=True)
    assert steps[-1] == 9
    assert all(name == found.names for name in names)
    for shown in pictures:
        assert [picture.shape for picture in shown] == [(32, 32, 3)] * 2
        assert all(np.isfinite(picture).all() for picture in shown)
    np.testing.assert_array_equal(pictures[-1][1], found.images[1])
    assert (pictures[0][0] != pictures[-1][0]).any()


def test_progress_is_shown_unless_it_is_not_wanted(stylize, photograph, painting, capsys):
    stylize(photograph, painting, steps=2)
    assert capsys.readouterr() == ("", "")
    stylize(photograph, painting, steps=2, progress=True)
    assert "2/2" in capsys.readouterr().err


def test_an_interruption_keeps_the_best_so_far(stylize, photograph, painting):
    shown = []

    def interrupt(done, names, pictures):
        shown.append((done, pictures))
        if len(shown) == 2:
            raise KeyboardInterrupt

    found = stylize([photograph, photograph], painting, steps=500, preview=interrupt)
    assert found.interrupted
    assert found.problems[0].startswith("interrupted")
    done, pictures = shown[-1]
    assert 0 < done < 500
    for place in range(2):
        assert len(found.losses[place]["total"]) == done
        np.testing.assert_array_equal(found.images[place], pictures[place])
    assert set(found.seconds) == {"prepare", "optimize"}


@pytest.mark.parametrize("chunks", [0, 1])
def test_an_interruption_between_two_pictures_keeps_both(
    stylize, photograph, painting, monkeypatch, chunks
):
    """The first picture has made a step and the second none, or none of them any."""
    made = []
    run_chunk = optimize.run_chunk

    def interrupted(*args):
        if len(made) == chunks:
            raise KeyboardInterrupt
        made.append(args)
        return run_chunk(*args)

    interrupted.lower = run_chunk.lower  # by which memory is estimated
    monkeypatch.setattr(optimize, "run_chunk", interrupted)
    found = stylize([photograph, photograph], painting, steps=5, init="content")
    assert found.interrupted
    assert [len(losses.get("total", ())) for losses in found.losses] == [chunks, 0]
    np.testing.assert_allclose(found.images[1], np.clip(photograph, 0.02, 0.98), atol=1e-5)


# --- not a number --------------------------------------------------------------------------


def test_a_picture_that_diverges_is_named_and_kept_as_it_was(stylize, photograph, painting):
    choices = {"steps": 6, "init": "content"}
    found = stylize([photograph] * 3, painting, learning_rate=[0.03, 3e38, 0.03], **choices)
    healthy = stylize(photograph, painting, **choices)
    assert len(found.problems) == 1
    assert found.problems[0].startswith("content2__style1: the loss was no longer finite at step")
    assert "learning_rate" in found.problems[0]
    assert all(np.isfinite(image).all() for image in found.images)
    for place in (0, 2):
        np.testing.assert_array_equal(found.images[place], healthy.images[0])
    np.testing.assert_allclose(found.images[1], np.clip(photograph, 0.02, 0.98), atol=1e-5)


@pytest.fixture(scope="module")
def poison():
    """An optimiser all of whose updates are NaN once it has made three steps."""
    descent = optax.adam(0.01)

    def update(updates, state, params=None, **_):
        count, inner = state
        updates, inner = descent.update(updates, inner, params)
        bad = jax.numpy.where(count >= 3, jax.numpy.nan, 0.0)
        return jax.tree.map(lambda u: u + bad, updates), (count + 1, inner)

    return optax.GradientTransformation(lambda z: (0, descent.init(z)), update)


def test_the_best_picture_before_the_damage_is_kept(stylize, photograph, painting, poison):
    shown = {}
    found = stylize(
        photograph,
        painting,
        steps=20,
        optimizer=poison,
        preview=lambda done, _, pictures: shown.update({done: pictures[0]}),
    )
    total = found.losses[0]["total"]
    assert np.isfinite(total[:4]).all()
    assert np.isnan(total[4])  # of the picture that the fourth step made
    assert found.problems[0].startswith("content1__style1: the loss was no longer finite at step 5")
    assert np.isfinite(found.images[0]).all()
    last_good = max(done for done in shown if done <= 3)
    np.testing.assert_array_equal(found.images[0], shown[last_good])


def test_damage_by_the_very_last_step_is_a_problem_too(stylize, photograph, painting, poison):
    """The loss is of the picture before a step, so that the last step has none."""
    found = stylize(photograph, painting, steps=4, optimizer=poison)
    assert np.isfinite(found.images[0]).all()
    assert found.problems


# --- refusals ------------------------------------------------------------------------------


def refused(stylize, message, content, style, **choices):
    with pytest.raises(ValueError, match=message) as raised:
        stylize(content, style, **choices)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"stlye_weight": 1.0}, "no choice 'stlye_weight'; did you mean 'style_weight'"),
        ({"style_taps": ["stemm"]}, "toy has no tap 'stemm'; did you mean 'stem'"),
        ({"content_taps": ["zzz"]}, r"toy has no tap 'zzz'\. There are: stem, binary_conv"),
        ({"optimizer": "adamm"}, "no optimizer 'adamm'"),
        ({"optimizer": "clip"}, "clip"),
        ({"pooling": "min"}, "pooling is 'min', needs one of"),
        ({"pseudo_gradient": "relu"}, "pseudo_gradient is 'relu', needs one of"),
        ({"clip": 0.0}, "clip is 0.0, needs a positive number"),
        ({"pairing": "all"}, "pairing is 'all', needs one of"),
        ({"learning_rate": [0.1, 0.2]}, r"learning_rate has shape \(2,\)"),
        ({"style_tap_weights": [1, 2, 3]}, r"style_tap_weights has shape \(3,\)"),
        ({"weights": "somewhere"}, "both a loaded network and weights were given"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(stylize, photograph, painting, choices, message):
    refused(stylize, message, photograph, painting, **choices)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", "64"),
        ("size", 64.5),
        ("style_size", "64"),
        ("steps", 2.5),
        ("steps", "3"),
        ("shift", 2.5),
        ("shift", None),
        ("seed", "x"),
        ("seed", 1.5),
        ("seed", None),
        ("clip", "wide"),
        ("style_taps", 5),
        ("style_taps", "stem"),
    ],
)
def test_a_choice_of_another_type_is_named(stylize, photograph, painting, name, value):
    assert name in CHOICES
    refused(stylize, name, photograph, painting, **{name: value})


def test_numbers_of_pictures_that_do_not_fit_are_refused(stylize, photograph, painting):
    refused(stylize, "2 contents and 3 styles do not zip", [photograph] * 2, [painting] * 3)
    refused(stylize, "no content pictures", [], painting)
    refused(stylize, "no style pictures", photograph, [])


def test_pictures_that_are_none_are_named(stylize, photograph, painting, tmp_path):
    (tmp_path / "text.png").write_text("text")
    refused(stylize, r"text\.png: cannot be read", tmp_path / "text.png", painting)
    refused(stylize, r"none\.png: cannot be read", photograph, [painting, tmp_path / "none.png"])
    refused(stylize, "style1: ", photograph, np.full((8, 8, 3), np.nan))
    refused(stylize, "content2: ", [photograph, photograph * 255], painting)


def test_networks_that_are_none_are_refused(photograph, painting, quicknet_file, tmp_path):
    call = partial(bnnjax.stylize_batch, progress=False)
    refused(call, "did you mean 'quicknet_v0'", photograph, painting, model="quicknet_v")
    wrong = {"model": "vgg19", "weights": quicknet_file}
    refused(call, "holds quicknet_v0, not vgg19", photograph, painting, **wrong)
    refused(call, "is a directory; a network is a file", photograph, painting, weights=tmp_path)
