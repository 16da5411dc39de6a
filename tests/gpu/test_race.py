"""minigan's rows of the race between frameworks, on the stand-in: eager or as a graph, the step is the CPU's."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import fake_cublas
import fake_cupy
import numpy as np
import pytest

from minigan.gan import presets
from minigan.gan.contradictions import ConfigWarning
from minigan.kernels import cublas

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def contestants(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(presets, "PRESETS", dict(presets.PRESETS))
    monkeypatch.setattr(cublas, "_load", fake_cublas.library)
    return importlib.import_module("contestants")


@pytest.fixture
def workloads(contestants):
    return importlib.import_module("contestants.workloads")


@pytest.fixture
def workload(workloads):
    """Everything that differs from step to step: two draws of latents, batch norm's statistics, dropout."""
    linear, norm, leaky, dropout = workloads.Linear, workloads.BatchNorm, workloads.LeakyReLU, workloads.Dropout
    return workloads.Workload(
        name="tiny",
        batch=4,
        image=(6,),
        fresh_latents=True,
        generator=(linear(100, 5, bias=False), norm(5, 1), leaky(0.2), linear(5, 6), workloads.Tanh()),
        discriminator=(linear(6, 8), leaky(0.2), dropout(0.5), linear(8, 1)),
    )


def racing(contestants, workloads, workload, update, name, device):
    """The losses of three steps without dropout, then of one with it; all of that twice, as the race does."""
    contestant = contestants.build(name, workload, update, threads=1, device=device)
    batches = [contestant.prepare(*batch) for batch in workloads.batches(workload, 3)]
    state = workloads.initial_state(workload)
    losses = []
    for _ in range(2):
        contestant.use_dropout(False)
        contestant.load(state)
        losses.append([contestant.read(contestant.step(batch)) for batch in batches])
        contestant.use_dropout(True)
        losses[-1].append(contestant.read(contestant.step(batches[0])))
    return np.array(losses), contestant, batches


@pytest.mark.parametrize("fresh_latents", [True, False])
@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_all_rows_take_the_same_steps(contestants, workloads, workload, cuda, update, fresh_latents):
    workload = replace(workload, fresh_latents=fresh_latents)
    cpu, *_ = racing(contestants, workloads, workload, update, "minigan", "cpu")
    eager, *_ = racing(contestants, workloads, workload, update, "minigan", "cuda")
    graph, contestant, batches = racing(contestants, workloads, workload, update, "minigan-graph", "cuda")
    np.testing.assert_allclose(eager, cpu, rtol=1e-5)
    np.testing.assert_array_equal(graph[:, :3], eager[:, :3])
    np.testing.assert_array_equal(graph[0, :3], graph[1, :3])
    assert len({tuple(step) for step in graph[0]}) == 4
    with fake_cupy.counted() as counts:
        contestant.step(batches[1])
    assert counts["graph"] == 1


def test_no_graph_without_a_gpu(contestants, workload):
    unavailable = pytest.raises(contestants.Unavailable, match="graphs are of GPUs")
    with pytest.warns(ConfigWarning), unavailable:
        contestants.build("minigan-graph", workload, "alternating", threads=1, device="cpu")
    assert "minigan-graph" in contestants.contestants_for("cuda")
    assert not [name for name in contestants.contestants_for("cpu") if "graph" in name]
