"""Runs .tflite files with Larq Compute Engine's interpreter.

Run in the environment of make_lce_environment.sh:

    "${BNNJAX_LCE_ENV:-$HOME/.cache/bnnjax/lce-env}/bin/python" tests/reference/lce_run.py FOLDER

For each FOLDER/NAME.npz with a picture ``x``, this runs NAME.tflite and, if it is there,
NAME.converter.tflite, and writes NAME.lce.npz:

    y, optimized                the result of NAME.tflite by LCE's reference and optimized kernels
    seconds, seconds_converter  the shortest of RUNS runs, which alternate between both files
"""

import os
import sys
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
from larq_compute_engine.tflite.python.interpreter import Interpreter

RUNS = 20
LONGEST = 20  # seconds per network


def run(path):
    x = np.load(path)["x"]
    files = {"": path.with_suffix(".tflite"), "_converter": path.with_suffix(".converter.tflite")}
    there = {key: file.read_bytes() for key, file in files.items() if file.exists()}
    interpreters = {key: Interpreter(data) for key, data in there.items()}
    reference = Interpreter(there[""], use_reference_bconv=True)
    answers = {"y": reference.predict(x), "optimized": interpreters[""].predict(x)}
    seconds = {key: [] for key in there}
    began = time.perf_counter()
    for _ in range(RUNS):
        for key, interpreter in interpreters.items():
            start = time.perf_counter()
            interpreter.predict(x)
            seconds[key].append(time.perf_counter() - start)
        if time.perf_counter() - began > LONGEST:
            break
    answers |= {f"seconds{key}": min(each) for key, each in seconds.items()}
    np.savez(path.with_suffix(".lce.npz"), **answers)


if __name__ == "__main__":
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        if not path.name.endswith(".lce.npz"):
            run(path)
            print(path.stem, flush=True)
