"""Blocks: each suspect changes what it says, and the grid is found where there is one."""

import numpy as np
import pytest

from bnnjax.judge import checker, grid_peaks
from bnnjax.nst.config import LARGEST
from bnnjax.studies import blocks

SUSPECTS = {name: blocks.SUSPECTS[name] for name in ("article", "article-avg", "ours")}


@pytest.mark.slow
def test_each_suspect_is_a_setting(small, files):
    study = blocks.blocks(files[0], files[2], suspects=SUSPECTS, **{**small, "size": 64})
    configs = [outcome.recipe.config for outcome in study.outcomes]
    assert [c.pooling for c in configs] == ["max", "avg", "max"]
    assert [c.parametrization for c in configs] == ["pixels", "pixels", "pyramid"]
    assert [c.jitter for c in configs] == [0, 0, LARGEST]
    table = blocks.peaks_table(study)
    assert [row[0] for row in table] == ["picture", "photograph", *SUSPECTS]
    assert float(table[2][1]) == pytest.approx(
        float(grid_peaks(study.outcomes[0].picture, periods=blocks.PERIODS)[0]), abs=0.006
    )


@pytest.mark.slow
def test_gradients_are_measured_for_every_tap_and_change(small, files):
    changes = {"as trained": {}, "avg": {"pooling": "avg"}}
    found = blocks.gradient_peaks(files[0], files[2], changes=changes, **{**small, "size": 64})
    assert [(f.change, f.tap) for f in found] == [
        (change, tap) for change in changes for tap in ("stem", "binary")
    ]
    assert all(np.isfinite(f.peaks).all() for f in found)
    # The stem comes before any pool.
    assert found[0].peaks == pytest.approx(found[2].peaks)
    assert found[1].peaks != pytest.approx(found[3].peaks)


@pytest.mark.parametrize("period", [2, 4, 8, 16])
def test_a_grid_stands_out_at_its_own_period(period):
    rng = np.random.default_rng(0)
    picture = rng.uniform(0.3, 0.7, (128, 160, 3)).astype(np.float32)
    wave = 0.2 * np.cos(2 * np.pi * np.arange(160) / period)[None, :, None]
    peaks = np.asarray(grid_peaks(picture + wave.astype(np.float32), periods=(2, 4, 8, 16)))
    others = [i for i, p in enumerate((2, 4, 8, 16)) if p != period]
    assert peaks[(2, 4, 8, 16).index(period)] > 10 * peaks[others].max()
    mean = np.mean(grid_peaks(picture))
    assert float(checker(picture)) == pytest.approx(float(mean))
