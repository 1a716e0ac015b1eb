"""The documents: their programs run, and what they name exists."""

import ast
import functools
import importlib
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bnnjax
from bnnjax import assets
from bnnjax.__main__ import commands as bnnjax_commands
from bnnjax.app.config import AppConfig
from bnnjax.atlas import AtlasConfig, VisualizeConfig
from bnnjax.attack import AttackConfig
from bnnjax.models import registry
from bnnjax.models.network import Network
from bnnjax.models.tapped import Tapped
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.terms import Scene, Seen
from bnnjax.port import load
from bnnjax.studies.bench import BenchConfig
from bnnjax.train.config import Cifar10Config, TrainConfig

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
EACH_DOCUMENT = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def blocks(name):
    """The Python programs of a document."""
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)


# --- programs ------------------------------------------------------------------------------


def run(program, **names):
    exec(compile(program, "program", "exec"), names)
    return names


@pytest.fixture(scope="module")
def mynet():
    """The network of docs/architecture.md, latent and with random weights."""
    register, try_out, *_ = blocks("docs/architecture.md")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(registry, "REGISTRY", dict(registry.REGISTRY))
        run(register)
        return run(try_out.split("network = ")[0])["latent"]


@pytest.fixture
def reader(tmp_path, monkeypatch, make_picture, mynet):
    """Someone who runs the programs in a folder of pictures; everything is small."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("boat", "lion", "wave", "scream")):
        pixels = np.rint(255 * make_picture(seed, 64, 64)).astype(np.uint8)
        Image.fromarray(pixels).save(f"{name}.jpg")
    stylize_batch, small = bnnjax.stylize_batch, {"size": 64, "steps": 2, "progress": False}

    def stylize_small(*pictures, model=mynet, **options):
        return stylize_batch(*pictures, model=model, **(options | small))

    monkeypatch.setattr(bnnjax, "stylize_batch", stylize_small)
    monkeypatch.setattr(registry, "REGISTRY", dict(registry.REGISTRY))


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
def test_the_architecture_adds_a_network_and_a_term():
    register, try_out, term, _ = blocks("docs/architecture.md")
    run(register)
    assert bnnjax.networks()[-1] == "mynet"
    network = run(try_out)["network"]
    assert network.form == "packed"
    assert network.taps == ("stem", "block")
    loaded = bnnjax.load_model("random_mynet")
    assert loaded.name == "mynet"
    result = run(term)["result"]
    assert result.losses[0]["contrast"].shape == (2,)
    assert result.recipe(0).extra_terms == {"contrast": 20.0}


@pytest.mark.slow
def test_both_signs_reach_the_binary_convolution(mynet):
    """After a ReLU alone, all signs would be 1."""
    images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    _, taps, _ = mynet.architecture.train(mynet.variables, images)
    share = (np.asarray(taps["stem"]) >= 0).mean((0, 1, 2))
    assert 0 < share.min() < share.max() < 1


@pytest.mark.slow
def test_the_architecture_attacks_a_network():
    """The pictures stay in the ball of radius 2, and the labels become less likely."""
    *_, attack = blocks("docs/architecture.md")
    program = attack.replace("128", "64").replace("steps=20", "steps=8, progress=False")
    names = run(program)
    distances = [
        np.linalg.norm(picture - clean)
        for picture, clean in zip(names["found"].pictures, names["clean"], strict=True)
    ]
    np.testing.assert_array_less(distances, 2 + 1e-4)
    np.testing.assert_array_less(1, distances)
    for history in names["found"].history:
        assert history["cross_entropy"].max() > 2 * history["cross_entropy"][0]


@pytest.mark.usefixtures("reader")
@pytest.mark.slow
def test_the_programs_of_the_readme_run(tmp_path, monkeypatch):
    stylize, look, layer = blocks("README.md")
    result = run(stylize)["result"]
    assert result.names == ["boat__wave", "boat__scream", "lion__wave", "lion__scream"]
    assert result.images[0].shape == (64, 64, 3)
    assert (tmp_path / "mine" / "lion__scream.png").is_file()

    shipped = bnnjax.load_model()
    monkeypatch.setattr(bnnjax, "load_model", {"quicknet": shipped}.get)  # without a download
    names = run(look)
    assert names["taps"].keys() == set(shipped.taps)
    assert names["soft"].architecture.options.pooling == "avg"

    names = run(layer)
    kernel = names["params"]["QuantConv_0"]["kernel"]
    assert kernel.shape == (3, 3, 64, 64)


def lines(program):
    """How many statements a program has."""
    return len(ast.parse(program).body)


@pytest.mark.slow
def test_the_guide_from_larq_reads_a_model_writes_it_and_moves_a_layer(
    tmp_path, monkeypatch, keras_layers, write_keras
):
    """Its programs run in order, in a folder with a model that Larq saved and one of its files."""
    monkeypatch.chdir(tmp_path)
    models = np.load(ROOT / "tests" / "reference" / "own_models.npz")
    (tmp_path / "own.h5").write_bytes(models["quantizers/file .h5"].tobytes())
    write_keras(tmp_path / "quicknet.h5", keras_layers(registry.find("quicknet")))
    pictures, way_in, way_out, *others = blocks("docs/from_larq.md")
    assert lines(way_in) == lines(way_out) == 3
    names = run(pictures + way_in)
    assert names["logits"].shape == (1, 5)
    assert names["taps"]["add_3"].shape == (1, 64, 64, 8)
    again = run(way_out, **names)
    np.testing.assert_allclose(again["logits"], names["logits"], rtol=0, atol=1e-5)
    for program in others:
        names = run(program, **names)
    assert bnnjax.load_model("own").name == "own.h5"
    assert names["latent"].form == "latent"
    assert names["network"].entry.name == "quicknet"
    assert names["packed"].keys() == {"words"}
    assert names["y"].shape == (1, 9, 9, 8)


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
def test_the_guide_from_pytorch_differentiates_gram_matrices(monkeypatch, with_random_weights):
    """NumPy computes the same matrices, and a small step changes the loss as the gradient says."""
    vgg = with_random_weights(registry.find("vgg19_conv5_1"))
    monkeypatch.setattr(bnnjax, "load_model", {"vgg19_conv5_1": vgg}.get)
    (program,) = blocks("docs/from_pytorch.md")
    names = run(program.replace("size=224", "size=32"))
    taps = vgg(names["painting"][None])[1]
    assert names["targets"].keys() == {f"relu{block}_1" for block in range(1, 6)}
    for tap, found in names["targets"].items():
        flat = np.asarray(taps[tap], np.float64).reshape(-1, taps[tap].shape[-1])
        expected = flat.T @ flat / len(flat)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())
    picture, gradient = names["photograph"], names["gradient"]
    length = np.linalg.norm(gradient)
    ahead, back = (names["style_loss"](picture + d * gradient / length) for d in (0.01, -0.01))
    assert (ahead - back) / 0.02 == pytest.approx(length, rel=0.05)


@pytest.fixture
def own_model(tmp_path, reader):
    """The reader's folder also has a model that Larq saved, of 5 classes."""
    models = np.load(ROOT / "tests" / "reference" / "own_models.npz")
    (tmp_path / "own.h5").write_bytes(models["quantizers/file .h5"].tobytes())


