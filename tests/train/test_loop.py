"""The training loop: what it writes, and that interrupted runs resume exactly."""

import csv
import json
import shutil
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.train import curves, loop

STEPS_PER_EPOCH, EPOCHS = 40, 3


class Interruption(Exception):
    """The error that ends a run early."""


class Wanderer:
    """A chaotic state: the slightest difference is visible a hundred steps later."""

    epochs, steps_per_epoch = EPOCHS, STEPS_PER_EPOCH

    def __init__(self, *, stop_at=None):
        self.stop_at, self.seen = stop_at, []
        self.saved_config = {"factor": 3.9, "start": (0.1, 0.9)}
        self._move = jax.jit(lambda x: 3.9 * x * (1 - x), donate_argnums=0)

    def init(self):
        return {"x": jnp.linspace(0.1, 0.9, 5)}

    def step(self, state, index):
        if index == self.stop_at:
            raise Interruption
        self.seen.append(index)
        state = {"x": self._move(state["x"])}
        return state, {"loss": state["x"].mean(), "first": state["x"][0]}

    def evaluate(self, state):
        return {"largest": float(state["x"].max())}


def wanderings():
    """The states after each step, without the loop."""
    task, states = Wanderer(), []
    state = task.init()
    for step in range(EPOCHS * STEPS_PER_EPOCH):
        state, _ = task.step(state, step)
        states.append(np.asarray(state["x"]).copy())
    return np.stack(states)


