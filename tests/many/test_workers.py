"""What workers need, and whether there is a machine that has it."""

import os

import pytest

from bnnjax.many import Workers
from bnnjax.many.workers import check_room


def test_one_machine_must_have_all_that_a_worker_needs():
    machines = [{"CPU": 8.0}, {"CPU": 2.0, "GPU": 1.0}]
    check_room(Workers(9, cpus=2, gpus=1), machines)
    check_room(Workers(1, cpus=8), machines)
    with pytest.raises(ValueError, match="needs 4 CPU, 1 GPU, but machines have 8 CPU, 1 GPU"):
        check_room(Workers(1, cpus=4, gpus=1), machines)
    with pytest.raises(ValueError, match="needs 1 CPU, 1 TPU, but machines have 8 CPU, 0 TPU"):
        check_room(Workers(1, cpus=1, tpus=1), machines)


def test_the_workers_share_the_cores_of_this_machine():
    cores = os.cpu_count() or 1
    assert Workers().cores == cores
    assert Workers(2 * cores).cores == 1
    assert Workers(2, cpus=3).cores == 3
