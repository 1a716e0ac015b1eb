"""The result of a stylization: pictures, losses, problems, files, and its display in notebooks."""

import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import bnnjax
from bnnjax import images
from bnnjax.nst.recipe import KEYWORD

WEIGHTS = {
    "content_weight": 0.5,
    "style_weight": np.array([2.0, 3.0, 4.0]),
    "tv_weight": [0.1, 0.0, 0.3],
    "color_weight": 0.25,
    "style_tap_weights": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
}


@pytest.fixture(scope="module")
def result(toy, tmp_path_factory, make_picture):
    """The result for a photograph whose name looks like an HTML tag, and for two arrays."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / "<b>oat & sea.png", folder / "wave.png"]
    for seed, path in enumerate(paths):
        coded = np.rint(255 * make_picture(seed, 32, 32)).astype(np.uint8)
        Image.fromarray(coded).save(path)
    contents = [paths[0], make_picture(2, 32, 32), make_picture(3, 48, 60)]
    return bnnjax.stylize_batch(
        contents, paths[1], model=toy, size=32, steps=4, progress=False, **WEIGHTS
    )


def changed(result, **changes):
    return dataclasses.replace(result, minimized=dataclasses.replace(result.minimized, **changes))


@pytest.mark.slow
def test_pictures_and_losses_come_in_the_order_of_their_pairs(result):
    assert result.names == ["<b>oat & sea__wave", "content2__wave", "content3__wave"]
    assert [image.shape for image in result.images] == [(32, 32, 3), (32, 32, 3), (32, 40, 3)]
    assert len(result.losses) == 3
    for losses in result.losses:
        assert losses.keys() == {"total", "content", "style", "tv", "color"}
        assert {values.shape for values in losses.values()} == {(4,)}


@pytest.mark.slow
def test_pictures_are_made_once(result):
    """Looking at them twice does not compute them twice."""
    assert result.images is result.images


def test_totals_are_weighted_sums_of_the_other_terms(result):
    for number, losses in enumerate(result.losses):
        total = sum(
            np.broadcast_to(WEIGHTS[f"{term}_weight"], 3)[number] * losses[term]
            for term in ("content", "style", "tv", "color")
        )
        np.testing.assert_allclose(losses["total"], total, rtol=1e-5)


def test_a_run_that_went_well_has_no_problems(result):
    assert result.problems == []
    assert not result.interrupted


def test_problems_name_the_picture_and_the_step(result):
    assert changed(result, interrupted=True).problems == [
        "interrupted; the best pictures so far are kept"
    ]
    second, third = changed(result, diverged={2: 3, 1: 4}).problems
    assert second.startswith("content2__wave: the loss was no longer finite at step 4")
    assert third.startswith("content3__wave: the loss was no longer finite at step 3")


def test_the_run_is_described_by_plain_json(result):
    run = json.loads(json.dumps(result.run))
    assert run["network"] == "toy"
    assert run["pictures"] == 3
    assert run["options"]["steps"] == 4
    assert run["options"]["style_weight"] == [2.0, 3.0, 4.0]
    assert run["seconds"].keys() == {"prepare", "optimize"}
    assert min(run["seconds"].values()) > 0
    assert run["versions"].keys() == {"bnnjax", "jax", "flax", "optax"}


# --- files ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "below"
    return folder, result.save(folder)


@pytest.mark.slow
def test_everything_is_saved_and_reported(saved):
    pytest.importorskip("matplotlib")
    folder, paths = saved
    assert sorted(paths) == sorted(folder.iterdir())
    assert [path.name for path in paths] == [
        "<b>oat & sea__wave.png",
        "content2__wave.png",
        "content3__wave.png",
        "<b>oat & sea__wave.losses.csv",
        "<b>oat & sea__wave.losses.png",
        "<b>oat & sea__wave.sheet.png",
    ]


def test_saved_pictures_are_the_results_with_their_recipes(result, saved):
    for number, (path, image) in enumerate(zip(saved[1], result.images, strict=False)):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.rint(255 * image))
        assert images.read_metadata(path)[KEYWORD] == result.recipe(number).to_json()


def test_the_sheet_shows_photograph_painting_and_result(result, saved):
    painting = result.paintings[0].cropped
    photographs = [photograph.cropped for photograph in result.photographs]
    rows = [[*pair, painting] for pair in zip(photographs, strict=True)]
    rows = [[*row, image] for row, image in zip(rows, result.images, strict=True)]
    contents = ["<b>oat & sea", "content2", "content3"]
    labels = [[content, "wave", f"{content}__wave"] for content in contents]
    expected = images.contact_sheet(rows, labels=labels)
    sheet = images.load(saved[0] / "<b>oat & sea__wave.sheet.png")
    np.testing.assert_allclose(sheet, expected, atol=0.51 / 255)


def test_saving_twice_asks_for_permission(result, saved, tmp_path):
    folder, _ = saved
    before = sorted(folder.iterdir())
    with pytest.raises(ValueError, match=r"content3__wave\.png: .*exists"):
        result.save(folder)
    assert sorted(folder.iterdir()) == before
    result.save(tmp_path)
    paths = result.save(tmp_path, overwrite=True)
    assert sorted(paths) == sorted(tmp_path.iterdir())


# --- notebooks and consoles ----------------------------------------------------------------


def test_a_notebook_shows_the_pictures_themselves(result):
    html = result._repr_html_()
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert len(sources) == 3
    for source, image in zip(sources, result.images, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))
        np.testing.assert_array_equal(shown, np.rint(255 * image))


def test_a_notebook_shows_names_and_problems_as_text(result):
    html = changed(result, interrupted=True)._repr_html_()
    assert "&lt;b&gt;oat &amp; sea__wave" in html
    assert "<b>" not in html
    assert "interrupted" in html
    assert "interrupted" not in result._repr_html_()


def test_a_console_shows_a_line(result):
    text = repr(result)
    assert len(text.splitlines()) == 1
    assert "3 pictures by toy" in text
    assert "content2__wave" in text
    assert len(text) < 300
    alone = dataclasses.replace(result, pairs=result.pairs[:1])
    assert "1 picture by toy" in repr(alone)
