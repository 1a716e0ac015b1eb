"""The output of the command line: previews during the run, a table and a line at the end."""

from pathlib import Path

import numpy as np
import pytest

import bnnjax
from bnnjax import images
from bnnjax.nst import folder, report


@pytest.fixture(scope="module")
def result(toy, make_picture):
    contents = [make_picture(0, 32, 32), make_picture(2, 32, 40)]
    return bnnjax.stylize_batch(
        contents, make_picture(1, 32, 32), model=toy, size=32, steps=3, progress=False
    )


def test_previews_are_updated_during_the_run(tmp_path):
    write = folder.previewer(tmp_path / "out")
    for grey in (0.0, 1.0):
        write(1, ["a", "b"], [np.full((4, 5, 3), grey, np.float32)] * 2)
    found = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in found] == ["a.preview.png", "b.preview.png"]
    np.testing.assert_array_equal(images.load(found[1]), 1.0)


@pytest.mark.slow
def test_the_table_has_a_row_for_each_picture(result):
    paths = {0: Path("x.png"), 1: Path("y.png")}
    heading, first, second = report.table(result, paths)
    assert len(heading) == len(first) == len(second)
    total = result.losses[1]["total"]
    assert second[:3] == ["content2__style1", "40×32", "3"]
    assert second[3:] == [f"{total[0]:.3f}", f"{total[-1]:.3f}", "y.png"]


def test_the_summary_counts_the_steps_of_all_pictures(result):
    pace = 1000 * result.minimized.seconds["optimize"] / 6
    assert report.summary(result).startswith("2 pictures by toy on cpu")
    assert report.summary(result).endswith(f"{pace:.1f} ms per step")
