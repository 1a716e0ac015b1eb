"""`stylize_batch` from a user's inputs to the result, through a small network."""

import inspect
from functools import partial
from pathlib import Path
from typing import get_args

import jax
import numpy as np
import optax
import pytest
from PIL import Image

import bnnjax
from bnnjax import images, optimize
from bnnjax.nst import color
from bnnjax.nst.config import OPTIONS, PRESETS, Parametrized, StylizeConfig
from bnnjax.nst.stages import PARAMETRIZATIONS
from bnnjax.nst.transfer import configured
from bnnjax.optimize import devices, memory, snapshots

CPU = (jax.local_devices()[0],)


@pytest.fixture(scope="module")
def stylize(toy):
    return partial(bnnjax.stylize_batch, model=toy, size=32, progress=False)


@pytest.fixture(scope="module")
def photograph(make_picture):
    return make_picture(0, 32, 32)


@pytest.fixture(scope="module")
def painting(make_picture):
    return make_picture(1, 40, 40)


@pytest.fixture(scope="module")
def photographs(photograph, make_picture):
    """Three of one shape and one of another."""
    return [photograph, *(make_picture(seed, 32, 32) for seed in (4, 5)), make_picture(6, 32, 40)]


@pytest.fixture(scope="module")
def singles(stylize, photographs, painting):
    """Each photograph in a separate run."""
    return [stylize(photograph, painting, steps=6) for photograph in photographs]


def assert_same_run(found, place, single):
    np.testing.assert_array_equal(found.images[place], single.images[0])
    for name, values in single.losses[0].items():
        np.testing.assert_array_equal(found.losses[place][name], values, name)


# --- the pictures --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sixty_steps(stylize, photograph, painting):
    return stylize(photograph, painting, steps=60, init="content")


def test_the_loss_falls(sixty_steps):
    total = sixty_steps.losses[0]["total"]
    assert len(total) == 60
    assert total[-10:].mean() < 0.5 * total[0]


@pytest.mark.slow
def test_the_picture_moves_towards_the_painting(sixty_steps, toy, photograph, painting):
    """NumPy measures this at a tap of the network, independently of the losses."""

    def colours(picture):
        return np.cov(picture.reshape(-1, 3), rowvar=False)

    def responses(picture):
        _, taps = toy.apply(toy.variables, picture[None])
        return np.cov(np.asarray(taps["stem"]).reshape(-1, 32), rowvar=False)

    for measure in (colours, responses):
        goal = measure(images.fit(painting, size=32))
        before = np.linalg.norm(measure(photograph) - goal)
        assert np.linalg.norm(measure(sixty_steps.images[0]) - goal) < 0.5 * before


@pytest.mark.parametrize("init", ["content", "matched"])
def test_without_a_real_step_the_first_picture_comes_back(stylize, photograph, painting, init):
    """Values near 0 and 1 are excepted, because the pyramid's logits cannot represent them."""
    found = stylize(photograph, painting, steps=1, learning_rate=0.0, init=init).images[0]
    first = photograph
    if init == "matched":
        first = np.asarray(color.match(photograph, images.fit(painting, size=32)))
        assert np.abs(first - photograph).max() > 0.05
    np.testing.assert_allclose(found, np.clip(first, 0.02, 0.98), atol=1e-5)


@pytest.mark.slow
def test_the_painting_has_a_size_of_its_own(stylize, photograph, make_picture):
    painting = make_picture(1, 96, 96)
    small = stylize(photograph, painting, steps=1)
    large = stylize(photograph, painting, steps=1, style_size=96)
    assert large.images[0].shape == small.images[0].shape == (32, 32, 3)
    assert small.losses[0]["style"] != large.losses[0]["style"]
    shrunk = stylize(photograph, images.fit(painting, size=32), steps=1)
    np.testing.assert_allclose(small.losses[0]["style"], shrunk.losses[0]["style"], rtol=1e-4)


