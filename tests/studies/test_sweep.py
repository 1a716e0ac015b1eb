"""Sweeps: the pictures are those of `stylize_batch`, kept, resumed, ranked and repeated."""

import csv

import jax
import numpy as np
import pytest

import bnnjax
from bnnjax import images
from bnnjax.studies import bench, search, study
from bnnjax.studies.front import score

VARY = {"style_weight": [1, 8], "content_weight": "0.1..2.5:3"}
SETTINGS = [(s, c) for s in (1, 8) for c in (0.1, 0.5, 2.5)]


@pytest.fixture
def calls(monkeypatch):
    """How many pictures each call of `stylize_batch` makes."""
    made = []

    def counted(contents, *rest, **options):
        made.append(len(contents))
        return bnnjax.stylize_batch(contents, *rest, **options)

    monkeypatch.setattr(bench, "stylize_batch", counted)
    return made


def judge(pictures):
    """A judge without weights: the pixels, and their differences."""
    return {"pixels": pictures, "edges": pictures[:, 1:] - pictures[:, :-1]}


def test_a_sweep_is_one_compiled_call(small, files, caplog):
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        bnnjax.sweep(files[0], files[2], vary=VARY, **{**small, "size": 36, "tv": "absolute"})
    messages = [record.getMessage() for record in caplog.records]
    assert sum("Finished tracing" in m and "run_chunk" in m for m in messages) == 1
    assert sum("Compiling" in m and "run_chunk" in m for m in messages) == 1


@pytest.mark.slow
def test_pictures_are_those_of_single_runs(small, files, calls):
    study = bnnjax.sweep(files[:2], files[2], vary=VARY, **small)
    assert calls == [12]
    for outcome, (style, content) in zip(study.outcomes[6:], SETTINGS, strict=True):
        single = bnnjax.stylize_batch(
            files[1], files[2], style_weight=style, content_weight=content, **small
        )
        np.testing.assert_allclose(outcome.picture, single.images[0], atol=0.501 / 255)
        assert outcome.recipe.config == single.recipe(0).config
        best = single.losses[0]["total"].argmin()
        assert outcome.losses["style"] == pytest.approx(single.losses[0]["style"][best])


@pytest.mark.slow
def test_static_options_vary_as_well(small, files, calls):
    study = bnnjax.sweep(
        files[0], files[2], vary={"pooling": "max,avg", "style_weight": [1, 2]}, **small
    )
    assert calls == [2, 2]
    assert [o.recipe.config.pooling for o in study.outcomes] == ["max", "max", "avg", "avg"]


@pytest.mark.slow
def test_a_killed_sweep_resumes_without_repeating_pictures(small, files, calls, tmp_path):
    options = {**small, "vary": VARY, "output_dir": tmp_path, "batch": 4}
    whole = bnnjax.sweep(files[0], files[2], **{**options, "output_dir": None})

    calls.clear()
    with pytest.MonkeyPatch.context() as patch:
        made = bench.stylize_batch
        patch.setattr(bench, "stylize_batch", lambda *a, **k: _second_call(made, calls, a, k))
        with pytest.raises(KeyboardInterrupt):
            bnnjax.sweep(files[0], files[2], **options)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.png")}
    assert len(kept) == 4
    calls.clear()
    study = bnnjax.sweep(files[0], files[2], resume=True, **options)
    assert calls == [2]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for found, expected in zip(study.outcomes, whole.outcomes, strict=True):
        np.testing.assert_array_equal(found.picture, expected.picture)
        assert found.measures == expected.measures


def _second_call(make, calls, arguments, keywords):
    if calls:
        raise KeyboardInterrupt
    return make(*arguments, **keywords)


def test_existing_pictures_are_refused_kept_or_replaced(small, files, calls, tmp_path):
    options = {**small, "vary": {"style_weight": [1, 2]}, "output_dir": tmp_path}
    bnnjax.sweep(files[0], files[2], **options)
    with pytest.raises(ValueError, match="exists already"):
        bnnjax.sweep(files[0], files[2], **options)
    with pytest.raises(ValueError, match="was made from other pictures"):
        bnnjax.sweep(files[0], files[2], resume=True, seed=1, **options)
    calls.clear()
    bnnjax.sweep(files[0], files[2], overwrite=True, seed=1, **options)
    bnnjax.sweep(files[0], files[2], resume=True, seed=1, **options)
    assert calls == [2]


@pytest.mark.slow
def test_a_judge_comes_late_to_pictures_that_exist(small, files, calls, tmp_path):
    options = {**small, "size": 64, "vary": {"style_weight": [1, 8]}, "output_dir": tmp_path}
    first = bnnjax.sweep(files[0], files[2], **options)
    assert {"strokes", "content"} & first.outcomes[0].measures.keys() == {"content"}
    calls.clear()
    judged = bnnjax.sweep(files[0], files[2], judge=judge, resume=True, **options)
    assert calls == []
    assert judged.outcomes[0].measures.keys() >= {"style", "strokes", "content", "checker"}
    photograph = judged.photographs[0].cropped
    painting = judged.paintings[0].cropped
    expected = bnnjax.judge.judge(judged.outcomes[0].picture, photograph, painting, judge)
    assert judged.outcomes[0].judged == pytest.approx(expected)


