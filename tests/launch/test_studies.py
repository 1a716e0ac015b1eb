"""The scripts of the studies, as a user runs them: on two pictures, for two steps."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

LAUNCH = Path(__file__).parents[2] / "launch"
SMALL = ["--content=boat.png", "--style=wave.png", "--size=64", "--steps=2", "--json"]
FEW = ["--style_taps=stem_conv,stem", "--content_taps=stem"]  # which compile soon


@pytest.fixture(scope="module")
def launch(tmp_path_factory, make_picture):
    """A function (script, flags) → how it ended in the user's folder, which is its attribute."""
    folder = tmp_path_factory.mktemp("user")
    for seed, name in enumerate(("boat", "wave")):
        picture = np.rint(255 * make_picture(seed, 70, 90)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{name}.png")
    environment = {**os.environ, "BNNJAX_CACHE": str(tmp_path_factory.mktemp("cache"))}

    def run(name, *flags):
        command = [sys.executable, str(LAUNCH / f"{name}.py"), *flags]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )

    run.folder = folder
    return run


def figures(ended):
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def swept(launch, quicknet_file):
    flags = ["--vary=style_weight=1..9:2", "--vary=tv_weight=0,2", f"--model={quicknet_file}"]
    return [*flags, *SMALL, *FEW], launch("sweep", *flags, *SMALL, *FEW)


def test_a_sweep_writes_pictures_table_sheet_and_plots(swept, launch):
    found = figures(swept[1])
    settings = [f"style_weight={s},tv_weight={t}" for s in (1, 9) for t in (0, 2)]
    assert [*found["settings"]] == settings
    assert found["best"] in found["front"]
    names = {Path(path).name for path in found["files"]}
    assert names >= {"best.png", "sheet.png", "study.csv", "front.png", "curves.png"}
    assert all((launch.folder / path).is_file() for path in found["files"])
    with open(launch.folder / "out" / "study.csv", newline="") as file:
        assert len([*csv.DictReader(file)]) == 4


def test_a_second_sweep_is_refused_or_resumed(swept, launch):
    flags, _ = swept
    refused = launch("sweep", *flags)
    assert refused.returncode == 1
    assert "exists already" in refused.stderr.splitlines()[-1]
    before = (launch.folder / "out" / "study.csv").read_text()
    assert "0step" not in refused.stderr
    figures(launch("sweep", *flags, "--resume"))
    assert (launch.folder / "out" / "study.csv").read_text() == before


def test_the_best_picture_is_a_recipe_for_stylize(swept, launch, quicknet_file):
    best = figures(swept[1])["best"]
    flags = [f"--model={quicknet_file}", "--output_dir=again", "--json"]
    again = figures(launch("stylize", "--recipe=out/best.png", *flags))
    for option in best.split(","):
        name, value = option.split("=")
        assert again["options"][name] == float(value)


@pytest.mark.parametrize("kind", ["style", "content", "cross"])
def test_layers_are_shown_one_by_one(launch, quicknet_file, kind):
    flags = [f"--kind={kind}", "--taps=stem_conv,stem", f"--output_dir={kind}"]
    if kind == "cross":
        flags.append("--style_sets=stem_conv,stem_conv+stem")
    found = figures(launch("layers", *flags, f"--model={quicknet_file}", *SMALL, *FEW))
    assert len(found["settings"]) == (4 if kind == "cross" else 2)


def test_blocks_are_measured(launch, quicknet_file):
    flags = [f"--models={quicknet_file}", "--suspects=article,article-no-shortcuts"]
    ended = launch("blocks", *flags, "--output_dir=blocks", *SMALL, *FEW)
    assert len(figures(ended)["settings"]) == 2
    assert "no shortcuts  stem_conv" in ended.stdout


def test_a_typo_is_one_line(launch):
    ended = launch("sweep", "--vary=stile_weight=1,2", *SMALL)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "did you mean 'style_weight'" in ended.stderr
