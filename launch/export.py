"""Writes a network as one NumPy archive, for programs that know nothing of JAX.

python launch/export.py --weights=my_quicknet --output=quicknet.npz

What the archive holds, and how NumPy unpacks it, is told in bnnjax/port/export.py.
"""

from absl import flags

from bnnjax import cli, load_model
from bnnjax.port import export

FLAGS = flags.FLAGS
flags.DEFINE_string("weights", None, "checkpoint or name of a network; the one that ships")
flags.DEFINE_string("output", None, "file to write, NAME.npz", required=True)
flags.DEFINE_boolean("overwrite", False, "replace the file if it exists")
cli.define_json()


def main() -> int:
    network = load_model(FLAGS.weights)
    path = export.export(network, FLAGS.output, overwrite=FLAGS.overwrite)
    size = path.stat().st_size
    print(f"{network.entry.name} → {path}, {size / 2**20:.2f} MiB")
    cli.print_json({"model": network.entry.name, "output": str(path), "bytes": size})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
