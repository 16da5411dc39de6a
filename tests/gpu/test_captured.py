"""Training steps as CUDA graphs, on the stand-in, where a launch of a graph does what was recorded."""

from __future__ import annotations

import warnings

import fake_cublas
import fake_cupy
import numpy as np
import pytest
import tiny
from test_gpu_kernels import values

from minigan.backend import get_backend
from minigan.bench.training import _workload as training_workload
from minigan.data import dataset as datasets
from minigan.gan import Trainer, captured, create, presets
from minigan.gan.contradictions import ConfigWarning
from minigan.kernels import cublas
from minigan.observe import GraphPrinter

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 1, 28, 28), np.uint8)
SMALL = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), np.uint8)


@pytest.fixture(autouse=True)
def products(monkeypatch):
    """The stand-in for cuBLAS."""
    tiny.register(monkeypatch)
    monkeypatch.setattr(cublas, "_load", fake_cublas.library)


def training(backend, preset="tiny", images=SMALL, **settings):
    config = presets.configure(preset, **{"batch_size": 4, "log_every": 100, **settings})
    labels = np.arange(60) % 10
    return Trainer(config, create(config, backend), datasets.stored("x", images, labels))


def states(trainer):
    """Everything that training changes, as flat lists of names and of values."""

    def flat(node, name=""):
        if isinstance(node, dict):
            for key, value in node.items():
                yield from flat(value, f"{name}/{key}")
        else:
            yield name, node

    return dict(flat(trainer.algorithm.state_dict()))


def weights(trainer):
    return trainer.algorithm.optimizers["generator"].flat.get()


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


