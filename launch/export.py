"""Exports a network as a NumPy archive, for programs without JAX.

python launch/export.py --model=my_quicknet --output=quicknet.npz

bnnjax/port/storage/export.py describes the archive and how to unpack it with NumPy.
"""

from absl import flags

from bnnjax import cli, load_model
from bnnjax.port.storage import export

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "name of a network or network file; default: inknet")
flags.DEFINE_string("output", None, "file to write, NAME.npz", required=True)
flags.DEFINE_boolean("overwrite", False, "replace an existing archive")
cli.define_json()


def main() -> int:
    network = load_model(FLAGS.model)
    path = export.export(network, FLAGS.output, overwrite=FLAGS.overwrite)
    size = path.stat().st_size
    print(f"{network.entry.name} → {path}, {size / 2**20:.2f} MiB")
    cli.print_json({"model": network.entry.name, "output": str(path), "bytes": size})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
