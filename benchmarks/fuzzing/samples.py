"""Small valid files for all readers, made here or taken from the tests' references."""

import collections
import io
import pickle
import shutil
import struct
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageCms

from bnnjax import assets, images
from bnnjax.models import registry, vgg
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.recipe import KEYWORD, Recipe, Source
from bnnjax.optimize import minimize
from bnnjax.optimize import snapshots as saved_groups
from bnnjax.port import load
from bnnjax.port.bmxnet import resnet18
from bnnjax.port.storage import network_file
from bnnjax.port.storage.download import file_sha256
from bnnjax.port.vgg.torch_legacy import MAGIC
from bnnjax.train import loop

REFERENCE = Path(__file__).parents[2] / "tests" / "reference"
RUN = {"model": "inknet", "options": {"steps": 3}}


def _folder(folder: Path) -> Path:
    """A new folder for an input."""
    path = folder / f"{len([*folder.iterdir()]):02}"
    path.mkdir()
    return path


def pictures(folder: Path) -> None:
    """All formats and modes of pixels, with profiles, orientation and transparency."""
    levels = np.random.default_rng(0).integers(0, 256, (24, 40, 4), np.uint8)
    color, clear = Image.fromarray(levels[..., :3]), Image.fromarray(levels)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    deep = Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
    for kind, picture, options in (
        ("png", color, {"icc_profile": profile}),
        ("png", clear, {}),
        ("png", color.quantize(16), {"transparency": 3}),
        ("png", deep, {}),
        ("jpeg", color, {"exif": exif, "icc_profile": profile}),
        ("jpeg", color, {"progressive": True}),
        ("jpeg", color.convert("CMYK"), {}),
        ("webp", clear, {"lossless": True}),
        ("webp", color, {"exif": exif}),
        ("gif", color, {"save_all": True, "append_images": [color.rotate(180)]}),
        ("bmp", color, {}),
        ("tiff", color, {"compression": "tiff_lzw", "exif": exif}),
        ("tiff", Image.fromarray(levels[..., 0] / np.float32(255)), {}),
        ("tiff", color.convert("LAB"), {}),
    ):
        picture.save(_folder(folder) / f"main.{kind}", **options)


def masks(folder: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    Image.fromarray(levels).save(_folder(folder) / "main.png")
    Image.fromarray(levels).convert("1").save(_folder(folder) / "main.png")
    Image.fromarray(levels).save(_folder(folder) / "main.webp")


def recipes(folder: Path) -> None:
    photographs, paintings = assets.samples()
    content, style = (
        Source(path.name, file_sha256(path)) for path in (photographs[0], paintings[0])
    )
    network = load.load_model()
    recipe = Recipe(
        content, style, "inknet", network.provenance, StylizeConfig(), "0.1.0",
        files={"content_mask": (content,)},
    )  # fmt: skip
    for suffix in images.FORMATS.values():
        path = _folder(folder) / f"main{suffix}"
        images.save_picture(
            path, np.zeros((8, 8, 3), np.float32), metadata={KEYWORD: recipe.to_json()}
        )


def manifests(folder: Path) -> None:
    for text in (
        "content,style,name\nother.png,other.png,first\nother.png,,second\n",
        "content\nother.png\nother.png+other.png\n",
    ):
        place = _folder(folder)
        (place / "main.csv").write_text(text, encoding="utf-8")
        images.save_png(place / "other.png", np.zeros((8, 8, 3), np.float32))


def results(folder: Path) -> None:
    from bnnjax.many.results import DONE, Results, Row

    place = _folder(folder)
    table = Results(place, RUN)
    table.add(Row(f"{n}", "a.png", "b.png", DONE, "", 0.5, "here:1") for n in range(3))


def networks(folder: Path) -> None:
    shipped = Path(str(resources.files("bnnjax.assets"))) / "inknet.safetensors"
    shutil.copy(shipped, _folder(folder) / "main.safetensors")
    for name in ("sequential .h5", "activations .keras"):
        source, suffix = _reference(folder.parent, name)
        del suffix
        network_file.save(load.load_model(source), _folder(folder) / "main")


def _reference(folder: Path, name: str) -> tuple[Path, str]:
    """A model of the tests as a file, and its suffix; ``name`` is "MODEL SUFFIX"."""
    model, suffix = name.split(" ")
    content = np.load(REFERENCE / "own_models.npz")[f"{model}/file {suffix}"].tobytes()
    path = folder / f"{model}{suffix}"
    path.write_bytes(content)
    return path, suffix


def keras_h5(folder: Path) -> None:
    for name in ("sequential .h5", "nested .h5", "branches .h5", "decoder .h5"):
        path, _ = _reference(folder.parent, name)
        shutil.copy(path, _folder(folder) / "main.h5")
    beside, archive = _folder(folder), np.load(REFERENCE / "keras3.npz")
    (beside / "main.h5").write_bytes(archive["file own.weights.h5"].tobytes())
    (beside / "main.json").write_bytes(archive["file own.json"].tobytes())


def keras_archives(folder: Path) -> None:
    archive = np.load(REFERENCE / "keras3.npz")
    (_folder(folder) / "main.keras").write_bytes(archive["file own.keras"].tobytes())
    path, _ = _reference(folder.parent, "activations .keras")
    shutil.copy(path, _folder(folder) / "main.keras")


def tflite(folder: Path) -> None:
    archive = np.load(REFERENCE / "lce.npz")
    for name in ("picture", "int8", "kernel=1", "groups", "operators", "packed_pool"):
        (_folder(folder) / "main.tflite").write_bytes(archive[f"{name} file"].tobytes())


def bmxnet(folder: Path) -> None:
    rng, parts, names = np.random.default_rng(0), [], []
    needed = resnet18.needed(registry.find("bmxnet_resnet18"))
    for name, array in needed.items():
        code = {"float32": 0, "float64": 1}[str(array.dtype)]
        values = rng.uniform(50, 200, array.shape).astype(array.dtype)
        shape = struct.pack(f"<II{len(array.shape)}q", 0xF993FAC8, len(array.shape), *array.shape)
        parts += [shape, struct.pack("<iii", 1, 0, code), values.tobytes()]
        names.append(struct.pack("<Q", len(name)) + name.encode())
    head = struct.pack("<QQQ", 0x112, 0, len(needed))
    content = b"".join([head, *parts, struct.pack("<Q", len(names)), *names])
    (_folder(folder) / "main.params").write_bytes(content)


def vgg_npz(folder: Path) -> None:
    arrays: dict[str, np.ndarray] = {}
    for name, shape in vgg.kernel_shapes(vgg.TO_CONV5_1).items():
        arrays[f"{name}/kernel_table"] = np.zeros(256, np.float32)
        arrays[f"{name}/kernel_idx"] = np.zeros(shape, np.uint8)
        arrays[f"{name}/bias"] = np.zeros(shape[-1], np.float32)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), 8)
    (_folder(folder) / "main.npz").write_bytes(target.getvalue())