@pytest.mark.slow
@pytest.mark.usefixtures("own_model")
def test_the_guide_to_attacks_attacks_a_model_of_the_readers(tmp_path, monkeypatch, capsys):
    small = {"size": 64, "steps": 2, "checks": 1, "queries": 2, "progress": False}
    monkeypatch.setattr(bnnjax, "attack_batch", partial(bnnjax.attack_batch, **small))
    attack, checks = blocks("docs/attacks.md")
    names = run(attack)
    result = names["result"]
    assert result.network.source == "own.h5"
    assert result.epsilons == (1, 2, 4, 8)
    assert {name for name, _ in result.guesses(0)} == {"boat", "cat", "dog", "house", "lion"}
    assert (tmp_path / "attacked" / "attack.csv").is_file()
    run(checks, **names)
    printed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert len(printed) == len(result.checks)


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
def test_the_guide_to_atlases_makes_one(tmp_path, monkeypatch, mynet):
    (tmp_path / "photos").mkdir()
    for photograph in tmp_path.glob("*.jpg"):
        photograph.rename(tmp_path / "photos" / photograph.name)
    small = {"grid": 2, "least": 1, "size": 32, "image_size": 32, "steps": 2, "layout": "pca"}
    make = partial(bnnjax.activation_atlas, model=mynet, progress=False)
    smaller = lambda *photographs, **options: make(*photographs, **(options | small))  # noqa: E731
    monkeypatch.setattr(bnnjax, "activation_atlas", smaller)
    taps, atlas = blocks("docs/atlas.md")
    run(taps)
    names = run(atlas.replace("section3", "block"))
    assert len(names["atlas"].samples.activations) == 4
    assert names["cell"].picture.shape == (32, 32, 3)
    assert {path.name for path in (tmp_path / "atlas").iterdir()} == {
        "atlas.png",
        "atlas.html",
        "atlas.json",
    }


