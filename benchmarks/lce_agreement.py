"""Networks of Larq Zoo, converted by Larq Compute Engine, against Keras and LCE's interpreter.

    tests/reference/make_lce_environment.sh
    ~/.cache/bnnjax/lce-env/bin/python tests/reference/lce.py --zoo FOLDER
    python benchmarks/lce_agreement.py FOLDER

Prints for each file the largest difference of the logits from Keras', relative to the largest, and
of the probabilities from the interpreter's.
"""

import sys
from pathlib import Path

import jax
import numpy as np

import bnnjax


def main(folder: Path) -> None:
    print(f"{'network':<28}{'logits, Keras':>16}{'probabilities, LCE':>20}")
    for path in sorted(folder.glob("*.tflite")):
        answers = np.load(path.with_suffix(".npz"))
        network = bnnjax.load_model(path).with_options(backend="dense")  # exact, soonest compiled
        apply = jax.jit(network.architecture.module.apply)
        logits, _ = apply(network.variables, answers["x"])
        of_keras = abs(logits - answers["logits"]).max() / abs(answers["logits"]).max()
        of_lce = abs(jax.nn.softmax(logits) - answers["y"]).max()
        print(f"{path.stem:<28}{of_keras:16.1e}{of_lce:20.1e}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