def vgg_h5(folder: Path) -> None:
    with h5py.File(_folder(folder) / "main.h5", "w") as file:
        layers = {vgg.keras_name(n): s for n, s in vgg.kernel_shapes(vgg.VGG19).items()}
        file.attrs["layer_names"] = np.array([name.encode() for name in layers])
        for name, shape in layers.items():
            group = file.create_group(name)
            names = [f"{name}/kernel:0", f"{name}/bias:0"]
            group.attrs["weight_names"] = np.array([n.encode() for n in names])
            for each, sides in zip(names, (shape, shape[-1:]), strict=True):
                group.create_dataset(each, data=np.zeros(sides, np.float32), compression="gzip")


def torch(folder: Path) -> None:
    """The pickles of torch's old format, written by hand: it needs torch otherwise."""
    array = np.arange(12, dtype=np.float32)
    state = io.BytesIO()
    _Pickler(state, protocol=2).dump(collections.OrderedDict(a=_Tensor(array), b=_Tensor(array)))
    named = state.getvalue().replace(
        b"fuzzing.samples\n_rebuild_tensor_v2", b"torch._utils\n_rebuild_tensor_v2"
    )
    named = named.replace(b"fuzzing.samples\nFloatStorage", b"torch\nFloatStorage")
    heads = [pickle.dumps(head, 2) for head in (MAGIC, 1001, {"little_endian": True})]
    storage = pickle.dumps(["0"], 2) + struct.pack("<q", array.size) + array.tobytes()
    (_folder(folder) / "main.bin").write_bytes(b"".join([*heads, named, storage]))


class _Tensor:
    def __init__(self, array: np.ndarray) -> None:
        self.array = array


class FloatStorage:
    """Named in pickles only."""


def _rebuild_tensor_v2(*arguments: Any) -> None:
    """Named in pickles only."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, _Tensor):
            return NotImplemented
        place = (("storage", value.array.size), 0, (3, 4), (4, 1), False, collections.OrderedDict())
        return _rebuild_tensor_v2, place

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, tuple) and value[:1] == ("storage",):
            return ("storage", FloatStorage, "0", "cpu", value[1], None)
        return None


# --- runs that are resumed -------------------------------------------------------------------


class Counter:
    """A training of four steps."""

    epochs, steps_per_epoch = 2, 2
    saved_config = {"factor": 3.9, "epochs": 2, "names": ["a", "b"]}  # noqa: RUF012 (read only)

    def init(self) -> Any:
        return {"x": jnp.linspace(0.1, 0.9, 5), "n": jnp.int32(0)}

    def step(self, state: Any, index: int) -> Any:
        return {"x": state["x"] * 0.5, "n": state["n"] + 1}, {"loss": state["x"].mean()}

    def evaluate(self, state: Any) -> dict[str, float]:
        return {"largest": float(state["x"].max())}


def checkpoints(folder: Path) -> None:
    resume(_folder(folder))


def resume(folder: Path) -> None:
    """Trains to the end, from what the folder has."""
    loop.train(Counter(), folder, progress=False)


class Bowl:
    """The distance of a picture from grey."""

    def loss(self, variables: Any, picture: Any, data: Any, weights: Any, key: Any) -> Any:
        distance = jnp.mean((picture - variables) ** 2)
        return distance, {"distance": distance}


BOWL = Bowl()


def snapshots(folder: Path) -> None:
    every, saved_groups.EVERY = saved_groups.EVERY, 0
    resume_pictures(_folder(folder))
    saved_groups.EVERY = every


def resume_pictures(folder: Path) -> None:
    """Optimises a picture, from what the folder has."""
    start = np.full((1, 8, 8, 3), 0.5, np.float32)
    options = {"steps": 4, "key": jax.random.key(0), "progress": False, "snapshots": folder}
    minimize(BOWL, np.float32(0.4), start, **options)