@pytest.fixture(scope="module")
def other_options(photograph, painting):
    """A call with other options than the defaults."""
    return partial(
        bnnjax.stylize_batch,
        photograph,
        painting,
        size=32,
        progress=False,
        steps=30,
        init="noise",
        parametrization="pixels",
        statistics="gram",
        tv="absolute",
        pooling="avg",
        pseudo_gradient="swish_sign",
        jitter=0,
        optimizer=optax.adam(0.02),
        style_taps=["binary"],
        content_taps=["stem"],
    )


def compilations(caplog):
    return [record.message for record in caplog.records if "Compiling" in record.message]


@pytest.mark.slow
def test_the_other_options_work_together_and_compile_their_step_once(other_options, toy, caplog):
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        found = other_options(model=toy)
    total = found.losses[0]["total"]
    assert total[-1] < 0.7 * total[0]
    assert not found.problems
    assert sum("run_chunk" in message for message in compilations(caplog)) == 1


def test_every_parametrization_has_a_name():
    assert {*PARAMETRIZATIONS} == {*get_args(Parametrized)}
    for name, make in PARAMETRIZATIONS.items():
        assert make.__name__ == name


def test_options_reach_the_network(toy):
    config = StylizeConfig(pooling="avg", clip=float("inf"), pseudo_gradient="approx_sign")
    options = configured(toy, config).architecture.options
    assert (options.pooling, options.clip, options.pseudo_gradient) == ("avg", None, "approx_sign")
    assert configured(toy, StylizeConfig(clip=0.5)).architecture.options.clip == 0.5


# --- forms and numbers of pictures ---------------------------------------------------------


@pytest.mark.slow
def test_results_have_the_shapes_of_their_photographs(stylize, make_picture, painting):
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


def test_product_pairs_everything_in_order(stylize, photographs, make_picture):
    styles = [make_picture(seed, 32, 32) for seed in (2, 3)]
    found = stylize(photographs[:2], styles, steps=2, pairing="product")
    assert found.names == [f"content{i}__style{j}" for i in (1, 2) for j in (1, 2)]
    assert_same_run(found, 2, stylize(photographs[1], styles[0], steps=2))


@pytest.fixture
def without_steps(monkeypatch):
    """Skips the optimisation."""

    def minimize(objective, variables, pictures, *_, **__):
        return optimize.Minimized(pictures, [{} for _ in pictures])

    monkeypatch.setattr(optimize, "minimize", minimize)


@pytest.fixture
def paint_by_tflite(photograph, painting, tmp_path):
    """A call whose ``model`` is a file of Larq Compute Engine."""
    pytest.importorskip("tflite")
    path = tmp_path / "deployed.tflite"
    archive = np.load(Path(__file__).parents[1] / "reference" / "lce.npz")
    path.write_bytes(archive["ones file"].tobytes())
    options = {"model": path, "size": 32, "steps": 20, "progress": False}
    return partial(bnnjax.stylize_batch, photograph, painting, **options)


@pytest.mark.slow
def test_a_tflite_file_is_a_network(paint_by_tflite):
    result = paint_by_tflite()
    assert result.run["network"] == "deployed.tflite"
    assert result.recipe(0).model == "deployed.tflite"
    total = result.losses[0]["total"]
    assert total[-1] < 0.85 * total[0]


@pytest.mark.usefixtures("without_steps")
def test_preprocessing_is_chosen_for_files_that_do_not_state_it(paint_by_tflite, toy):
    found = paint_by_tflite(preprocessing="unit")
    assert found.recipe(0).provenance["preprocessing"] == "unit"
    with pytest.raises(ValueError, match=r"inknet: preprocessing is chosen for .* files only"):
        paint_by_tflite(model=None, preprocessing="unit")
    with pytest.raises(ValueError, match="a loaded network has its preprocessing"):
        paint_by_tflite(model=toy, preprocessing="unit")


# --- batches -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_batch_equals_single_runs(stylize, photographs, painting, singles):
    """On a CPU they are equal bit by bit: each picture is run alone, by the same compiled step."""
    order = [3, 1, 0, 2]
    found = stylize([photographs[i] for i in order], painting, steps=6)
    for place, i in enumerate(order):
        assert_same_run(found, place, singles[i])


