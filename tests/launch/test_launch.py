"""The scripts of ``launch/`` as a user runs them: by their paths, from another folder."""

import csv
import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from bnnjax import images
from bnnjax.models import registry
from bnnjax.nst.recipe import KEYWORD, Recipe
from bnnjax.port.storage import network_file

LAUNCH = Path(__file__).parents[2] / "launch"
FEW_TAPS = ["--style_taps=stem_conv,stem", "--content_taps=stem"]  # which compile quickly
SMALL = ["--size=64", "--steps=3", *FEW_TAPS]


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment of the tests, without downloads; runs share a cache of compilations."""
    cache, nowhere = str(tmp_path_factory.mktemp("cache")), "http://127.0.0.1:9"
    return {**os.environ, "BNNJAX_CACHE": cache, "BNNJAX_KERAS_URL": nowhere}


@pytest.fixture(scope="session")
def launch(environment):
    """A function (script, flags, folder) → the completed process."""

    def run(name, *flags, cwd):
        command = [sys.executable, str(LAUNCH / f"{name}.py"), *map(str, flags)]
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
        )

    return run


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(path)


def files_below(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def last_line(ended):
    return json.loads(ended.stdout.splitlines()[-1])


# --- stylize -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_picture):
    """A user's folder: two photographs of one name, and a painting."""
    folder = tmp_path_factory.mktemp("user")
    save(folder / "boat.png", make_picture(0, 70, 90))
    save(folder / "older" / "boat.png", make_picture(1, 70, 90))
    save(folder / "wave.png", make_picture(2, 80, 66))
    return folder


@pytest.fixture(scope="module")
def painted(launch, folder, quicknet_file):
    """The completed process of a first run of ``stylize``."""
    ended = launch(
        "stylize",
        "--content=boat.png,older/boat.png",
        "--style=wave.png",
        f"--model={quicknet_file}",
        "--output_dir=painted",
        "--content_weight=0.125",
        "--previews",
        "--json",
        *SMALL,
        cwd=folder,
    )
    assert ended.returncode == 0, ended.stderr
    return ended


NAMES = ["boat__wave", "boat-2__wave"]


