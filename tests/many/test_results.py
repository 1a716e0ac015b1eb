"""The table of results: what is done is known after a kill, and the options are those before."""

import csv

import pytest

from bnnjax.many.manifest import Task
from bnnjax.many.results import Results, Row
from tests.damage import reads_or_refuses

TASKS = [Task(name, f"{name}.jpg", "wave.jpg") for name in "abc"]
RUN = {"model": "inknet", "options": {"size": 32, "style_taps": None}}


def row(task, status="done", error=""):
    return Row(*task, status, error, 1.5, "here:1")


def lines(folder):
    with open(folder / "results.csv", newline="", encoding="utf-8") as file:
        return [*csv.reader(file)]


def test_each_row_is_on_the_disk_as_soon_as_it_comes(tmp_path):
    results = Results(tmp_path, RUN)
    results.add([row(TASKS[1])])
    assert lines(tmp_path) == [
        [*Row._fields],
        ["b", "b.jpg", "wave.jpg", "done", "", "1.5", "here:1"],
    ]
    assert [Results(tmp_path, RUN).is_done(task) for task in TASKS] == [False, True, False]


def test_a_failure_is_replaced_by_what_comes_later(tmp_path):
    Results(tmp_path, RUN).add([row(TASKS[1]), row(TASKS[0], "failed", "no, 'not' a\npicture")])
    results = Results(tmp_path, RUN)
    assert not results.is_done(TASKS[0])
    results.add([row(TASKS[0])])
    assert results.finish(TASKS) == [row(TASKS[0]), row(TASKS[1])]
    assert [line[0] for line in lines(tmp_path)] == ["name", "a", "b"]


def test_rows_of_another_manifest_stay(tmp_path):
    Results(tmp_path, RUN).add([row(TASKS[2])])
    results = Results(tmp_path, RUN)
    results.add([row(TASKS[0])])
    assert results.finish(TASKS[:1]) == [row(TASKS[0])]
    assert [line[0] for line in lines(tmp_path)] == ["name", "a", "c"]


def test_a_name_with_other_inputs_is_not_done(tmp_path):
    results = Results(tmp_path, RUN)
    results.add([row(TASKS[0])])
    assert not results.is_done(TASKS[0]._replace(style="night.jpg"))


@pytest.mark.parametrize("cut", [*range(1, 33)])
def test_a_line_that_a_kill_has_cut_costs_that_line_alone(tmp_path, cut):
    Results(tmp_path, RUN).add([row(TASKS[0]), row(TASKS[1])])
    path = tmp_path / "results.csv"
    path.write_bytes(path.read_bytes()[:-cut])
    results = Results(tmp_path, RUN)
    results.add([row(TASKS[2])])
    again = Results(tmp_path, RUN)
    assert again.is_done(TASKS[0])
    assert again.is_done(TASKS[2])
    assert len(again.rows) in (2, 3)


def test_pictures_of_other_options_are_not_mixed(tmp_path):
    Results(tmp_path, RUN)
    with pytest.raises(ValueError, match=r"made with other options \(model\); choose another"):
        Results(tmp_path, {**RUN, "model": "quicknet"})
    Results(tmp_path, RUN)


@pytest.mark.parametrize("name", ["results.csv", "run.json"])
def test_somebody_elses_files_are_not_touched(tmp_path, name):
    (tmp_path / name).write_text("something, else", encoding="utf-8")
    with pytest.raises(ValueError, match="choose another directory"):
        Results(tmp_path, RUN)
    assert (tmp_path / name).read_text(encoding="utf-8") == "something, else"


@pytest.mark.parametrize("cell", ["a" * 200_000, "a\0b", "\udcff"])
def test_a_table_with_damaged_cells_is_read_or_refused(tmp_path, cell):
    Results(tmp_path, {"steps": 3})
    heading = (tmp_path / "results.csv").read_bytes()
    content = heading + f"{cell},a,b,done,,1,here\n".encode(errors="surrogateescape")
    reads_or_refuses(lambda _: Results(tmp_path, {"steps": 3}), tmp_path / "results.csv", content)
