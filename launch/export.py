"""Exports a network: for phones, or as a NumPy archive, for programs without JAX.

python launch/export.py --model=my_quicknet --output=quicknet.tflite
python launch/export.py --model=my_quicknet --output=quicknet.npz

The name says which. Larq Compute Engine runs a .tflite file; bnnjax/port/tflite/export.py describes
its input and output. bnnjax/port/storage/export.py describes the archive and how to unpack it with
NumPy.
"""

from pathlib import Path

from absl import flags

from bnnjax import cli, load_model
from bnnjax.port.storage import export as archive
from bnnjax.port.tflite import export as phones

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "name of a network or network file; default: inknet")
flags.DEFINE_string("output", None, "file to write, NAME.tflite or NAME.npz", required=True)
flags.DEFINE_integer(
    "size",
    None,
    "side of the pictures that a .tflite file takes, px; default: 224, or the smallest possible",
)
flags.DEFINE_boolean("overwrite", False, "replace an existing file of this kind")
cli.define_json()


def main() -> int:
    suffix = Path(FLAGS.output).suffix
    if suffix not in (".tflite", ".npz"):
        raise ValueError(f"{FLAGS.output}: needs a name that ends in .tflite or .npz")
    if suffix == ".npz" and FLAGS.size is not None:
        raise ValueError(f"{FLAGS.output}: only a .tflite file has pictures of one size")
    network = load_model(FLAGS.model)
    if suffix == ".tflite":
        path = phones.export(network, FLAGS.output, size=FLAGS.size, overwrite=FLAGS.overwrite)
        print(phones.input_of(network))
    else:
        path = archive.export(network, FLAGS.output, overwrite=FLAGS.overwrite)
    size = path.stat().st_size
    print(f"{network.entry.name} → {path}, {size / 2**20:.2f} MiB")
    cli.print_json({"model": network.entry.name, "output": str(path), "bytes": size})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
