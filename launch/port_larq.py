"""Converts a network of Larq, Keras or BMXNet to a network file of bnnjax, without TensorFlow.

python launch/port_larq.py --source=weights.h5 --model=quicknet --output=my_quicknet --verify
"""

import os
from pathlib import Path

from absl import flags

from bnnjax import cli
from bnnjax.port import load, verify
from bnnjax.port.storage import network_file
from bnnjax.port.storage.download import file_sha256

FLAGS = flags.FLAGS
flags.DEFINE_string("source", None, "file to port: .h5, .tflite, .params or .npz", required=True)
flags.DEFINE_string("model", None, "name of the network in the source", required=True)
flags.DEFINE_string("output", None, "file to write, NAME.safetensors", required=True)
flags.DEFINE_string("sha256", None, "expected sha256 of the source (hexadecimal)")
flags.DEFINE_boolean("verify", False, "compare with the source: results (.tflite), arrays (.h5)")
flags.DEFINE_boolean("overwrite", False, "replace an existing network file")
cli.define_json()


def main() -> int:
    source = Path(os.path.expanduser(FLAGS.source))
    output = network_file.target(FLAGS.output, overwrite=FLAGS.overwrite)
    # This precedes any reader, because the HDF5 library may crash on a damaged file.
    if FLAGS.sha256 and (found_sum := file_sha256(source)) != FLAGS.sha256.lower():
        raise ValueError(f"{source} has sha256 {found_sum}, needs {FLAGS.sha256}")
    network = load.port_file(source, model=FLAGS.model)
    report = {"model": network.entry.name, "output": str(output), **network.provenance}
    if FLAGS.verify:
        found = verify.verify(network, source)
        if found is None:
            raise ValueError(f"{source}: --verify compares .tflite and .h5 files only")
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
