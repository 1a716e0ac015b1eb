"""The common parts of launch scripts: status, one line for bad input, flags for every option."""

import json
import subprocess
import sys
import time
import types

import jax
import pytest
from absl import app

from bnnjax import cli
from bnnjax.nst.config import StylizeConfig


@pytest.fixture
def status_of(monkeypatch, tmp_path):
    """A function (main, arguments) → exit status, without absl's parsing of flags."""
    monkeypatch.setenv("BNNJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # restored afterwards

    def run(main, *arguments):
        monkeypatch.setattr(
            app, "run", lambda body, **_: body(["/some/where/paint.py", *arguments])
        )
        with pytest.raises(SystemExit) as ended:
            cli.run(main)
        return ended.value.code

    return run


def raising(error):
    def main():
        raise error

    return main


def test_the_result_of_main_is_the_status(status_of, capsys):
    assert not status_of(lambda: 0)
    assert not status_of(lambda: None)
    assert status_of(lambda: 1) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("size is 3, needs 32 to 4096"), "size is 3, needs 32 to 4096"),
        (
            ModuleNotFoundError("needs the extra 'port': pip install 'bnnjax[port]'"),
            "needs the extra 'port': pip install 'bnnjax[port]'",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "a.png"),
            "[Errno 2] No such file or directory: 'a.png'",
        ),
        (PermissionError(13, "Permission denied", "out"), "[Errno 13] Permission denied: 'out'"),
    ],
)
def test_bad_input_ends_in_one_line_and_status_1(status_of, capsys, error, line):
    assert status_of(raising(error)) == 1
    assert capsys.readouterr() == ("", f"paint.py: {line}\n")


def test_an_interrupt_has_its_own_status(status_of, capsys):
    assert status_of(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "paint.py: interrupted\n"


def test_an_interrupt_is_not_lost_in_a_finalizer(status_of):
    class Finalized:
        def __del__(self):
            raise KeyboardInterrupt

    def main():
        Finalized()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            time.sleep(0.01)

    assert status_of(main) == 130


def test_bugs_are_not_hidden(status_of):
    with pytest.raises(AssertionError, match="broken"):
        status_of(raising(AssertionError("broken")))


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("--where=~/a", "--where=HOME/a"),
        ("--where=~", "--where=HOME"),
        ("--where=~a/b", "--where=~a/b"),
        ("--where=a~/b", "--where=a~/b"),
    ],
)
def test_a_tilde_is_expanded_as_in_a_shell(monkeypatch, given, taken):
    seen = []
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr(cli, "FLAGS", seen.append)
    cli._parse(["paint.py", given])
    assert seen == [["paint.py", taken.replace("HOME", "/home/somebody")]]


def test_arguments_other_than_flags_are_refused(status_of, capsys):
    assert status_of(raising(AssertionError("was run")), "boat.jpg") == 1
    assert "unexpected argument 'boat.jpg'" in capsys.readouterr().err


def test_figures_are_one_line_of_json_on_request(monkeypatch, capsys):
    figures = {"names": ["ä", "b\nc"], "loss": 0.5, "none": None}
    monkeypatch.setattr(cli, "FLAGS", types.SimpleNamespace(json=False))
    cli.print_json(figures)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(cli, "FLAGS", types.SimpleNamespace(json=True))
    cli.print_json(figures)
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 1
    assert json.loads(printed) == figures


def test_columns_are_as_wide_as_necessary(capsys):
    cli.print_table([["a", "long heading", "c"], ["longer", "x", ""]])
    assert capsys.readouterr().out == "a       long heading  c\nlonger  x\n"


def test_problems_go_to_stderr(capsys):
    cli.print_problems(["one", "two"])
    assert capsys.readouterr() == ("", "problem: one\nproblem: two\n")


def test_costs_are_seconds_and_memory():
    before, after = cli.costs(), cli.costs()
    assert 0 < before["total_seconds"] <= after["total_seconds"] < 10**5
    assert 10 < before["peak_memory_mib"] < 10**6
    json.dumps(before)


# --- flags ---------------------------------------------------------------------------------

SCRIPT = """
import json
from bnnjax import cli
from bnnjax.nst.config import OPTIONS, StylizeConfig
cli.define_fields(StylizeConfig)
cli.run(lambda: print(json.dumps(cli.given(OPTIONS))))
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """A function that runs a script which prints the options given to it."""
    folder = tmp_path_factory.mktemp("script")
    (folder / "options.py").write_text(SCRIPT)

    def run(*arguments):
        command = [sys.executable, "options.py", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)

    return run


@pytest.mark.slow
def test_options_given_as_flags_have_their_types(script):
    given = {
        "size": 64,
        "style_size": 96,
        "steps": 7,
        "init": "noise",
        "style_taps": ["stem", "section1"],
        "clip": 1.5,
        "content_weight": 2.0,
        "learning_rate": 1e-3,
    }
    text = {
        name: ",".join(value) if isinstance(value, list) else str(value)
        for name, value in given.items()
    }
    ended = script(*(f"--{name}={value}" for name, value in text.items()))
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found == given  # and nothing else
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in given.items()
    }


@pytest.mark.slow
def test_help_lists_every_option(script):
    text = " ".join(script("--helpfull").stdout.split())
    for name, field in StylizeConfig.__dataclass_fields__.items():
        assert f"--{name}" in text or f"--[no]{name}" in text
        assert " ".join(field.metadata["help"].split()) in text


@pytest.mark.slow
def test_help_on_an_installed_command_describes_the_script_and_its_flags(tmp_path):
    (tmp_path / "options.py").write_text(f'"""Prints its options."""\n{SCRIPT}')
    (tmp_path / "command").write_text("import options")
    command = [sys.executable, "command", "--help"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "Prints its options." in ended.stdout
    assert "--content_weight" in ended.stdout