def test_the_best_setting_is_saved_as_a_recipe(small, files, tmp_path):
    study = bnnjax.sweep(files[:2], files[2], vary=VARY, **small)
    pictures, summaries = study.save(tmp_path)
    scores = {s: np.mean([score(o.measures) for o in study.of(s)]) for s in study.settings}
    best = min(scores, key=scores.get)
    recipe = bnnjax.Recipe.read(tmp_path / "best.png")
    assert dict(best).items() <= vars(recipe.config).items()
    again = recipe.run(files[0], files[2], model=small["model"], progress=False)
    np.testing.assert_allclose(
        again.images[0], images.load(tmp_path / "best.png"), atol=0.501 / 255
    )
    assert [path.stem for path in pictures] == [outcome.trial.name for outcome in study.outcomes]
    assert {path.name for path in summaries} == {
        "best.png", "sheet.png", "study.csv", "front.png", "curves.png"
    }  # fmt: skip


@pytest.mark.slow
def test_the_table_has_a_row_per_picture_and_the_sheet_a_row_per_setting(small, files, tmp_path):
    study = bnnjax.sweep(files[:2], files[2], vary=VARY, **small)
    study.save(tmp_path)
    with open(tmp_path / "study.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["pair"], row["style_weight"], row["content_weight"]) for row in rows] == [
        (pair, f"{s:g}", f"{c:g}") for pair in ("boat__wave", "lion__wave") for s, c in SETTINGS
    ]
    assert [float(row["style"]) for row in rows] == [o.losses["style"] for o in study.outcomes]
    # For each pair the originals and two rows of three pictures, with labels.
    assert study.sheet().shape == (8 + 6 * (176 + 8 + 20), 8 + 3 * (176 + 8), 3)
    assert study._repr_png_().startswith(b"\x89PNG")


def test_front_and_best_follow_from_the_means(small, files):
    study = bnnjax.sweep(files[0], files[2], vary=VARY, **small)
    points = [(m["style"], m["content"]) for m in study.means.values()]
    for setting, point in zip(study.settings, points, strict=True):
        dominated = any(a <= point[0] and b <= point[1] and (a, b) != point for a, b in points)
        assert (setting in study.front) == (not dominated)
    assert study.table()[1][0].startswith("style_weight=")


def test_unknown_options_are_refused_before_any_work(small, files):
    with pytest.raises(ValueError, match="no option 'jugde'; did you mean 'judge'"):
        bnnjax.sweep(files[0], files[2], vary=VARY, jugde=None, **small)


# --- search --------------------------------------------------------------------------------


@pytest.fixture
def optuna():
    return pytest.importorskip("optuna")


@pytest.mark.slow
def test_a_search_asks_in_batches_and_finds_low_scores(optuna, small, files, calls):
    vary = {"style_weight": "0.5..32", "pooling": "max,avg"}
    study = search.search(files[0], files[2], vary=vary, settings=10, at_once=4, **small)
    assert len(study.settings) <= 10
    assert sum(calls) == len(study.outcomes)
    assert max(calls) <= 4
    for setting in study.settings:
        assert 0.5 <= dict(setting)["style_weight"] <= 32
        assert dict(setting)["pooling"] in ("max", "avg")


@pytest.mark.slow
def test_a_killed_search_resumes_without_repeating_pictures(optuna, small, files, calls, tmp_path):
    options = {**small, "vary": {"style_weight": "0.5..32"}, "at_once": 3, "output_dir": tmp_path}
    made = bench.stylize_batch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "stylize_batch", lambda *a, **k: _second_call(made, calls, a, k))
        with pytest.raises(KeyboardInterrupt):
            search.search(files[0], files[2], settings=6, **options)
    assert len([*tmp_path.glob("*.png")]) == 3
    with pytest.raises(ValueError, match="exists already"):
        search.search(files[0], files[2], settings=6, **options)
    calls.clear()
    study = search.search(files[0], files[2], settings=6, resume=True, **options)
    assert calls == [3]
    assert len(study.outcomes) == 6
    stored = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/search.db")
    values = sorted(trial.value for trial in stored.trials)
    assert values == pytest.approx(sorted(score(o.measures) for o in study.outcomes))


@pytest.mark.parametrize(
    ("vary", "labels"),
    [
        ({"tv_weight": [1], "style_weight": [2, 4]}, ["style_weight=2", "style_weight=4"]),
        ({"style_weight": [1, 2], "content_weight": [0.5]}, ["style_weight=1", "style_weight=2"]),
        ({"style_weight": [1, 2], "pooling": "max,avg"}, ["1, max", "1, avg", "2, max", "2, avg"]),
    ],
)
def test_captions_name_what_differs_in_one_form_on_the_whole_sheet(
    small, files, monkeypatch, vary, labels
):
    drawn = []
    monkeypatch.setattr(study, "contact_sheet", lambda _, *, labels, cell: drawn.extend(labels))
    bnnjax.sweep(files[0], files[2], vary=vary, **{**small, "steps": 1}).sheet()
    assert [text for row in drawn[1:] for text in row] == labels
