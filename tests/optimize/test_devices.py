"""Pictures spread over devices, and the programs that accelerators get."""

import json
import os
import subprocess
import sys

import jax
import jax.export
import numpy as np
import pytest

import bnnjax
from bnnjax.binary import backend
from bnnjax.nst.config import resolve
from bnnjax.nst.transfer import configured, make_objective, random_jitters
from bnnjax.optimize import cosine, devices, pyramid
from bnnjax.optimize.optimizers import factory
from bnnjax.optimize.step import Problem, Steps, run_chunk, start

EIGHT = """
import json, sys
import jax, numpy as np
import bnnjax
from bnnjax.optimize import devices
from bnnjax.optimize.devices import Devices

assert jax.local_device_count() == 8
rng = np.random.default_rng(0)
photographs = rng.uniform(size=(3, 32, 32, 3)).astype(np.float32)
with jax.default_device(jax.local_devices()[3]):
    assert set(devices.find().workers) == {jax.local_devices()[3]}
painting = rng.uniform(size=(32, 32, 3)).astype(np.float32)
calls = {"size": 32, "steps": 5, "progress": False, "style_weight": [2.0, 4.0, 8.0]}
spread = bnnjax.stylize_batch(photographs, painting, **calls)
assert len(set(devices.find().workers)) == 8
single = Devices((jax.local_devices()[5],), most=1, shared=True)
devices.find = lambda: single
alone = bnnjax.stylize_batch(photographs, painting, **calls)
same = [bool((a == b).all()) for a, b in zip(spread.images, alone.images)]
moved = [float(abs(a - b).mean()) for a, b in zip(spread.images, photographs)]
print(json.dumps({"same": same, "moved": moved}))
"""


@pytest.mark.slow
def test_eight_devices_give_the_pixels_of_one(tmp_path):
    """Three pictures on eight devices; each has the same result as alone."""
    flags = "--xla_force_host_platform_device_count=8"
    ended = subprocess.run(
        [sys.executable, "-c", EIGHT],
        env={**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["same"] == [True] * 3
    assert min(found["moved"]) > 0.01


def test_a_cpu_of_one_device_has_a_thread_for_each_core():
    found = devices.find()
    assert found.workers == (jax.local_devices()[0],) * len(os.sched_getaffinity(0))
    assert found.most == 1
    assert found.shared


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_whole_step_lowers_for_accelerators(platform, monkeypatch):
    """Each platform uses its own arithmetic; lowering does not need the device."""
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    network = bnnjax.load_model()
    network = configured(network, resolve({}))
    objective = make_objective(network, resolve({}))
    problem = Problem(objective, pyramid(), factory("adam"), cosine)
    picture = np.full((32, 32, 3), 0.5, np.float32)
    jitters = random_jitters(jax.random.key(0), reach=4)
    shapes = jax.eval_shape(lambda: objective.measure(network.variables, picture, picture, jitters))
    each = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), shapes)
    state = jax.eval_shape(lambda data: start(problem, np.stack([picture, picture]), data), each)
    names = [*(term.name for term in objective.terms)]
    weights = {f"{name}_weight": np.ones(2, np.float32) for name in names}
    weights["strength"] = np.ones(2, np.float32)
    for term in objective.terms[:2]:
        weights[f"{term.name}_tap_weights"] = np.ones((2, len(term.taps)), np.float32)
    steps = Steps(*map(np.int32, (0, 1, 1)))
    exported = jax.export.export(run_chunk, platforms=[platform])(
        problem, network.variables, state, each, weights, np.ones(2, np.float32),
        jax.random.key(0), steps,
    )  # fmt: skip
    assert exported.platforms == (platform,)
    text = exported.mlir_module()
    assert "stablehlo.convolution" in text  # dense ±1 convolutions, and no popcounts
    assert "stablehlo.popcnt" not in text
    assert backend.choose() == "dense"
