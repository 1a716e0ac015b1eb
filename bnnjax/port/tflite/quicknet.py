"""Reads QuickNet v0.2 from a ``.tflite`` file of Larq Compute Engine, with our module's names.

The general importer reads the file. This module compares the steps with those of the network and
renames the weights.
"""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.models.network import Architecture, Variables
from bnnjax.models.quicknet_v0 import BLOCKS, FILTERS
from bnnjax.port.program.program import Step, Window
from bnnjax.port.tflite.builder import GraphBuilder
from bnnjax.port.tflite.graph import Graph
from bnnjax.port.tflite.translate import translate


class Row(NamedTuple):
    """A step of the network.

    Attributes:
      kind: the kind of the step.
      options: the required options; None if any will do.
      weights: the names of its arrays in the step → our names, or `ZERO`.
    """

    kind: str
    options: Any = None
    weights: Mapping[str, str] = {}


ZERO = "a bias of zeros"  # added by the converter; our module has none


def read_variables(graph: Graph, architecture: Architecture) -> Variables:
    """The packed variables of ``quicknet_v0``.

    Raises:
      ValueError: an unsupported operator; or, in one error, everything that is missing, left over,
        misshaped or otherwise different from this network.
    """
    _, builder = translate(graph)
    shapes = flatten_dict(architecture.frozen_shapes()["params"], sep="/")
    variables: dict[str, np.ndarray] = {}
    faults: list[str] = []
    for row, step in zip_longest(_rows(), builder.steps):
        if step is None:
            names = [*row.weights.values()] or [f"a step {row.kind!r} at the end"]
            faults += [f"missing: {name}" for name in names]
        elif row is None:
            faults.append(f"left over: {step.where} a step {step.kind!r}")
        elif row.kind != step.kind:
            faults.append(f"{step.where} is {step.kind!r}, needs {row.kind!r}")
            break  # everything that follows is misaligned
        else:
            faults += _option_faults(row, step) + _take(row, step, builder, shapes, variables)
    if faults:
        raise ValueError("not a QuickNet v0.2 of Larq Compute Engine:\n  " + "\n  ".join(faults))
    return {"params": unflatten_dict(variables, sep="/")}


def _option_faults(row: Row, step: Step) -> list[str]:
    if not isinstance(row.options, Window):
        wrong = row.options not in (None, step.options)
        return [f"{step.where} has option {step.options}, needs {row.options}"] if wrong else []
    needed, found = row.options._asdict(), step.options._asdict()
    return [
        f"{step.where} has {name} {found[name]}, needs {value}"
        for name, value in needed.items()
        if found[name] != value
    ]


def _take(
    row: Row,
    step: Step,
    builder: GraphBuilder,
    shapes: Mapping[str, Any],
    variables: dict[str, np.ndarray],
) -> list[str]:
    """Stores the weights of a step under our names; returns the faults."""
    arrays, faults = _arrays(step, builder), []
    for theirs, ours in row.weights.items():
        if theirs not in arrays:
            faults.append(f"missing: {ours} in {step.where}")
        elif ours == ZERO:
            if arrays[theirs].any():
                faults.append(f"{step.where} has a bias, needs {ZERO}")
        elif arrays[theirs].shape != shapes[ours].shape:
            found, needed = list(arrays[theirs].shape), list(shapes[ours].shape)
            faults.append(f"{ours}: has shape {found}, needs {needed} ({step.where})")
        else:
            variables[ours] = arrays[theirs]
    left = sorted(arrays.keys() - row.weights.keys())
    return faults + [f"left over: {name} of {step.where}" for name in left]


def _arrays(step: Step, builder: GraphBuilder) -> dict[str, np.ndarray]:
    arrays = dict(builder.params.get(step.name, {}))
    for ref in step.inputs:
        if isinstance(ref, str):
            arrays["constant"] = builder.params[ref]
    return arrays


# --- the steps of the network, in order of execution ---------------------------------------


def _rows() -> list[Row]:
    rows = [*_float_conv("conv", "stem_conv", 8), *_float_conv("depthwise", "stem_depthwise", 64)]
    rows += [Row("activate", 1), *_norm("stem_norm")]
    for section, (count, features) in enumerate(zip(BLOCKS, FILTERS, strict=True), start=1):
        for block in range(1, count + 1):
            name = f"section{section}_block{block}"
            if section > 1 and block == 1:
                rows += [Row("max_pool", Window((2, 2), (2, 2), "VALID"))]
                rows += _norm(f"{name}_shortcut_norm")
                rows += [*_block(name, features // 2, stride=2), Row("concat", 3)]
            else:
                rows += _block(name, features)
    dense = {"kernel": "dense/kernel", "bias": "dense/bias"}
    return [
        *rows,
        Row("activate", 1),
        Row("whole_mean"),
        Row("flatten", (1, 1, FILTERS[-1])),
        Row("dense", weights=dense),
        Row("softmax"),
    ]


def _float_conv(kind: str, name: str, features: int) -> list[Row]:
    window = Window((3, 3), (2, 2), "SAME", features=features, use_bias=True)
    return [Row(kind, window, {"kernel": f"{name}/kernel", "bias": ZERO})]


def _norm(name: str) -> list[Row]:
    pairs = (("mul", "multiplier"), ("add", "bias"))
    return [Row(kind, weights={"constant": f"{name}/{ours}"}) for kind, ours in pairs]


def _block(name: str, features: int, *, stride: int = 1) -> list[Row]:
    window = Window((3, 3), (stride, stride), "SAME", features=features, pad_value=1)
    norm = {array: f"{name}_norm/{array}" for array in ("multiplier", "bias")}
    return [
        Row("binary_conv", window, {"words": f"{name}_conv/words"}),
        Row("activate", 1),
        Row("norm", weights=norm),
        Row("add"),
    ]