@pytest.mark.slow
def test_wide_groups_agree_with_single_runs(stylize, photographs, painting, singles, monkeypatch):
    """They are close but not equal: sums over a wider array may be in another order, and a sign
    near 0 may flip. Every second group is padded."""
    monkeypatch.setattr(devices, "find", lambda: devices.Devices(CPU, most=2, shared=True))
    found = stylize(photographs, painting, steps=6)
    for place, single in enumerate(singles):
        assert np.abs(found.images[place] - single.images[0]).mean() < 1e-3
        total = single.losses[0]["total"]
        np.testing.assert_allclose(found.losses[place]["total"], total, rtol=1e-2)


def test_weights_of_each_picture_are_its_own(stylize, photographs, painting):
    weights = {"content_weight": [0.0, 5.0, 1.0], "learning_rate": [0.01, 0.03, 0.002]}
    found = stylize(photographs[:3], painting, steps=4, **weights)
    for place, photograph in enumerate(photographs[:3]):
        own = {name: values[place] for name, values in weights.items()}
        assert_same_run(found, place, stylize(photograph, painting, steps=4, **own))


# --- sweeps --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swept(stylize, photographs, painting):
    """Two photographs with different learning rates, two weights of content and two of style."""
    sweep = {"content_weight": [0, 5], "style_weight": np.array([0.5, 2])}
    return stylize(photographs[:2], painting, steps=4, learning_rate=[0.01, 0.03], sweep=sweep)


SETTINGS = [(content, style) for content in (0, 5) for style in (0.5, 2)]
LABELS = [f"content_weight={content},style_weight={style}" for content, style in SETTINGS]


def test_a_sweep_makes_every_pair_with_every_setting(swept):
    expected = [f"content{i}__style1__{label}" for i in (1, 2) for label in LABELS]
    assert swept.names == expected


