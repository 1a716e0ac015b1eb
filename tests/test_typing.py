"""A user's program is checked with ``mypy --strict`` against the package's types."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

RIGHT = """
import bnnjax

network: bnnjax.Network = bnnjax.load_model()
config = bnnjax.StylizeConfig(size=256, init="noise", statistics="gram")
result = bnnjax.stylize_batch(
    ["a.jpg"], "b.jpg", model=network, style_weight=4, parametrization="pixels", color_weight=0.5
)
again = bnnjax.stylize_batch("a.jpg", "b.jpg", config=config, sweep={"style_weight": [1, 2]})
paths = result.save("pictures")
recipe: bnnjax.Recipe = bnnjax.Recipe.read("a.png").changed(style_weight=2.0)
names: tuple[str, ...] = bnnjax.networks()
attacked = bnnjax.attack_batch("a.jpg", network, norm="l2", epsilon=[1, 2], target="beagle")
rates: list[float] = attacked.success_rate
atlas = bnnjax.activation_atlas("photographs", model=network, grid=12, layout="pca")
cosine: float = atlas.cells[0].cosine
channels = bnnjax.visualize("section2", channels=[0, 1], size=64)
"""

# Each line has one mistake, and the error that mypy must report for it.
WRONG = {
    'bnnjax.StylizeConfig(init="nois")': "arg-type",
    "bnnjax.StylizeConfig(stile_weight=2)": "call-arg",
    'bnnjax.stylize_batch("a.jpg", "b.jpg", parametrization="wavelets")': "arg-type",
    'bnnjax.stylize_batch("a.jpg", "b.jpg", steps="many")': "arg-type",
    'bnnjax.stylize_batch("a.jpg", "b.jpg", stile_weight=2)': "call-arg",
    "bnnjax.load_model(3.5)": "arg-type",
    'bnnjax.attack_batch("a.jpg", norm="l3")': "arg-type",
    'bnnjax.attack_batch("a.jpg", epsilons=2)': "call-arg",
    'bnnjax.activation_atlas("photographs", layout="map")': "arg-type",
    'bnnjax.visualize("section2", chanels=[0])': "call-arg",
}


def check(folder: Path, program: str) -> list[str]:
    """What ``mypy --strict`` finds in a program."""
    (folder / "program.py").write_text(program)
    # An editable installation is invisible to mypy, which therefore reads the checkout.
    environment = {**os.environ, "MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache")}
    options = ["--strict", "--follow-imports=silent", "--no-error-summary"]
    command = [sys.executable, "-m", "mypy", *options, "program.py"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return run.stdout.splitlines()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The errors in a program that consists of a correct part followed by wrong lines."""
    program = RIGHT + "".join(f"{line}\n" for line in WRONG)
    return check(tmp_path_factory.mktemp("program"), program)


def test_a_right_program_has_no_errors(found: list[str]):
    assert [line for line in found if int(line.split(":")[1]) <= RIGHT.count("\n")] == []


@pytest.mark.parametrize("line", WRONG)
def test_a_mistake_is_reported(line: str, found: list[str]):
    number = RIGHT.count("\n") + list(WRONG).index(line) + 1
    errors = [error for error in found if error.startswith(f"program.py:{number}: error")]
    assert len(errors) == 1
    assert errors[0].endswith(f"[{WRONG[line]}]")
