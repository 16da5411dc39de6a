"""The dense workloads by hand take the steps that minigan takes."""

import importlib

import numpy as np
import pytest
from bench_scripts import BENCHMARKS
from threadpoolctl import threadpool_limits

from minigan.backend import get_backend
from minigan.gan import presets


@pytest.fixture
def contestants(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(presets, "PRESETS", dict(presets.PRESETS))
    cpu = get_backend("cpu")
    monkeypatch.setattr(cpu, "kernels", cpu.kernels)
    with threadpool_limits():  # puts back what the contestants set
        yield importlib.import_module("contestants")


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_the_losses_are_minigans(contestants, update):
    workloads = importlib.import_module("contestants.workloads")
    workload = workloads.WORKLOADS["mlp-16"]
    losses = []
    for name in ("minigan", "numpy-by-hand"):
        contestant = contestants.build(name, workload, update, threads=1, device="cpu")
        for _ in range(2):  # the second time from the same start
            contestant.use_dropout(False)
            contestant.load(workloads.initial_state(workload))
            batches = [contestant.prepare(*batch) for batch in workloads.batches(workload, 4)]
            losses.append([contestant.read(contestant.step(batch)) for batch in batches])
    np.testing.assert_allclose(losses[1:], np.broadcast_to(losses[0], (3, 4, 2)), rtol=1e-5)
    assert len({tuple(step) for step in losses[0]}) == 4


def test_there_are_no_convolutions_by_hand(contestants):
    workload = importlib.import_module("contestants.workloads").WORKLOADS["dcgan28-128"]
    with pytest.raises(contestants.Unavailable, match="has dense layers only"):
        contestants.build("numpy-by-hand", workload, "alternating", threads=1, device="cpu")
