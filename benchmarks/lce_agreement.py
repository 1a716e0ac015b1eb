"""Networks of Larq Zoo, converted by Larq Compute Engine, against Keras and LCE's interpreter.

    tests/reference/make_lce_environment.sh
    ~/.cache/bnnjax/lce-env/bin/python tests/reference/lce.py --zoo FOLDER
    python benchmarks/lce_agreement.py --folder=FOLDER

For each file, this prints the largest difference of the logits from Keras', relative to the
largest, and of the probabilities from the interpreter's.
"""

from pathlib import Path

import jax
import numpy as np
from absl import flags

import bnnjax
from bnnjax import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", None, "folder of NAME.tflite and NAME.npz", required=True)


def main() -> int:
    paths = sorted(Path(FLAGS.folder).glob("*.tflite"))
    if not paths:
        raise ValueError(f"{FLAGS.folder} holds no .tflite file")
    print(f"{'network':<28}{'logits, Keras':>16}{'probabilities, LCE':>20}")
    for path in paths:
        answers = np.load(path.with_suffix(".npz"))
        network = bnnjax.load_model(path).with_options(
            backend="dense"
        )  # exact, and fastest to compile
        apply = jax.jit(network.architecture.module.apply)
        logits = apply(network.variables, answers["x"])
        of_keras = abs(logits - answers["logits"]).max() / abs(answers["logits"]).max()
        of_lce = abs(jax.nn.softmax(logits) - answers["y"]).max()
        print(f"{path.stem:<28}{of_keras:16.1e}{of_lce:20.1e}", flush=True)
    return 0


if __name__ == "__main__":
    cli.run(main)