@pytest.fixture(autouse=True)
def saves_often(monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", 30)
    monkeypatch.setattr(curves, "LOG_EVERY", 10)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(path):
    return [{name: row[name] for name in row if name != "seconds"} for row in rows(path)]


def test_training_takes_every_step_once_and_writes_the_curves(tmp_path):
    task, ends = Wanderer(), []
    state = loop.train(
        task,
        tmp_path,
        progress=False,
        after_epoch=lambda state, epoch, metrics: ends.append(
            (epoch, float(state["x"][1]), metrics)
        ),
    )
    expected = wanderings()
    assert task.seen == list(range(120))
    np.testing.assert_array_equal(state["x"], expected[-1])

    training = rows(tmp_path / "training.csv")
    assert [int(row["step"]) for row in training] == list(range(10, 121, 10))
    firsts = expected[:, 0].reshape(12, 10).mean(1)
    np.testing.assert_allclose([float(row["first"]) for row in training], firsts, rtol=1e-6)
    losses = expected.mean(1).reshape(12, 10).mean(1)
    np.testing.assert_allclose([float(row["loss"]) for row in training], losses, rtol=1e-6)

    validation = rows(tmp_path / "validation.csv")
    assert [(row["step"], row["epoch"]) for row in validation] == [
        ("40", "1"),
        ("80", "2"),
        ("120", "3"),
    ]
    largest = expected[39::40].max(1)
    np.testing.assert_array_equal(np.float32([row["largest"] for row in validation]), largest)
    assert [epoch for epoch, _, _ in ends] == [1, 2, 3]
    np.testing.assert_array_equal(
        np.float32([second for _, second, _ in ends]), expected[39::40, 1]
    )
    np.testing.assert_array_equal([metrics["largest"] for *_, metrics in ends], largest)


@pytest.mark.parametrize("stop_at", [7, 30, 59, 85, 119])
def test_an_interrupted_run_ends_like_one_that_was_not(stop_at, tmp_path):
    loop.train(Wanderer(), tmp_path / "whole", progress=False)
    with pytest.raises(Interruption):
        loop.train(Wanderer(stop_at=stop_at), tmp_path / "cut", progress=False)
    second = Wanderer()
    state = loop.train(second, tmp_path / "cut", progress=False)

    assert second.seen == list(range(stop_at // 30 * 30, 120))  # from the last checkpoint
    np.testing.assert_array_equal(state["x"], wanderings()[-1])
    for name in ("training.csv", "validation.csv"):
        assert without_seconds(tmp_path / "cut" / name) == without_seconds(
            tmp_path / "whole" / name
        )


def test_a_row_cut_short_by_the_interruption_is_written_again(tmp_path):
    with pytest.raises(Interruption):
        loop.train(Wanderer(stop_at=75), tmp_path, progress=False)
    with open(tmp_path / "training.csv", "a") as file:
        file.write("80,0.4")
    loop.train(Wanderer(), tmp_path, progress=False)
    assert [row["step"] for row in rows(tmp_path / "training.csv")] == [
        str(step) for step in range(10, 121, 10)
    ]


def test_curves_of_a_run_without_checkpoints_are_started_again(tmp_path):
    (tmp_path / "training.csv").write_text("")
    (tmp_path / "validation.csv").write_text("step,epoch,other\n40,1,3.0\n")
    loop.train(Wanderer(), tmp_path, progress=False)
    assert len(rows(tmp_path / "training.csv")) == 12
    assert {"largest"} < rows(tmp_path / "validation.csv")[0].keys()


def test_a_table_without_its_header_is_started_again(tmp_path):
    with pytest.raises(Interruption):
        loop.train(Wanderer(stop_at=35), tmp_path, progress=False)
    (tmp_path / "training.csv").write_text("")
    loop.train(Wanderer(), tmp_path, progress=False)
    assert [row["step"] for row in rows(tmp_path / "training.csv")] == [
        str(step) for step in range(40, 121, 10)
    ]


def test_a_run_is_not_resumed_with_another_config(tmp_path):
    with pytest.raises(Interruption):
        loop.train(Wanderer(stop_at=35), tmp_path, progress=False)
    other = Wanderer()
    other.saved_config = {**other.saved_config, "factor": 3.8}
    with pytest.raises(ValueError, match=r"holds a run with factor=3\.9, got 3\.8"):
        loop.train(other, tmp_path, progress=False)
    assert not other.seen
    assert loop.train(Wanderer(), tmp_path, progress=False)


def test_a_run_may_get_more_epochs_but_not_fewer(tmp_path, capsys):
    def task(epochs):
        made = Wanderer()
        made.epochs = epochs
        made.saved_config = {**made.saved_config, "epochs": epochs}
        return made

    loop.train(task(2), tmp_path, progress=False)
    assert not capsys.readouterr().err
    longer = task(3)
    state = loop.train(longer, tmp_path, progress=False)
    assert longer.seen == list(range(80, 120))
    np.testing.assert_array_equal(state["x"], wanderings()[-1])
    assert "started with epochs=2; " in capsys.readouterr().err
    assert json.loads((tmp_path / "config.json").read_text())["epochs"] == 3
    with pytest.raises(ValueError, match="holds a run with epochs=3 or more, got 2"):
        loop.train(task(2), tmp_path, progress=False)


def test_seconds_cover_the_steps_alone(tmp_path, monkeypatch):
    now = 0

    class Timed(Wanderer):
        def step(self, state, index):
            nonlocal now
            now += 1
            return super().step(state, index)

        def evaluate(self, state):
            nonlocal now
            now += 1000
            return super().evaluate(state)

    monkeypatch.setattr(curves, "time", types.SimpleNamespace(perf_counter=lambda: now))
    loop.train(Timed(), tmp_path, progress=False)
    assert [float(row["seconds"]) for row in rows(tmp_path / "training.csv")] == [1.0] * 12


def test_a_finished_run_takes_no_further_step(tmp_path):
    loop.train(Wanderer(), tmp_path, progress=False)
    again = Wanderer(stop_at=120)
    state = loop.train(again, tmp_path, progress=False)
    assert not again.seen
    np.testing.assert_array_equal(state["x"], wanderings()[-1])


def test_epochs_without_steps_are_refused(tmp_path):
    task = Wanderer()
    task.steps_per_epoch = 0
    with pytest.raises(ValueError, match="no steps"):
        loop.train(task, tmp_path, progress=False)


@pytest.mark.parametrize("text", ["[1, 2]", "{", "[" * 100_000, '{"epochs": "3"}'])
def test_a_damaged_config_is_refused(tmp_path, text):
    (tmp_path / loop.CONFIG).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"damaged|holds a run with") as raised:
        loop.train(Wanderer(), tmp_path, progress=False)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(("name", "text"), [("_METADATA", "{}"), ("manifest.ocdbt", "damaged")])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_taken(tmp_path, name, text):
    final = loop.train(Wanderer(), tmp_path, progress=False)
    folder = max((tmp_path / "checkpoints").iterdir(), key=lambda path: int(path.name))
    [file] = [path for path in folder.rglob(name) if path.parent.name != "ocdbt.process_0"]
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"{folder.name}: a damaged checkpoint") as raised:
        loop.train(Wanderer(), tmp_path, progress=False)
    assert len(str(raised.value).splitlines()) == 1
    shutil.rmtree(folder)
    again = loop.train(Wanderer(), tmp_path, progress=False)
    np.testing.assert_array_equal(again["x"], final["x"])


def test_curves_without_their_numbers_are_dropped(tmp_path):
    (tmp_path / curves.TRAINING).write_text("step,loss\n25,1\nx,2\n", encoding="utf-8")
    curves.CurveWriter(tmp_path, 50)
    assert curves.read(tmp_path / curves.TRAINING) == {"step": [25.0], "loss": [1.0]}
    (tmp_path / curves.TRAINING).write_text(f"step,loss\n{'9' * 200_000},1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"training\.csv: damaged"):
        curves.CurveWriter(tmp_path, 50)
