"""Converts a network of Larq, Keras or BMXNet to a network file of bnnjax, without TensorFlow.

python launch/port_larq.py --source=own.h5 --output=own --verify
python launch/port_larq.py --source=weights.h5 --model=quicknet --output=my_quicknet --verify
"""

import os
from pathlib import Path

from absl import flags

from bnnjax import cli
from bnnjax.port import load, verify
from bnnjax.port.program.preprocessing import PREPROCESSINGS
from bnnjax.port.storage import network_file
from bnnjax.port.storage.download import file_sha256

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "source", None, "file to port: .h5, .keras, .tflite, .params or .npz", required=True
)
flags.DEFINE_string("model", None, "name of the network; default: the model in the source itself")
flags.DEFINE_enum(
    "preprocessing",
    None,
    list(PREPROCESSINGS),
    "pictures of a model of your own; default: imagenet",
)
flags.DEFINE_string("output", None, "file to write, NAME.safetensors", required=True)
flags.DEFINE_string("sha256", None, "expected sha256 of the source (hexadecimal)")
flags.DEFINE_boolean("verify", False, "compare with the source: results (.tflite), arrays (Keras)")
flags.DEFINE_boolean("overwrite", False, "replace an existing network file")
cli.define_json()


def main() -> int:
    source = Path(os.path.expanduser(FLAGS.source))
    output = network_file.target(FLAGS.output, overwrite=FLAGS.overwrite)
    # This precedes any reader, because the HDF5 library may crash on a damaged file.
    if FLAGS.sha256 and (found_sum := file_sha256(source)) != FLAGS.sha256.lower():
        raise ValueError(f"{source} has sha256 {found_sum}, needs {FLAGS.sha256}")
    network = load.port_file(source, model=FLAGS.model, preprocessing=FLAGS.preprocessing)
    report = {"model": network.entry.name, "output": str(output), **network.provenance}
    if FLAGS.verify:
        found = verify.verify(network, source)
        if found is None:
            raise ValueError(f"{source}: --verify compares .tflite, .h5 and .keras files only")
        report |= {**found._asdict(), "agrees": found.agrees}
        print(f"compared with the source: {found}")
        if not found.agrees:
            raise ValueError(f"{source}: the port does not agree with it; nothing was written")
    network_file.save(network, output, overwrite=FLAGS.overwrite)
    report["bytes"] = output.stat().st_size
    print(f"{source} → {output}: {network.entry.name}, {report['bytes'] / 1e6:.2f} MB")
    cli.print_json(report)
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