@pytest.mark.slow
def test_the_commands_for_artists_run(tmp_path):
    """In a folder with the files that they name, in the order of the guide."""
    samples, masks = Path(assets.SAMPLES), ("moon.png", "sky.png", "sea.png")
    sources = {"boat": "lake", "lion": "still_life", "wave": "town", "night": "night"}
    for name, sample in sources.items():
        shutil.copy(samples / f"{sample}.jpg", tmp_path / f"{name}.jpg")
    (tmp_path / "paintings").mkdir()
    shutil.copy(samples / "night.jpg", tmp_path / "paintings")
    Image.open(samples / "town.jpg").save(tmp_path / "sketch.png")
    for name in masks:
        Image.linear_gradient("L").save(tmp_path / name)
    small = ["--size=64", "--steps=2", "--style_taps=stem", "--content_taps=stem"]
    found = [line.split() for line in unfolded((ROOT / "docs" / "artist.md").read_text("utf-8"))]
    painting = [words for words in found if words[:2] == ["bnnjax", "stylize"]]
    assert len(painting) > 15
    for words in painting:
        command = [sys.executable, "-m", *words, *small]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, (words, ended.stderr)
    assert len([*tmp_path.glob("*/*__*.png")]) > 15


# --- links and paths -----------------------------------------------------------------------


@EACH_DOCUMENT
def test_relative_links_resolve(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if not target.startswith(("http://", "https://", "#")):
            assert (path.parent / target.split("#")[0]).exists(), target


def spans(text):
    """Everything in single backticks."""
    without_blocks = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return re.findall(r"`([^`]+)`", without_blocks)


def paths_in(text):
    """Files and folders of the repository; capitals, as in ``train/CLASS``, are placeholders."""
    words = [span.split()[0] for span in spans(text) if span.strip()]
    for word in {*words, *re.findall(r"python (\S+\.py)", text)} - {"mynet.py"}:  # the reader's
        name = word.removeprefix("../")
        first = name.split("/")[0]
        ours = any((folder / first).exists() for folder in (ROOT, ROOT / "bnnjax"))
        is_path = re.fullmatch(r"[\w./-]+", name) and not re.search(r"[A-Z]{3}", name)
        if is_path and (name.endswith(".py") or ("/" in name and ours)):
            yield name


@EACH_DOCUMENT
def test_files_and_folders_exist(path):
    for name in paths_in(path.read_text("utf-8")):
        folders = (ROOT, ROOT / "bnnjax", path.parent)
        assert any((folder / name).exists() for folder in folders), name


# --- names of the package ------------------------------------------------------------------

# Of Larq, Keras and PyTorch, which need not be installed.
OTHERS = {"lq", "lqz", "lce", "tf", "model", "F", "img", "loss", "optim"}
VARIABLES = {  # in the text → its class or module
    "network": Network,
    "result": StylizeResult,
    "scene": Scene,
    "seen": Seen,
    "self": Tapped,
    "load": load,
}
SOURCES = [
    file.read_text("utf-8")
    for folder in ("bnnjax", "launch", "benchmarks", "artwork", "tests")
    for file in (ROOT / folder).rglob("*.py")
]
WORDS = set(re.findall(r"[A-Za-z_]\w*", "\n".join(SOURCES)))


def resolve(name):
    """What a dotted name stands for; modules are imported on the way."""
    parts = name.split(".")
    found = importlib.import_module(parts[0])
    for depth, part in enumerate(parts[1:], start=2):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[:depth]))
        found = getattr(found, part)
    return found


def has_attribute(kind, name):
    return hasattr(kind, name) or name in getattr(kind, "__dataclass_fields__", {})


@functools.cache
def class_named(name):
    """A class of the package by its name alone."""
    for file in (ROOT / "bnnjax").rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        if any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            return getattr(importlib.import_module(module), name)
    return None


def exists(name):
    """Whether a dotted name exists: in full, without ``bnnjax.``, or on a class or variable."""
    first, *rest = name.split(".")
    if kind := VARIABLES.get(first) or class_named(first):
        return has_attribute(kind, rest[0])
    for full in (name, f"bnnjax.{name}"):
        try:
            resolve(full)
        except (ImportError, AttributeError):
            continue
        return True
    return False


