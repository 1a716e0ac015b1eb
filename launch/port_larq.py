"""Turns a network of Larq into a bnnjax checkpoint, without TensorFlow.

python launch/port_larq.py --source=quicknet_weights.h5 --model=quicknet --output=DIR --verify
"""

import os
from pathlib import Path

from absl import flags

from bnnjax import cli
from bnnjax.port import checkpoint, load, verify
from bnnjax.port.download import file_sha256

FLAGS = flags.FLAGS
flags.DEFINE_string("source", None, "file to port: .h5, .tflite or .npz", required=True)
flags.DEFINE_string("model", None, "name of the network that it holds", required=True)
flags.DEFINE_string("output", None, "directory to write, which must not exist", required=True)
flags.DEFINE_string("sha256", None, "refuse a source with another sha256 (hexadecimal)")
flags.DEFINE_boolean("verify", False, "compare with the source: results (.tflite), arrays (.h5)")
flags.DEFINE_boolean("overwrite", False, "replace the output directory if it exists")
cli.define_json()


def main() -> int:
    source, output = (Path(os.path.expanduser(path)) for path in (FLAGS.source, FLAGS.output))
    if output.exists() and not FLAGS.overwrite:
        raise ValueError(f"{output} exists; choose another --output or give --overwrite")
    # Before anything reads the file: HDF5's library does not survive everything.
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
    checkpoint.save(network, output, overwrite=FLAGS.overwrite)
    report["bytes"] = sum(f.stat().st_size for f in output.rglob("*") if f.is_file())
    print(f"{source} → {output}: {network.entry.name}, {report['bytes'] / 1e6:.2f} MB")
    cli.print_json(report)
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
