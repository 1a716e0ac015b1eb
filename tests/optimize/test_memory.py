"""The available memory, and the memory of a step."""

import jax
import jax.numpy as jnp
import psutil
import pytest

from bnnjax.optimize import available_memory, memory


def test_free_memory_is_less_than_total_memory():
    free = available_memory()
    assert free is not None
    assert 2**20 < free < psutil.virtual_memory().total


def test_a_container_has_no_more_than_its_limit(tmp_path, monkeypatch):
    files = {"memory.max": "1000000", "memory.current": "300000"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "memory.stat").write_text("anon 200000\ninactive_file 50000\n")
    assert memory._within_container(tmp_path) == [1_000_000 - 300_000 + 50_000]
    monkeypatch.setattr(memory, "_within_container", lambda: [750_000])
    assert available_memory() == 750_000


@pytest.mark.parametrize("limit", ["max", "", None])
def test_a_container_without_a_limit_has_the_memory_of_the_system(tmp_path, limit):
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
        (tmp_path / "memory.current").write_text("300000")
        (tmp_path / "memory.stat").write_text("inactive_file 0")
    assert memory._within_container(tmp_path) == []


def test_step_bytes_count_arguments_outputs_and_temporaries():
    """A product of two matrices of 256 kB, then a sort, which cannot be fused into it."""
    x = jnp.ones((256, 256))
    compiled = jax.jit(lambda x: jnp.sort(x @ x)).lower(x).compile()
    assert 2 * x.nbytes <= memory.step_bytes(compiled) <= 6 * x.nbytes