SETTINGS = {
    "tiny": {},  # batch norm, dropout
    "tiny schedules": {"lr_schedule": "linear", "steps": 20},
    "tiny spectral": {"spectral_norm": True},
    "tiny simultaneous": {"update": "simultaneous", "clip_norm": 0.1},
    "tiny sgd": {"optimizer": "sgd", "discriminator_steps": 2, "clip_value": 0.01},
    "tiny momentum": {"optimizer": "sgd", "momentum": 0.5, "lr_schedule": "linear", "steps": 20},
    "tiny rmsprop": {"optimizer": "rmsprop", "lr_schedule": "cosine", "steps": 20},
    "tiny adam twice": {"discriminator_steps": 2},
    "tiny noise": {"instance_noise": 0.1, "steps": 3},  # gone in the fourth step
    "tiny noise simultaneous": {"instance_noise": 0.1, "update": "simultaneous", "steps": 20},
    "tiny average": {"ema": 0.15},  # from the second step on
    "tiny l2": {"l2": 0.01, "fresh_latents": True},
    "mlp": {"images": PIXELS},
    "mlp wgan": {"images": PIXELS, "objective": "wasserstein", "penalty": "wgan_gp"},
    "acgan": {"images": PIXELS},
    "wgan-gp": {"images": PIXELS, "batch_size": 2},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_graph_comes_to_the_weights_of_the_step_itself(cuda, name):
    graph, eager = (
        training(cuda, name.split()[0], **SETTINGS[name], cuda_graph=cuda_graph) for cuda_graph in (True, False)
    )
    before = weights(graph)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            graph._step()
    for _ in range(4):
        eager._step()
    assert graph._take_step.graph is not None
    assert_equal(states(graph), states(eager))
    assert (before != weights(graph)).any()
    one, other = graph._take_step(graph.batch(9)).numbers(), eager.algorithm.step(eager.batch(9)).numbers()
    assert one == other


def test_what_a_step_costs_as_a_graph(cuda):
    """One launch of the graph; a copy of the indices, one of the numbers that change; no wait."""
    trainer = training(cuda, cuda_graph=True)
    trainer._step()
    with fake_cupy.counted() as counts:
        trainer._step()
    assert counts == {"graph": 1, "h2d": 2, "launch": 5}


def test_a_resumed_run_is_the_uninterrupted_one(cuda):
    whole, first, second = (training(cuda, cuda_graph=True, seed=seed) for seed in (0, 0, 1))
    for _ in range(5):
        whole._step()
    for _ in range(2):
        first._step()
    second.config = second.algorithm.config = first.config
    second = Trainer(first.config, second.algorithm, first.dataset, step=2)
    second.algorithm.load_state_dict(first.algorithm.state_dict())
    for _ in range(3):
        second._step()
    assert_equal(states(whole), states(second))


def falls_back(trainer, reason):
    """The warning says why, and the run is the one without a graph."""
    eager = training(trainer.algorithm.backend, **{**vars(trainer.config), "cuda_graph": False}, images=SMALL)
    with pytest.warns(ConfigWarning, match=f"training without a CUDA graph: {reason}"):
        trainer._step()
    trainer._step()
    for _ in range(2):
        eager._step()
    assert_equal(states(trainer), states(eager))


def test_the_cpu_has_no_graphs():
    falls_back(training("cpu", cuda_graph=True), "graphs are of GPUs, and the device is cpu")


def test_what_changes_unnoticed_is_noticed(cuda, monkeypatch):
    monkeypatch.setattr(captured, "_record_update", lambda numbers, optimizer, first, step: optimizer.lr)
    trainer = training(cuda, cuda_graph=True, optimizer="sgd", lr_schedule="linear", steps=4)
    falls_back(trainer, "the recorded step comes to other weights than the step itself")


def test_a_step_that_cannot_be_recorded(cuda, monkeypatch):
    trainer = training(cuda, cuda_graph=True)
    step = trainer.algorithm.step

    def waiting(batch):
        report = step(batch)
        report.losses["d_loss"].item()
        return report

    monkeypatch.setattr(trainer.algorithm, "step", waiting)
    falls_back(trainer, "RuntimeError: cudaErrorStreamCaptureUnsupported: a copy to the host")
    assert cuda.kernels.products is None and trainer._take_step.pool is None


def test_without_products_of_its_own_there_is_no_graph(cuda, monkeypatch):
    monkeypatch.setattr(cublas, "_load", lambda: (_ for _ in ()).throw(OSError("no cuBLAS here")))
    falls_back(training(cuda, cuda_graph=True), "OSError: no cuBLAS here")


def test_who_observes_sees_operations(cuda, capsys):
    trainer = training(cuda, cuda_graph=True)
    trainer._step()
    with cuda.observing(GraphPrinter()):
        trainer._step()
    assert "LeakyReLU" in capsys.readouterr().out
    trainer._step()
    eager = training(cuda)
    for _ in range(3):
        eager._step()
    assert_equal(states(trainer), states(eager))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout_b", ["C", "reversed", "gaps"])
@pytest.mark.parametrize("layout_a", ["C", "reversed", "gaps"])
@pytest.mark.parametrize(("m", "k", "n"), [(3, 5, 4), (1, 6, 2), (7, 1, 3), (2, 3, 1)])
def test_products_of_our_own(cuda, m, k, n, layout_a, layout_b, dtype):
    own = cublas.Cublas(fake_cupy, fake_cupy.cuda.Stream(non_blocking=True), "float32")
    (a, host_a), (b, host_b) = values(1, (m, k), dtype, layout_a), values(2, (k, n), dtype, layout_b)
    product = own.matmul(a, b)
    assert product.dtype == dtype
    np.testing.assert_allclose(product.get(), host_a @ host_b, rtol=1e-5, atol=1e-5)


def test_products_that_cannot_be(cuda):
    own = cublas.Cublas(fake_cupy, fake_cupy.cuda.Stream(non_blocking=True), "float32")
    x = fake_cupy.zeros((2, 3, 3), "float32")
    with pytest.raises(cublas.CublasError, match=r"a product of \(2, 3, 3\) float32 and .* cannot be recorded"):
        own.matmul(x, x)
    with pytest.raises(cublas.CublasError, match="cublasSetStream_v2 failed with status 1"):
        cublas.Cublas(fake_cupy, fake_cupy.cuda.Stream(), "float32")


def test_the_bench_times_a_step_as_a_graph_where_there_is_one(cuda, monkeypatch):
    workload = training_workload(presets.get("tiny"))
    trial = workload.prepare(cuda, 4)
    assert list(trial.phases) == ["step", "graph"]
    with fake_cupy.counted() as counts:
        trial.phases["graph"]()
    assert counts["graph"] == 1
    assert list(workload.prepare(get_backend("cpu"), 4).phases) == ["step"]
    monkeypatch.setattr(cublas, "_load", lambda: None)
    with pytest.warns(ConfigWarning, match="training without a CUDA graph: AttributeError"):
        assert list(workload.prepare(cuda, 4).phases) == ["step"]
