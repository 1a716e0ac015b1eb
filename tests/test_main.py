"""``bnnjax COMMAND``, started as a user starts it, and what shells complete."""

import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from bnnjax import completion

ROOT = Path(__file__).parents[1]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
COMMANDS = {name.removeprefix("bnnjax-") for name in SCRIPTS} - {"bnnjax"}


def bnnjax(*arguments):
    command = [sys.executable, "-m", "bnnjax", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_help_lists_every_command_with_what_it_does():
    ended = bnnjax("--help")
    assert ended.returncode == 0
    listed = {line.split()[0] for line in ended.stdout.splitlines() if line.startswith("  ")}
    assert listed >= COMMANDS
    assert "Paints photographs in the style of paintings." in ended.stdout


@pytest.mark.slow
def test_a_command_is_the_script_of_that_name():
    ended = bnnjax("summary", "--help")
    assert ended.returncode == 0
    assert "multiply-accumulates" in ended.stdout
    assert "--model" in ended.stdout
    ended = bnnjax("summary", "--modell=inknet")
    assert ended.returncode == 1
    assert ended.stderr.startswith("bnnjax summary: Unknown command line flag 'modell'")


@pytest.mark.slow
def test_version():
    assert bnnjax("--version").stdout == f"bnnjax {version('bnnjax')}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stylise"], "bnnjax: no command 'stylise'; did you mean 'stylize'?"),
        (["completion", "tcsh"], "bnnjax: completion needs one of bash, zsh, fish"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    ended = bnnjax(*arguments)
    assert ended.returncode == 1
    assert ended.stderr.startswith(message)
    assert len(ended.stderr.splitlines()) == 1


XML = b"""<AllFlags><program>x</program>
<flag><key>yes</key><name>size</name><meaning>shorter
 side</meaning><type>int</type></flag>
<flag><key>yes</key><name>init</name><meaning>start</meaning><enum_value>grey</enum_value>
<enum_value>noise</enum_value><type>string enum</type></flag>
<flag><key>yes</key><name>tile</name><meaning>edges 'meet'</meaning><type>bool</type></flag>
<flag><name>logtostderr</name><meaning>of another module</meaning><type>bool</type></flag>
</AllFlags>"""


def test_flags_are_read_from_help():
    assert completion.read(XML) == [
        ("size", "shorter side", ()),
        ("init", "start", ("grey", "noise")),
        ("tile", "edges 'meet'", ()),
        ("notile", "edges 'meet'", ()),
    ]


@pytest.fixture
def written(monkeypatch, tmp_path):
    """A function: shell → the path of its completion for two commands with the flags of `XML`."""

    def write(shell):
        monkeypatch.setattr(completion, "flags", lambda command: completion.read(XML))
        path = tmp_path / shell
        path.write_text(completion.script(shell, ["stylize", "sweep"]))
        return path

    return write


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("bnnjax s", ["stylize", "sweep"]),
        ("bnnjax comp", ["completion"]),
        ("bnnjax stylize --s", ["--size"]),
        ("bnnjax stylize --size=64 --no", ["--notile"]),
        ("bnnjax sweep --init=", ["grey", "noise"]),
        ("bnnjax sweep --init=n", ["noise"]),
    ],
)
def test_bash_completes(written, line, completed):
    """Bash passes words split at equals signs."""
    words = " ".join(line.replace("=", " = ").split())
    program = (
        f"source {written('bash')}; COMP_LINE='{line}'; COMP_POINT={len(line)}; "
        f'COMP_WORDS=({words}); _bnnjax; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    ended = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
    assert ended.stdout.split() == completed, ended.stderr


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
def test_fish_completes(written):
    program = f"source {written('fish')}; complete -C 'bnnjax stylize --i'"
    ended = subprocess.run(["fish", "-c", program], capture_output=True, text=True)
    assert "--init" in ended.stdout, ended.stderr