def test_each_picture_of_a_sweep_has_its_setting(stylize, photographs, painting, swept):
    for place in (0, 1, 6):
        content, style = SETTINGS[place % 4]
        own = {"content_weight": content, "style_weight": style}
        rate = (0.01, 0.03)[place // 4]
        config = swept.recipe(place).config
        assert (config.content_weight, config.style_weight) == (content, style)
        assert config.learning_rate == rate
        single = stylize(photographs[place // 4], painting, steps=4, learning_rate=rate, **own)
        assert_same_run(swept, place, single)


@pytest.mark.slow
def test_the_sheet_of_a_sweep_has_a_row_per_pair_labelled_with_the_settings(swept, tmp_path):
    paths = swept.save(tmp_path)
    assert [path.stem for path in paths[:8]] == swept.names
    painting, rows, labels = swept.paintings[0].cropped, [], []
    for i in range(2):
        rows.append([swept.photographs[i].cropped, painting, *swept.images[4 * i : 4 * i + 4]])
        labels.append([f"content{i + 1}", "style1", *LABELS])
    expected = images.contact_sheet(rows, labels=labels)
    sheet = images.load(tmp_path / f"{swept.names[0]}.sheet.png")
    np.testing.assert_allclose(sheet, expected, atol=0.51 / 255)


def test_settings_that_look_alike_have_different_names(stylize, photograph, painting):
    sweep = {"tv_weight": [0.12345671, 0.12345672]}
    first, second = stylize(photograph, painting, steps=1, sweep=sweep).names
    assert first == "content1__style1__tv_weight=0.123457"
    assert second == "content1__style1__tv_weight=0.123457-2"


# --- randomness ----------------------------------------------------------------------------


def test_the_seed_decides_on_the_pixels(stylize, photographs, painting, singles):
    assert_same_run(stylize(photographs[0], painting, steps=6, seed=0), 0, singles[0])
    other = stylize(photographs[0], painting, steps=6, seed=1)
    assert (other.images[0] != singles[0].images[0]).any()


def test_initial_noise_depends_on_the_seed(stylize, photographs, painting):
    options = {"init": "noise", "steps": 1, "learning_rate": 0.0}
    a, b, c = (
        stylize(photographs[:2], painting, seed=seed, **options).images for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[0], a[1])  # the same for all pictures
    assert (a[0] != c[0]).any()
    assert abs(a[0].mean() - 0.5) < 0.003
    assert abs(a[0].std() - 0.1 * 12**-0.5) < 0.003  # uniform from 0.45 to 0.55


# --- compilation ---------------------------------------------------------------------------


def test_a_second_call_with_other_numbers_compiles_nothing(
    stylize, photograph, painting, make_picture, caplog
):
    stylize(photograph, painting, steps=3)
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
    assert compilations(caplog) == []


# --- options and presets -------------------------------------------------------------------


def test_the_signature_names_every_option_with_its_default():
    parameters = inspect.signature(bnnjax.stylize_batch).parameters
    assert [name for name in parameters if name in OPTIONS] == [*OPTIONS]
    for name in OPTIONS:
        assert parameters[name].default == getattr(StylizeConfig(), name)
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    assert not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    assert {"contents", "styles", "model", "sweep", "extra_terms", "preset"} < {*parameters}


@pytest.fixture
def config_of(photograph, painting, without_steps):
    """A function from the options of a call to the complete options."""
    return lambda **options: bnnjax.stylize_batch(photograph, painting, **options).config


@pytest.mark.slow
def test_the_shipped_network_has_its_own_preset(config_of):
    assert config_of() == StylizeConfig(content_weight=0.9)
    assert config_of(preset="preview") == StylizeConfig(content_weight=0.9, **PRESETS["preview"])
    assert config_of(content_weight=2).content_weight == 2
    assert config_of(config=StylizeConfig(steps=7)) == StylizeConfig(steps=7)


def test_other_networks_have_the_defaults(config_of, toy):
    assert config_of(model=toy) == StylizeConfig()


# --- progress ------------------------------------------------------------------------------


def test_previews_show_names_and_the_best_pictures_so_far(stylize, photographs, painting):
    seen = []
    found = stylize(photographs[2:], painting, steps=9, preview=lambda *a: seen.append(a))
    for place, name in enumerate(found.names):
        steps, pictures = zip(
            *((done, pictures[0]) for done, names, pictures in seen if names == [name]), strict=True
        )
        assert list(steps) == sorted({*steps})
        assert steps[-1] == 9
        for picture in pictures:
            assert picture.shape == found.images[place].shape
            assert np.isfinite(picture).all()
        np.testing.assert_array_equal(pictures[-1], found.images[place])
        assert (pictures[0] != pictures[-1]).any()
    assert {name for _, names, _ in seen for name in names} == {*found.names}


def test_progress_is_shown_unless_it_is_not_wanted(stylize, photograph, painting, capsys):
    stylize(photograph, painting, steps=2)
    assert capsys.readouterr() == ("", "")
    stylize(photograph, painting, steps=2, progress=True)
    assert "2/2" in capsys.readouterr().err


# --- interruptions -------------------------------------------------------------------------


def test_an_interruption_keeps_the_best_so_far(stylize, photograph, painting):
    shown = []

    def interrupt(done, names, pictures):
        shown.append((done, pictures))
        if done >= 3:
            raise KeyboardInterrupt

    found = stylize(photograph, painting, steps=500, preview=interrupt)
    assert found.interrupted
    assert found.problems[0].startswith("interrupted")
    done, pictures = shown[-1]
    assert 0 < done < 500
    assert len(found.losses[0]["total"]) == done
    np.testing.assert_array_equal(found.images[0], pictures[0])
    assert {*found.minimized.seconds} == {"prepare", "optimize"}


@pytest.mark.filterwarnings("ignore:No artists with labels")
def test_an_interruption_between_two_pictures_keeps_both(
    stylize, photographs, painting, monkeypatch, tmp_path
):
    """The first picture has made a step, the second none; both are saved."""
    monkeypatch.setattr(devices, "find", lambda: devices.Devices(CPU, most=1, shared=True))

    def interrupt(*_):
        raise KeyboardInterrupt

    found = stylize(photographs[:2], painting, steps=5, init="content", preview=interrupt)
    assert found.interrupted
    assert [len(losses.get("total", ())) for losses in found.losses] == [1, 0]
    np.testing.assert_array_equal(found.images[1], photographs[1])
    paths = found.save(tmp_path)
    assert [images.load(path).shape for path in paths[:2]] == [(32, 32, 3)] * 2
    assert len((tmp_path / f"{found.names[0]}.losses.csv").read_text().splitlines()) == 1 + 1


class Killed(Exception):
    pass


def test_a_killed_run_resumes_from_its_snapshots(
    stylize, photograph, painting, tmp_path, monkeypatch
):
    monkeypatch.setattr(snapshots, "EVERY", 0)
    whole = stylize(photograph, painting, steps=40)

    def kill(done, *_):
        if done >= 3:
            raise Killed

    options = {"steps": 40, "snapshots": tmp_path / "snapshots"}
    with pytest.raises(Killed):
        stylize(photograph, painting, preview=kill, **options)
    with pytest.raises(ValueError, match="holds snapshots of another run"):
        stylize(photograph, painting, content_weight=2.0, **options)
    seen = []
    resumed = stylize(photograph, painting, preview=lambda done, *_: seen.append(done), **options)
    assert seen[0] > 3
    assert_same_run(resumed, 0, whole)


# --- divergence ----------------------------------------------------------------------------


def test_a_picture_that_diverges_is_named_and_does_not_change(stylize, photograph, painting):
    options = {"steps": 6, "init": "content"}
    found = stylize([photograph] * 3, painting, learning_rate=[0.03, 3e38, 0.03], **options)
    healthy = stylize(photograph, painting, **options)
    assert len(found.problems) == 1
    assert found.problems[0].startswith("content2__style1: the loss was no longer finite at step")
    assert "learning_rate" in found.problems[0]
    assert all(np.isfinite(image).all() for image in found.images)
    for place in (0, 2):
        np.testing.assert_array_equal(found.images[place], healthy.images[0])
    np.testing.assert_allclose(found.images[1], np.clip(photograph, 0.02, 0.98), atol=1e-5)


def test_a_picture_whose_loss_only_rises_is_named(stylize, photograph, painting):
    """The pyramid's sigmoid keeps the loss finite at any learning rate."""
    found = stylize([photograph] * 2, painting, learning_rate=[0.03, 1e9], steps=6)
    (problem,) = found.problems
    assert problem.startswith("content2__style1: the loss rose from")
    assert "learning_rate" in problem


@pytest.fixture(scope="module")
def poison():
    """An optimizer whose updates are all NaN after three steps."""
    descent = optax.adam(0.01)

    def update(updates, state, params=None, **_):
        count, inner = state
        updates, inner = descent.update(updates, inner, params)
        bad = jax.numpy.where(count >= 3, jax.numpy.nan, 0.0)
        return jax.tree.map(lambda u: u + bad, updates), (count + 1, inner)

    return optax.GradientTransformation(lambda z: (0, descent.init(z)), update)


@pytest.mark.slow
def test_the_best_picture_before_divergence_is_kept(stylize, photograph, painting, poison):
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
    assert np.isnan(total[4])  # of the picture that the fourth step computed
    assert found.problems[0].startswith("content1__style1: the loss was no longer finite at step 5")
    assert np.isfinite(found.images[0]).all()
    last_good = max(done for done in shown if done <= 3)
    np.testing.assert_array_equal(found.images[0], shown[last_good])


@pytest.mark.slow
def test_divergence_in_the_last_step_is_a_problem(stylize, photograph, painting, poison):
    """The loss belongs to the picture before a step, so it does not show this."""
    found = stylize(photograph, painting, steps=4, optimizer=poison)
    assert np.isfinite(found.losses[0]["total"]).all()
    assert np.isfinite(found.images[0]).all()
    assert found.problems


# --- bad input -----------------------------------------------------------------------------


def refused(stylize, message, content, style, **options):
    with pytest.raises(ValueError, match=message) as raised:
        stylize(content, style, **options)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stlye_weight": 1.0}, "no option 'stlye_weight'; did you mean 'style_weight'"),
        ({"preset": "preveiw"}, "no preset 'preveiw'; did you mean 'preview'"),
        ({"style_taps": ["stemm"]}, "toy has no tap 'stemm'; did you mean 'stem'"),
        ({"content_taps": ["zzz"]}, r"toy has no tap 'zzz'\. There are: stem, binary_conv"),
        ({"optimizer": "adamm"}, "no optimizer 'adamm'"),
        ({"optimizer": "clip"}, "clip"),
        ({"size": 64.5}, "size is 64.5, needs"),
        ({"pooling": "min"}, "pooling is 'min', needs one of"),
        ({"clip": 0.0}, "clip is 0.0, needs a positive number"),
        ({"pairing": "all"}, "pairing is 'all', needs one of"),
        ({"learning_rate": [0.1, 0.2]}, r"learning_rate has shape \(2,\)"),
        ({"style_tap_weights": [1, 2, 3]}, r"style_tap_weights has shape \(3,\)"),
        ({"sweep": {"content_wieght": [1]}}, "no sweep over 'content_wieght'; did you mean"),
        ({"sweep": {"style_tap_weights": [1]}}, "no sweep over 'style_tap_weights'"),
        ({"sweep": {"steps": [1, 2]}}, "no sweep over 'steps'"),
        ({"sweep": {"tv_weight": 1.0}}, "the sweep over tv_weight is 1.0, needs a sequence"),
        ({"sweep": {"tv_weight": []}}, r"the sweep over tv_weight is \[\], needs a sequence"),
        (
            {"sweep": {"tv_weight": [1, -1]}},
            r"tv_weight is \[1, -1\], needs finite non-negative numbers",
        ),
        ({"sweep": {"tv_weight": ["a"]}}, r"tv_weight is \['a'\], needs numbers"),
    ],
)
def test_an_invalid_option_is_refused(stylize, photograph, painting, options, message):
    refused(stylize, message, photograph, painting, **options)


def test_numbers_of_pictures_that_do_not_fit_are_refused(stylize, photograph, painting):
    refused(stylize, "2 contents and 3 styles do not zip", [photograph] * 2, [painting] * 3)
    refused(stylize, "no content pictures", [], painting)
    refused(stylize, "no style pictures", photograph, [])


def test_invalid_pictures_are_named_in_the_error(stylize, photograph, painting, tmp_path):
    (tmp_path / "text.png").write_text("text")
    refused(stylize, r"text\.png: cannot be read", tmp_path / "text.png", painting)
    refused(stylize, r"none\.png: cannot be read", photograph, [painting, tmp_path / "none.png"])
    refused(stylize, "style1: ", photograph, np.full((8, 8, 3), np.nan))
    refused(stylize, "content2: ", [photograph, photograph * 255], painting)


def test_a_run_that_does_not_fit_into_memory_is_refused(stylize, photograph, painting, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    seen = []
    message = r"1 picture.* of this size need.* GiB of memory, .* free"
    refused(stylize, message, photograph, painting, preview=lambda *a: seen.append(a))
    assert not seen


def test_larger_pictures_need_more_memory(singles):
    small, large = (singles[place].minimized.estimated_memory for place in (0, 3))
    assert large > small > 5 * 32 * 32 * 3 * 4  # Adam's moments, best so far, gradient, picture


def test_invalid_networks_are_refused(photograph, painting, tmp_path):
    call = partial(bnnjax.stylize_batch, progress=False)
    refused(call, "did you mean 'quicknet_v0'", photograph, painting, model="quicknet_v")
    refused(call, "is a directory; a network is a file", photograph, painting, model=tmp_path)
