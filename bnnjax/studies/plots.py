"""Plots of a study, if matplotlib is installed."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bnnjax.studies.trials import Setting, label, shown

Means = Mapping[Setting, Mapping[str, float]]


def draw(directory: Path, means: Means, front: Sequence[Setting]) -> list[Path]:
    """Draws ``front.png``, style against content, and ``curves.png``, every measure against the
    first number that varies, or the last choice; returns the paths of what was drawn."""
    os.environ.setdefault("MPLBACKEND", "agg")
    try:
        from matplotlib.figure import Figure
    except ImportError:  # matplotlib is optional; the table has all numbers
        return []
    drawn = []
    for name, plot in (("front.png", _front), ("curves.png", _curves)):
        figure = Figure(figsize=(10, 7), layout="constrained")
        if plot(figure, means, front):
            figure.savefig(directory / name, dpi=110)
            drawn.append(directory / name)
    return drawn


def _front(figure: Any, means: Means, front: Sequence[Setting]) -> bool:
    axes = figure.subplots()
    for setting, measures in means.items():
        axes.plot(
            measures["style"], measures["content"], "o", color="C0" if setting in front else "0.6"
        )
        place = (measures["style"], measures["content"])
        if len(means) <= 40:
            axes.annotate(_values(setting), place, (4, 4), textcoords="offset points", fontsize=7)
    line = sorted((means[setting]["style"], means[setting]["content"]) for setting in front)
    axes.plot(*zip(*line, strict=True), color="C0", label="Pareto front")
    axes.set(xlabel="style: distance to the painting", ylabel="content: distance to the photograph")
    axes.legend()
    return bool(line)


def _curves(figure: Any, means: Means, front: Sequence[Setting]) -> bool:
    del front
    setting = next(iter(means))
    axis = next((name for name, value in setting if isinstance(value, float)), setting[-1][0])
    ticks = list(dict.fromkeys(dict(setting)[axis] for setting in means))
    lines: dict[Setting, list[tuple[int, Mapping[str, float]]]] = {}
    for setting, measures in means.items():
        rest = tuple(item for item in setting if item[0] != axis)
        lines.setdefault(rest, []).append((ticks.index(dict(setting)[axis]), measures))
    names = list(next(iter(means.values())))
    panels = figure.subplots(-(-len(names) // 2), 2, sharex=True, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        for rest, points in lines.items():
            line = [(place, measures[name]) for place, measures in points]
            axes.plot(*zip(*line, strict=True), "o-", markersize=3, label=label(rest))
        axes.set_title(f"{name} over {axis}", fontsize=9)
        axes.set_xticks(range(len(ticks)), map(_short, ticks), rotation=90, fontsize=7)
        axes.tick_params(labelbottom=True)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    if 1 < len(lines) <= 12:
        panels[0].legend(fontsize=6)
    return True


def _values(setting: Setting) -> str:
    return ", ".join(shown(value) for _, value in setting)


def _short(value: Any) -> str:
    """The end of a long value: sets of taps differ in their last."""
    text = shown(value)
    return text if len(text) <= 24 else f"…{text[-23:]}"
