"""A worker: its pictures are those of `stylize_batch`, and faults stay with their own picture."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bnnjax import images, stylize_batch
from bnnjax.many.manifest import Task
from bnnjax.many.painter import Painter
from bnnjax.many.results import Row
from bnnjax.nst.config import StylizeConfig
from tests.nst.conftest import TOY

CONFIG = StylizeConfig(size=32, steps=2)


@pytest.fixture(scope="module")
def toy(with_random_weights):
    return with_random_weights(TOY)


@pytest.fixture
def tasks(tmp_path, make_picture):
    """Four tasks, of which the third has a photograph that is not a picture."""
    for number in range(5):
        images.save_png(tmp_path / f"{number}.png", make_picture(number, 32, 40))
    (tmp_path / "2.png").write_bytes(b"no picture")
    return [Task(str(n), str(tmp_path / f"{n}.png"), str(tmp_path / "4.png")) for n in range(4)]


@pytest.fixture
def painter(toy, tmp_path):
    (tmp_path / "out").mkdir()
    return Painter(tmp_path / "out", model=toy, config=CONFIG, output_format="png")


def test_a_fault_stays_with_its_own_picture(painter, tasks, toy, tmp_path):
    rows = painter.paint(tasks)
    assert [row.task for row in rows] == tasks
    assert [row.status for row in rows] == ["done", "done", "failed", "done"]
    assert "2.png" in rows[2].error
    assert "\n" not in rows[2].error
    good = [task for task in tasks if task.name != "2"]
    contents, styles = [task.content for task in good], [task.style for task in good]
    alone = stylize_batch(contents, styles, model=toy, config=CONFIG, progress=False)
    for task, expected in zip(good, alone.images, strict=True):
        found = images.load(tmp_path / "out" / f"{task.name}.png")
        np.testing.assert_allclose(found, expected, atol=0.51 / 255)


def test_a_picture_that_a_killed_worker_has_finished_is_not_painted_again(painter, tasks, tmp_path):
    painter.paint(tasks[:1])
    path = tmp_path / "out" / "0.png"
    before = path.stat().st_mtime_ns
    assert [row.status for row in painter.paint(tasks[:2])] == ["done", "done"]
    assert path.stat().st_mtime_ns == before


def test_a_picture_of_another_painting_is_not_replaced(painter, tasks):
    painter.paint(tasks[:1])
    [row] = painter.paint([tasks[0]._replace(style=tasks[1].content)])
    assert row.status == "failed"
    assert "made from other pictures" in row.error


def test_a_picture_whose_loss_diverges_is_the_best_before_and_says_so(toy, tasks, tmp_path):
    def update(updates, state, params=None):
        return jax.tree.map(lambda u: u * jnp.nan, updates), state

    config = CONFIG.changed(optimizer=optax.GradientTransformation(lambda params: (), update))
    (tmp_path / "out").mkdir()
    painter = Painter(tmp_path / "out", model=toy, config=config, output_format="png")
    [row] = painter.paint(tasks[:1])
    assert row.status == "done"
    assert "no longer finite" in row.error
    assert images.load(tmp_path / "out" / "0.png").shape == (32, 40, 3)


def test_batches_are_columns(painter, tasks):
    columns = {n: np.array([getattr(t, n) for t in tasks[:2]]) for n in Task._fields}
    found = painter(columns)
    assert set(found) == {*Row._fields}
    assert found["name"].tolist() == ["0", "1"]
    assert found["status"].tolist() == ["done", "done"]
