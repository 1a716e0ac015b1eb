"""Stores results of larq_zoo's crop and resize, which tests/images/test_sizes.py reads.

Run in the environment of make_environment.sh:

    "${BNNJAX_REFERENCE_ENV:-$HOME/.cache/bnnjax/reference-env}/bin/python" \
        tests/reference/zoo_resize.py

Writes zoo_resize.npz beside this file:
    cases      int64 [N, 4]: height, width, size, stride
    output_k   float32 [m, m, 3]: every stride-th pixel, in both directions, of result k
    versions   those of the packages
Input k is `default_rng(k).uniform(0, 255, (height, width, 3))` rounded to float32.
"""

from importlib.metadata import version
from pathlib import Path

import larq_zoo.training.data as zoo
import numpy as np
import tensorflow as tf

CASES = [  # height, width, size, stride
    (40, 57, 32, 1),  # crop 20, enlarged
    (97, 64, 48, 1),  # crop 38, enlarged by a fraction
    (300, 200, 32, 1),  # crop 100, reduced
    (64, 81, 32, 1),  # crop 32, untouched
    (5, 7, 32, 1),  # crop 2, mostly border
    (129, 129, 48, 1),  # crop 77, odd margins
    (256, 341, 224, 9),  # crop 224, untouched
    (375, 500, 224, 9),  # crop 328, reduced
    (91, 120, 224, 9),  # crop 79, enlarged
]


def zoo_output(index: int, height: int, width: int, size: int) -> np.ndarray:
    image = np.random.default_rng(index).uniform(0, 255, (height, width, 3)).astype(np.float32)
    return zoo._center_crop(tf.constant(image), size).numpy()


def main() -> None:
    outputs = {
        f"output_{k}": zoo_output(k, *case)[::stride, ::stride]
        for k, (*case, stride) in enumerate(CASES)
    }
    packages = ("larq-zoo", "tensorflow-cpu", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    target = Path(__file__).with_suffix(".npz")
    np.savez_compressed(target, cases=np.array(CASES), versions=versions, **outputs)
    print(f"{target}: {target.stat().st_size} bytes, {versions}")


if __name__ == "__main__":
    main()