def test_without_arguments_the_samples_are_painted(launch, tmp_path):
    ended = launch("stylize", *SMALL, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    for name in ("lake__night", "still_life__town"):
        assert images.load(tmp_path / "out" / f"{name}.png").shape == (64, 85, 3)
    assert "by inknet" in ended.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("painted")
def test_pictures_are_called_by_photograph_and_painting(folder):
    for name in NAMES:
        assert images.load(folder / "painted" / f"{name}.png").shape == (64, 82, 3)
        assert images.load(folder / "painted" / f"{name}.preview.png").shape == (64, 82, 3)
    first, second = (images.load(folder / "painted" / f"{name}.png") for name in NAMES)
    assert np.abs(first - second).mean() > 0.05
    for name, source in zip(NAMES, ("boat.png", "older/boat.png"), strict=True):
        photograph = images.fit(images.load(folder / source), size=64)
        painted = images.load(folder / "painted" / f"{name}.png")
        assert 0.001 < np.abs(painted - photograph).mean() < 0.2  # three steps change little


@pytest.mark.slow
@pytest.mark.usefixtures("painted")
def test_losses_are_a_table_with_a_row_for_each_step(folder):
    with open(folder / "painted" / "boat__wave.losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"picture", "step", "total", "content", "style", "tv", "color"}
    assert [(row["picture"], row["step"]) for row in rows] == [
        (name, step) for name in NAMES for step in "123"
    ]
    assert all(np.isfinite(float(row["total"])) for row in rows)


def test_the_last_line_is_json_and_names_the_files(painted, folder):
    figures = last_line(painted)
    assert figures["network"] == "quicknet_v0"
    assert figures["pictures"] == 2
    assert figures["options"]["steps"] == 3
    assert figures["options"]["content_weight"] == 0.125
    assert figures["problems"] == []
    for name in (*figures["files"], *(f"painted/{name}.png" for name in NAMES)):
        assert (folder / name).is_file()
    assert "painted/boat__wave.png" in painted.stdout.split("\n", 1)[1]  # in the table too
    assert "Traceback" not in painted.stderr


@pytest.mark.usefixtures("painted")
def test_pictures_do_not_reveal_folders(folder, quicknet_file):
    text = images.read_metadata(folder / "painted" / "boat-2__wave.png")[KEYWORD]
    assert json.loads(text)["options"]["content_weight"] == 0.125
    for path in (folder, quicknet_file.parent):
        assert path.name not in text
    assert not (folder / "painted" / ".snapshots").exists()  # of a finished run


# Runs `stylize` with a snapshot after every turn; after the first one it waits to be killed.
STALLING = """
import runpy, sys, time
from bnnjax.optimize import snapshots
save = snapshots.Snapshots.save
def save_and_wait(self):
    save(self)
    print("saved", flush=True)
    time.sleep(600)
snapshots.EVERY, snapshots.Snapshots.save = 0, save_and_wait
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("painted")
def test_a_killed_run_resumes_to_the_same_pixels(launch, environment, folder, quicknet_file):
    """The run of ``painted`` is repeated by its recipe and killed after the first step."""
    original = folder / "painted" / "boat-2__wave.png"
    shutil.copy(quicknet_file, folder / quicknet_file.name)
    flags = [f"--recipe={original}", "--content=older/boat.png", "--output_dir=resumed"]
    command = [sys.executable, "-c", STALLING, str(LAUNCH / "stylize.py"), *flags]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()
        process.kill()
    assert line == b"saved\n"
    assert [*(folder / "resumed" / ".snapshots").glob("*/*/1")]
    assert not [*(folder / "resumed").glob("*.png")]
    ended = launch("stylize", *flags, "--resume", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    found = images.load(folder / "resumed" / "boat__wave.png")
    np.testing.assert_array_equal(found, images.load(original))
    tables = [
        (folder / name / "boat__wave.losses.csv").read_text() for name in ("painted", "resumed")
    ]
    assert tables[1].splitlines()[1:] == [
        line.replace("boat-2", "boat") for line in tables[0].splitlines() if "boat-2" in line
    ]
    assert not (folder / "resumed" / ".snapshots").exists()


@pytest.mark.slow
def test_a_blend_with_masks_is_painted_and_repeated_from_its_recipe(launch, folder, make_picture):
    save(folder / "night.png", make_picture(3, 70, 70))
    for name in ("sky", "sea"):
        save(folder / f"{name}.png", np.full((70, 90, 3), 0.5, np.float32))
    ended = launch(
        "stylize",
        "--content=older/boat.png",
        "--style=wave.png+night.png",
        "--content_mask=sky.png+sea.png",
        "--style_blend=2,1",
        "--output=blend.png",
        *SMALL,
        cwd=folder,
    )
    assert ended.returncode == 0, ended.stderr
    (folder / "boat.png").rename(folder / "first.png")
    shutil.copy(folder / "older" / "boat.png", folder / "boat.png")
    ended = launch("stylize", "--recipe=blend.png", "--output=again.png", cwd=folder)
    (folder / "first.png").rename(folder / "boat.png")
    assert ended.returncode == 0, ended.stderr
    first, again = (images.load(folder / name) for name in ("blend.png", "again.png"))
    np.testing.assert_array_equal(first, again)
    for name in ("night", "sky", "sea", "blend", "again"):
        (folder / f"{name}.png").unlink()


@pytest.mark.slow
def test_a_recipe_makes_the_same_picture_again(launch, folder, tmp_path):
    """The network is a file of Larq Compute Engine; stored paths lead to it from another folder."""
    pytest.importorskip("tflite")
    archive = np.load(Path(__file__).parents[1] / "reference" / "lce.npz")
    (folder / "deployed.tflite").write_bytes(archive["ones file"].tobytes())
    ended = launch(
        "stylize",
        "--content=older/boat.png",
        "--style=wave.png",
        "--size=32",
        "--steps=3",
        "--model=deployed.tflite",
        "--preprocessing=bytes",
        "--output_dir=bytes",
        "--keep_paths",
        cwd=folder,
    )
    assert ended.returncode == 0, ended.stderr
    original = folder / "bytes" / "boat__wave.png"
    assert Recipe.read(original).content.path == str(folder / "older" / "boat.png")
    shutil.copy(folder / "deployed.tflite", tmp_path)
    ended = launch("stylize", f"--recipe={original}", "--output_dir=again", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = images.load(tmp_path / "again" / "boat__wave.png")
    np.testing.assert_array_equal(found, images.load(original))


@pytest.mark.slow
@pytest.mark.usefixtures("painted")
def test_an_interruption_keeps_the_pictures_so_far(environment, folder, quicknet_file):
    """The recipe has another preset and other options."""
    command = [
        sys.executable,
        LAUNCH / "stylize.py",
        "--recipe=painted/boat__wave.png",
        f"--model={quicknet_file}",
        "--preset=preview",
        "--output_dir=interrupted",
        "--previews",
        "--steps=1000000",
        "--json",
    ]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    preview = folder / "interrupted" / "boat__wave.preview.png"
    try:
        until = time.monotonic() + 180
        while not preview.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1
    assert b"problem: interrupted" in errors
    assert b"Traceback" not in errors
    assert images.load(folder / "interrupted" / "boat__wave.png").shape == (64, 82, 3)
    assert len((folder / "interrupted" / "boat__wave.losses.csv").read_text().splitlines()) > 1
    options = json.loads(output.splitlines()[-1])["options"]
    assert options["content_weight"] == 0.125  # the recipe's
    assert options["learning_rate"] == 0.025  # the preset's
    assert options["steps"] == 1000000


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0])
def test_an_early_interruption_ends_in_one_line(environment, tmp_path, seconds):
    """While libraries are imported, files are read and programs are compiled; each of these used to
    swallow some interruptions, or to crash."""
    command = [sys.executable, LAUNCH / "stylize.py", "--steps=1000000"]
    environment = {**environment, "BNNJAX_COMPILATION_CACHE": "off"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    try:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.endswith(b"stylize.py: interrupted\n")
    assert b"Traceback" not in errors


# --- bad input and help: many short runs, two at a time ------------------------------------

PAINT = ["--content=boat.png", "--style=wave.png", "--model=network", "--output_dir=out"]
REFUSED = {  # script, flags, a part of the error's only line
    "a missing photograph": ("stylize", [*PAINT, "--content=none.png"], "none.png"),
    "a text for a painting": ("stylize", [*PAINT, "--style=text.png"], "text.png"),
    "a tap's typo": ("stylize", [*PAINT, "--style_taps=stem,setcion1"], "section1"),
    "a flag's value": ("stylize", [*PAINT, "--pairing=all"], "pairing"),
    "a flag's typo": ("stylize", [*PAINT, "--stlye_weight=1"], "style_weight"),
    "an existing picture": ("stylize", [*PAINT, "--output_dir=taken"], "taken/boat__wave.png"),
    "a picture to overwrite": ("stylize", [*PAINT, "--output_dir=taken"], "--overwrite"),
    "no recipe": ("stylize", [*PAINT, "--recipe=boat.png"], "boat.png"),
    "a recipe of an array": ("stylize", ["--recipe=array.png"], "was an array"),
    "a recipe with an extra term": ("stylize", ["--recipe=extra.png"], "extra terms"),
    "a recipe of other pictures": ("stylize", ["--recipe=others.png"], "boat.png (sha256 0000"),
    "a folder without pictures": ("stylize", [*PAINT, "--content=taken/empty"], "no pictures"),
    "a pattern without pictures": ("stylize", [*PAINT, "--content=x*.jpg"], "matches no pictures"),
    "one file for two pictures": (
        "stylize",
        [*PAINT, "--content=wave.png", "--output=one.png"],
        "one.png is one file for 2 pictures",
    ),
    "a folder that cannot be made": (
        "stylize",
        [*PAINT, "--output_dir=/proc/none"],
        "/proc/none: cannot be written to",
    ),
    # The network that ships with the package must not replace another.
    "a recipe of a network that is not here": (
        "stylize",
        ["--recipe=others.png", "--content=boat.png", "--style=wave.png"],
        "vgg19_weights_tf_dim_ordering_tf_kernels.h5: cannot be downloaded",
    ),
    "a text to port": (
        "port_larq",
        ["--source=text.tflite", "--model=quicknet_v0", "--output=out"],
        "text.tflite",
    ),
    "a network file in the way": (
        "port_larq",
        ["--source=text.tflite", "--model=quicknet_v0", "--output=network"],
        "network.safetensors exists",
    ),
    "a file of the user's in the way": (
        "port_larq",
        ["--source=text.tflite", "--model=quicknet_v0", "--output=dear", "--overwrite"],
        "dear.safetensors exists and is not a network file",
    ),
    "labels without classes": (
        "evaluate",
        ["--model=network", "--images=.", "--labels=text.png"],
        "text.png",
    ),
    "names of other classes": (
        "evaluate",
        ["--model=network", "--image=boat.png", "--classes=names.txt"],
        "names.txt has 1 lines",
    ),
    "no network": ("summary", [], "use --model or --compare"),
    "a network's typo": ("summary", ["--model=quiknet"], "did you mean 'quicknet'"),
    "a size that does not fit": ("summary", ["--model=quicknet", "--size=28"], "28×28 px"),
    "a judge's weights": (
        "judge",
        ["--pictures=boat.png", "--content=boat.png", "--style=wave.png", "--judge=no.npz"],
        "no.npz",
    ),
    "a network to compare": (
        "compare",
        ["--models=quiknet", "--content=boat.png", "--style=wave.png", "--judge=network"],
        "network is quicknet_v0, which lacks relu2_2",
    ),
}
INSTALLED = "from bnnjax.launch.stylize import run; run()"  # what `bnnjax-stylize` is


@pytest.fixture(scope="module")
def short_runs(launch, folder, quicknet_file, tmp_path_factory):
    """The completed processes of `REFUSED` and some ``--help``; whether the folder is unchanged."""
    place = tmp_path_factory.mktemp("refused")
    for name in ("boat.png", "wave.png"):
        (place / name).write_bytes((folder / name).read_bytes())
    texts = ("text.png", "text.tflite", "names.txt", "dear.safetensors", "taken/boat__wave.png")
    for name in texts:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text("text")
    (place / "taken" / "empty").mkdir()
    recipes = (("array", None, {}), ("others", "boat.png", {}), ("extra", None, {"bright": 2}))
    for name, source, extra_terms in recipes:
        recipe = {
            "bnnjax": "0.1.0",
            "content": {"name": source, "sha256": 64 * "0"},
            "style": {"name": "wave.png", "sha256": 64 * "0"},
            "model": "vgg19",
            "provenance": {},
            "options": {},
            "extra_terms": extra_terms,
        }
        images.save_png(
            place / f"{name}.png",
            np.zeros((4, 4, 3), np.float32),
            metadata={KEYWORD: json.dumps(recipe)},
        )
    (place / "network.safetensors").symlink_to(quicknet_file)
    before = files_below(place)
    runs = {  # each with a folder of its own, because two runs into one are refused as well
        what: (script, *(flag.replace("_dir=out", f"_dir=out{n}") for flag in flags))
        for n, (what, (script, flags, _)) in enumerate(REFUSED.items())
    }
    runs |= {f"{script} --help": (script, "--help") for script in ("stylize", "evaluate")}
    with ThreadPoolExecutor(2) as pool:
        ended = pool.map(lambda run: launch(*run, cwd=place), runs.values())
    return dict(zip(runs, ended, strict=True)), files_below(place) == before


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_ends_in_one_line_and_status_1(short_runs, what):
    ended = short_runs[0][what]
    script, _, named = REFUSED[what]
    assert ended.returncode == 1
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith(f"{script}.py: ")
    assert named in lines[0]


def test_bad_input_writes_nothing(short_runs):
    assert short_runs[1]


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("stylize", ["content", "model", "size", "style_weight", "learning_rate", "json"]),
        ("stylize", ["recipe", "preset", "keep_paths", "overwrite", "resume", "previews"]),
        ("evaluate", ["model", "images", "topk", "json"]),
    ],
)
def test_help_says_what_a_script_does_and_lists_its_flags(short_runs, script, flags):
    text = short_runs[0][f"{script} --help"].stdout
    assert len(text.splitlines()[0]) > 20
    for flag in flags:
        assert re.search(rf"--(\[no\])?{flag}\b", text), flag


def test_help_names_units(short_runs):
    assert "in pixels" in short_runs[0]["stylize --help"].stdout
    assert "px" in short_runs[0]["evaluate --help"].stdout


@pytest.mark.slow
def test_the_installed_command_helps_as_well(environment, tmp_path):
    command = [sys.executable, "-c", INSTALLED, "--help"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    for flag in ("content", "output_dir", "size"):
        assert re.search(rf"--{flag}\b", ended.stdout), flag


# --- summary -------------------------------------------------------------------------------


@pytest.mark.slow
def test_summary_prints_the_published_counts(launch, tmp_path):
    """The counts are those of Larq Zoo's QuickNet at 224 px."""
    ended = launch("summary", "--model=quicknet", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    figures = last_line(ended)
    assert figures["model"] == "quicknet"
    assert figures["params"] == 13_234_088
    assert figures["params_1bit"] == 12_533_760
    assert figures["bytes"] == (12_533_760 + 32 * (13_234_088 - 12_533_760)) / 8
    assert figures["macs_1bit"] == 1_849_688_064
    assert figures["macs_other"] == 1_879_339_776 - 1_849_688_064
    for text in ("section4_block4_conv", "7×7×512", "13,234,088", "4.17 MiB"):
        assert text in ended.stdout


@pytest.mark.slow
def test_a_network_that_a_module_registers_is_known(launch, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import dataclasses, bnnjax\n"
        "from bnnjax.models import registry\n"
        "bnnjax.register(dataclasses.replace(registry.find('quicknet'), name='mine'))\n"
    )
    ended = launch("summary", "--model=mine", "--import=mine", cwd=tmp_path)
    assert "13,234,088" in ended.stdout, ended.stderr
    unknown = launch("summary", "--model=mine", cwd=tmp_path)
    assert unknown.returncode == 1
    assert "no network 'mine'" in unknown.stderr
    assert "--import=MODULE" in unknown.stderr
    missing = launch("summary", "--model=mine", "--import=mimed", cwd=tmp_path)
    assert missing.returncode == 1
    assert missing.stderr == "summary.py: No module named 'mimed'\n"


@pytest.mark.slow
def test_summary_compares_all_networks(launch, tmp_path):
    ended = launch("summary", "--compare", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    figures = last_line(ended)
    assert figures["vgg19"]["parameters"] == 143_667_240
    assert round(figures["quicknet"]["ratio"]) == 131
    assert "131.4" in ended.stdout


# --- evaluate ------------------------------------------------------------------------------


SURE = [3, 1, 4, 15, 9]  # the network's classes for every picture, the likeliest first


@pytest.mark.slow
def test_evaluate_counts_right_guesses(launch, folder, quicknet):
    """The network's last bias determines its guesses. One of three labels is its first guess, and
    one its fourth."""
    params = dict(quicknet.variables["params"])
    bias = np.zeros(1000, np.float32)
    bias[SURE] = [1e4, 1e4 - 1, 1e4 - 2, 1e4 - 3, 1e4 - 4]
    params["dense"] = {"kernel": jnp.zeros((512, 1000)), "bias": jnp.asarray(bias)}
    sure = dataclasses.replace(quicknet, variables={"params": params})
    network_file.save(sure, folder / "sure")
    labels = ["file,class_index", "boat.png,3", "wave.png,15", "older/boat.png,2"]
    (folder / "labels.csv").write_text("\n".join(labels))
    ended = launch(
        "evaluate",
        "--model=sure",
        "--images=.",
        "--labels=labels.csv",
        "--image=wave.png",
        "--topk=4",
        "--json",
        cwd=folder,
    )
    assert ended.returncode == 0, ended.stderr
    figures = last_line(ended)
    assert figures["n"] == 3
    np.testing.assert_allclose([figures["top1"], figures["top5"]], [100 / 3, 200 / 3])
    names, shares = zip(*figures["guesses"], strict=True)
    # ImageNet's classes by their numbers
    assert names == ("tiger shark", "goldfish", "hammerhead", "robin")
    np.testing.assert_allclose(shares, np.exp([0, -1, -2, -3]) / np.exp(-np.arange(5.0)).sum())
    assert f"{100 * shares[0]:.1f} %  tiger shark" in ended.stdout


@pytest.mark.slow
def test_evaluate_prints_the_networks_own_class_names(launch, folder, with_random_weights):
    """Class names come from the network's file, or from another file that takes precedence."""
    network = with_random_weights(registry.find("quicknet_v0"))
    dense = {"kernel": jnp.zeros((512, 4)), "bias": jnp.asarray([0.0, 0, 5, 9])}
    architecture = dataclasses.replace(network.architecture, num_classes=4)
    own = dataclasses.replace(
        network,
        architecture=architecture,
        variables={"params": {**network.variables["params"], "dense": dense}},
        class_names=("boat", "lion", "castle", "löwe"),
    )
    network_file.save(own, folder / "own")
    (folder / "names.txt").write_text("w\nx\ny\nz\n")
    (folder / "four.csv").write_text("file,class_index\nboat.png,3\nwave.png,0\n")
    for flags, expected in ([], ["löwe", "castle"]), (["--classes=names.txt"], ["z", "y"]):
        flags += ["--images=.", "--labels=four.csv", "--image=wave.png", "--json"]
        ended = launch("evaluate", "--model=own", *flags, cwd=folder)
        assert ended.returncode == 0, ended.stderr
        figures = last_line(ended)
        assert [name for name, _ in figures["guesses"]][:2] == expected
        assert len(figures["guesses"]) == 4
        assert (figures["n"], figures["top1"], figures["top5"]) == (2, 50, 100)


@pytest.mark.slow
def test_the_name_says_how_a_network_is_exported(launch, tmp_path):
    pytest.importorskip("tflite")
    done = launch("export", "--output=inknet.tflite", "--size=64", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "input: RGB in [0, 1] * [4.36681" in done.stdout
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["bytes"] == (tmp_path / "inknet.tflite").stat().st_size
    done = launch("export", "--output=inknet.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "section1_block1_conv/words" in np.load(tmp_path / "inknet.npz").files
    for flags, message in {
        ("--output=inknet.txt",): "needs a name that ends in .tflite or .npz",
        ("--output=other.npz", "--size=64"): "only a .tflite file has pictures of one size",
    }.items():
        done = launch("export", *flags, cwd=tmp_path)
        assert (done.returncode, message in done.stderr) == (1, True)


@pytest.mark.slow
def test_summary_takes_a_network_file(launch, folder, quicknet_file):
    ended = launch("summary", f"--model={quicknet_file}", "--json", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    named = launch("summary", "--model=quicknet_v0", "--json", cwd=folder)
    assert last_line(ended) == last_line(named)


# --- from a published file to a judged picture ---------------------------------------------


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """The folder of all steps of the chain below."""
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def ported(launch, studio, real_tflite):
    ended = launch(
        "port_larq",
        f"--source={real_tflite}",
        "--model=quicknet_v0",
        "--output=quicknet",
        "--json",
        cwd=studio,
    )
    assert ended.returncode == 0, ended.stderr
    return last_line(ended)


@pytest.fixture(scope="module")
def framed(launch, studio, ported, data_dir):
    photograph = data_dir / "images" / "contents" / "boat.jpg"
    painting = data_dir / "images" / "styles" / "great_wave.jpg"
    if not (photograph.is_file() and painting.is_file()):
        pytest.skip(f"no boat.jpg and great_wave.jpg below {data_dir / 'images'}; set BNNJAX_DATA")
    ended = launch(
        "stylize",
        f"--content={photograph}",
        f"--style={painting}",
        f"--model={ported['output']}",
        "--size=64",
        "--steps=40",
        "--json",
        *FEW_TAPS,
        cwd=studio,
    )
    assert ended.returncode == 0, ended.stderr
    return photograph, painting, last_line(ended)


@pytest.mark.slow
def test_a_published_network_is_ported(ported, studio, real_tflite):
    assert ported["source"] == real_tflite.name
    assert ported["output"] == "quicknet.safetensors"
    assert ported["bytes"] == (studio / ported["output"]).stat().st_size
    assert ported["bytes"] < 4e6  # one bit per weight


@pytest.mark.slow
def test_a_ported_network_recognizes_the_picture(launch, studio, ported, data_dir):
    with open(data_dir / "images" / "val" / "labels.csv", newline="") as file:
        tench = next(row for row in csv.DictReader(file) if row["name"] == "tench")
    picture = data_dir / "images" / "val" / tench["file"]
    flags = [f"--model={ported['output']}", f"--image={picture}", "--json"]
    ended = launch("evaluate", *flags, cwd=studio)
    assert ended.returncode == 0, ended.stderr
    name, probability = last_line(ended)["guesses"][0]
    assert name == "tench"
    assert probability > 0.5


@pytest.mark.slow
def test_a_real_pair_is_painted_and_judged(launch, studio, framed, data_dir):
    """By another network's judgement, it is nearer to the painting than the photograph was."""
    photograph, painting, figures = framed
    assert figures["problems"] == []
    judge = data_dir / "weights" / "vgg19_conv_to_conv5_1_q8.npz"
    if not judge.is_file():
        pytest.skip(f"no {judge}; set BNNJAX_DATA")
    (studio / "photos").mkdir()
    for name in ("boat.jpg", "untouched.jpg"):
        (studio / "photos" / name).write_bytes(photograph.read_bytes())
    picture = images.fit(images.load(photograph), size=64)
    images.save_png(studio / "out" / "untouched__great_wave.png", picture)
    ended = launch(
        "judge",
        "--pictures=out",  # beside everything else that stylize wrote into the folder
        "--contents_dir=photos",
        f"--styles_dir={painting.parent}",
        f"--judge={judge}",
        "--json",
        cwd=studio,
    )
    assert ended.returncode == 0, ended.stderr
    judged = last_line(ended)["pictures"]
    assert judged.keys() == {"boat__great_wave.png", "untouched__great_wave.png"}
    made, untouched = judged["boat__great_wave.png"], judged["untouched__great_wave.png"]
    assert made["style"] < untouched["style"]
    assert made["strokes"] < untouched["strokes"]
    assert made["content"] > untouched["content"]


# --- port_larq: files of Keras and Larq Compute Engine, whole and damaged ------------------


@pytest.fixture(scope="module")
def keras_weights(keras_layers, write_keras, tmp_path_factory):
    """``quicknet_small`` as Keras saves it."""
    path = tmp_path_factory.mktemp("keras") / "small.h5"
    write_keras(path, keras_layers(registry.find("quicknet_small")))
    return path


@pytest.mark.slow
def test_a_keras_file_is_ported_and_compared_array_by_array(launch, keras_weights, tmp_path):
    flags = [f"--source={keras_weights}", "--model=quicknet_small", "--output=small"]
    ended = launch("port_larq", *flags, "--verify", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    report = last_line(ended)
    # Its 1-bit parameters, as published.
    assert (report["bits"], report["differing"], report["agrees"]) == (11980800, 0, True)
    assert report["kernels"] == "latent"
    assert network_file.restore(tmp_path / "small").entry.name == "quicknet_small"


@pytest.mark.slow
def test_the_convolutions_of_vgg19_are_reported_by_their_own_name(launch, data_dir, tmp_path):
    source = data_dir / "weights" / "vgg19_conv_to_conv5_1_q8.npz"
    if not source.is_file():
        pytest.skip(f"no {source}; set BNNJAX_DATA")
    flags = [f"--source={source}", "--model=vgg19", "--output=vgg"]
    ended = launch("port_larq", *flags, "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert last_line(ended)["model"] == "vgg19_conv5_1"
    assert "→ vgg.safetensors: vgg19_conv5_1, " in ended.stdout


@pytest.fixture(scope="module")
def own_models():
    """Keras models that Larq saved."""
    return np.load(Path(__file__).parents[1] / "reference" / "own_models.npz")


@pytest.mark.slow
def test_a_model_of_your_own_is_ported_and_its_file_is_used(
    launch, tmp_path, make_picture, own_models
):
    (tmp_path / "own.h5").write_bytes(own_models["nested/file .h5"].tobytes())
    flags = ["--source=own.h5", "--output=own", "--preprocessing=symmetric"]
    ended = launch("port_larq", *flags, "--verify", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    report = last_line(ended)
    assert (report["model"], report["kernels"]) == ("own.h5", "latent")
    assert (report["differing"], report["agrees"]) == (0, True)
    images.save_png(tmp_path / "boat.png", make_picture(0, 32, 32))
    ended = launch("evaluate", "--model=own", "--image=boat.png", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert len(last_line(ended)["guesses"]) == 5


@pytest.mark.slow
def test_a_model_that_cannot_be_read_ends_in_one_line(launch, tmp_path, own_models):
    (tmp_path / "own.h5").write_bytes(own_models["operations/file .h5"].tobytes())
    ended = launch("port_larq", "--source=own.h5", "--output=own", cwd=tmp_path)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "own.h5: holds weights without the model; write the model beside it" in ended.stderr
    assert not (tmp_path / "own.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["truncated", "tampered", "mislabelled", "no HDF5"])
def test_a_bad_keras_file_ends_in_one_line_and_writes_nothing(
    launch, keras_weights, tmp_path, fault
):
    flags, content = ["--model=quicknet_small"], keras_weights.read_bytes()
    if fault == "truncated":
        content = content[: len(content) // 2]
    elif fault == "tampered":
        flags.append(f"--sha256={hashlib.sha256(content).hexdigest()}")
        content = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
    elif fault == "mislabelled":
        flags = ["--model=quicknet_large"]
    else:
        content = b"TFL3" + content[4:]
    source = tmp_path / "bad.h5"
    source.write_bytes(content)
    ended = launch("port_larq", "--source=bad.h5", *flags, "--output=out", cwd=tmp_path)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1, ended.stderr[:2000]
    assert "bad.h5" in ended.stderr
    assert [*tmp_path.iterdir()] == [source]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["truncated", "tampered", "mislabelled"])
def test_a_bad_tflite_file_ends_in_one_line_and_writes_nothing(
    launch, real_tflite, tmp_path, fault
):
    flags, content = ["--model=quicknet_v0"], real_tflite.read_bytes()
    if fault == "truncated":
        content = content[: len(content) // 2]
    elif fault == "tampered":
        flags.append(f"--sha256={hashlib.sha256(content).hexdigest()}")
        middle = len(content) // 2
        content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    else:
        flags = ["--model=quicknet_large_v0"]
    source = tmp_path / "bad.tflite"
    source.write_bytes(content)
    ended = launch("port_larq", "--source=bad.tflite", *flags, "--output=out", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr[:2000]
    assert "bad.tflite" in ended.stderr
    assert [*tmp_path.iterdir()] == [source]