def dotted(text):
    """Names such as ``bnnjax.load_model`` and ``Recipe.run``, also where they are called."""
    for span in spans(text):
        called = re.match(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\(|$)", span)
        suffixes = (
            "py",
            "md",
            "h5",
            "json",
            "csv",
            "html",
            "png",
            "jpg",
            "npz",
            "tflite",
            "safetensors",
        )
        if called and called[1].split(".")[0] not in OTHERS and not span.endswith(suffixes):
            yield called[1]


@EACH_DOCUMENT
def test_modules_functions_and_attributes_exist(path):
    for name in dotted(path.read_text("utf-8")):
        assert exists(name), name


@EACH_DOCUMENT
def test_single_names_occur_in_the_code(path):
    """Names of functions, networks, options, taps … without a dot."""
    for span in spans(path.read_text("utf-8")):
        if re.fullmatch(r"[a-z]\w*_\w+|[A-Z][a-z]+[A-Z]\w+", span) and span not in OTHERS:
            assert span in WORDS, span


def test_the_guide_from_larq_names_every_counterpart():
    names = set(dotted((ROOT / "docs" / "from_larq.md").read_text("utf-8")))
    ours = {name for name in names if name.startswith("bnnjax.")}
    assert len(ours) > 25
    assert "bnnjax.layers.QuantConv3DTranspose" in ours
    assert all(callable(resolve(name)) for name in ours)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bnnjax.load_model", True),
        ("nst.inputs.read_pictures", True),
        ("StyleTransfer.measure", True),
        ("network.class_names", True),
        ("bnnjax.load_modle", False),
        ("nst.input.read_pictures", False),
        ("StyleTransfer.mesure", False),
        ("network.class_name", False),
    ],
)
def test_a_wrong_name_is_noticed(name, expected):
    assert exists(name) is expected


# --- commands and flags --------------------------------------------------------------------

CONFIGS = (
    StylizeConfig,
    AttackConfig,
    AtlasConfig,
    VisualizeConfig,
    BenchConfig,
    TrainConfig,
    Cifar10Config,
    AppConfig,
)
FIELDS = {kind.__name__: kind for kind in CONFIGS}
SCRIPTS = {
    name: command.module.removeprefix("bnnjax.").replace(".", "/")
    for name, command in bnnjax_commands().items()
}
OTHER_FLAGS = {"check", "help"}  # of ruff, and absl's own


def flags_of(script):
    """The flags that a script defines, with those of `bnnjax.cli`."""
    text = (ROOT / script).read_text("utf-8")
    own = re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", text)
    for kind in re.findall(r"cli\.define_fields\((?:\w+\.)?(\w+)\)", text):
        own += FIELDS[kind].__dataclass_fields__
    return {*own, "json", "import"} | OTHER_FLAGS


def unfolded(text):
    """The lines of a document, of which commands may span several."""
    return re.sub(r"\\\n\s*", "", text).splitlines()


def commands(text):
    """(script, flags) of every command line."""
    for line in unfolded(text):
        for script, arguments in re.findall(
            r"python ((?:launch|benchmarks)/\w+\.py)([^`#]*)", line
        ):
            yield script, re.findall(r"--(\w+)", arguments)
        for name, arguments in re.findall(r"^ +bnnjax ([a-z-]+)(.*)", line):
            yield f"{SCRIPTS[name]}.py", re.findall(r"--(\w+)", arguments)


@EACH_DOCUMENT
def test_flags_exist(path):
    text = path.read_text("utf-8")
    scripts = [*ROOT.glob("launch/[a-z]*.py"), *ROOT.glob("benchmarks/[a-z]*.py")]
    known = set().union(*(flags_of(script.relative_to(ROOT)) for script in scripts))
    for flag in re.findall(r"(?<![\w-])--(\w+)", text):
        assert flag in known, flag
    for script, flags in commands(text):
        assert {*flags} <= flags_of(script), script


def test_every_script_is_in_the_readme_with_its_command():
    text = (ROOT / "README.md").read_text("utf-8")
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    for script, command in re.findall(r"\| `launch/(\w+)\.py` \| `([\w-]+)` \|", text):
        assert f'{command} = "bnnjax.launch.{script}:run"' in project
    for file in ROOT.glob("launch/[a-z]*.py"):
        assert f"`launch/{file.name}`" in text, file
