"""The import rule: a room imports only from rooms before it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    "options",
    "destination",
    "interrupts",
    "quant",
    "binary",
    "layers",
    "images",
    "models",
    "port",
    "optimize",
    "nst",
    "film",
    "judge",
    "attack",
    "atlas",
    "studies",
    "train",
    "app",
    "many",
    "cli",
    "completion",
    "__main__",
    "launch",
)
FILES = sorted([*ROOT.glob("bnnjax/**/*.py"), *ROOT.glob("launch/*.py")])


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] if parts[0] == "launch" else parts[1]


def imported_rooms(source: str) -> set[str]:
    modules: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [module.split(".") for module in modules if module.split(".")[0] == "bnnjax"]
    return {names[1] for names in parts if len(names) > 1} & set(ROOMS)


def test_the_reader_of_imports_sees_every_form():
    source = "import bnnjax.port.load\nfrom bnnjax import quant, cli\nfrom bnnjax.nst.x import y"
    assert imported_rooms(source) == {"port", "quant", "cli", "nst"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_rooms_before_it(path):
    room = room_of(path)
    if room in ("__init__", "assets"):  # the public names may come from anywhere
        return
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    assert imported_rooms(path.read_text("utf-8")) <= allowed


def test_the_engine_knows_nothing_of_networks_and_style():
    for path in FILES:
        if room_of(path) == "optimize":
            rooms = imported_rooms(path.read_text("utf-8"))
            assert rooms <= {"optimize", "binary", "interrupts"}, path


def test_core_imports_only_what_the_core_needs():
    """Extras are imported inside functions, so a missing one matters only when it is needed."""
    extras = {"h5py", "tflite", "flatbuffers", "matplotlib", "tensorflow", "torch"}
    extras |= {"optuna", "umap", "openTSNE", "pillow_heif", "av", "cv2"}
    extras |= {"starlette", "uvicorn", "ray"}
    for path in FILES:
        if path.parent.name == "app":  # the room is itself imported inside a function
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & extras, path
