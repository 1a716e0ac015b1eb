"""Reading and plotting the curves of a run."""

import builtins

import pytest
from PIL import Image

from bnnjax.train import curves


@pytest.fixture
def run(tmp_path):
    (tmp_path / "training.csv").write_text(
        "step,loss,accuracy,seconds\n25,2.5,20.0,0.1\n50,1.5,40.0,0.1\n"
    )
    (tmp_path / "validation.csv").write_text("step,epoch,top1,top5\n50,1,31.5,70.25\n")
    return tmp_path


def test_columns_are_read_by_name(run):
    assert curves.read(run / "validation.csv") == {
        "step": [50.0],
        "epoch": [1.0],
        "top1": [31.5],
        "top5": [70.25],
    }
    assert curves.read(run / "missing.csv") == {}


def test_the_curves_are_plotted(run, monkeypatch):
    axes = pytest.importorskip("matplotlib.axes")
    plotted, plot = {}, axes.Axes.plot

    def spy(self, x, y, *args, label, **kwargs):
        plotted[label] = list(zip(x, y, strict=True))
        return plot(self, x, y, *args, label=label, **kwargs)

    monkeypatch.setattr(axes.Axes, "plot", spy)
    path = curves.plot(run)
    assert Image.open(path).size == (1200, 480)
    assert plotted == {
        "loss": [(25.0, 2.5), (50.0, 1.5)],
        "training": [(25.0, 20.0), (50.0, 40.0)],
        "top1": [(50.0, 31.5)],
        "top5": [(50.0, 70.25)],
    }


def test_nothing_is_plotted_before_the_first_row(tmp_path):
    assert curves.plot(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_nothing_is_plotted_without_matplotlib(run, monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert curves.plot(run) is None
