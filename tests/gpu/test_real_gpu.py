"""On a GPU, through CuPy itself: every property of the kernels, and the engine's tests that the stand-in also runs."""

from __future__ import annotations

import os

import pytest
import test_captured
import test_engine
import test_gpu_kernels

from minigan.backend import cuda_problem, get_backend
from minigan.kernels.gpu import GpuKernels

pytestmark = pytest.mark.gpu

PROPERTIES = [name for name, test in vars(test_gpu_kernels).items() if hasattr(test, "hypothesis")]


@pytest.fixture(scope="module")
def cuda():
    """The backend of the first GPU."""
    problem = cuda_problem()
    if problem and os.environ.get("MINIGAN_REQUIRE_GPU") == "1":
        pytest.fail(f"{problem}, and MINIGAN_REQUIRE_GPU=1 requires a GPU")
    if problem:
        pytest.skip(problem)
    return get_backend("cuda")


@pytest.mark.parametrize("name", PROPERTIES)
def test_kernels_are_their_twins(cuda, monkeypatch, name):
    monkeypatch.setattr(test_gpu_kernels, "fake_cupy", cuda.xp)
    monkeypatch.setattr(test_gpu_kernels, "GPU", GpuKernels(cuda.xp))
    getattr(test_gpu_kernels, name)()


@pytest.mark.parametrize("entry", test_engine.DEVICE_ENTRIES, ids=lambda entry: entry.name)
def test_gradients_to_second_order(cuda, entry):
    test_engine.test_gradients_to_second_order(cuda, entry)


@pytest.mark.parametrize(("preset", "size", "steps"), [("mlp", 16, 10), ("dcgan28", 16, 10)])
def test_training_steps_are_those_of_the_cpu(cuda, preset, size, steps):
    test_engine.test_training_steps_are_those_of_the_cpu(cuda, preset, size, steps)


def test_tf32_is_less_exact_and_leaves_no_trace(cuda, monkeypatch):
    monkeypatch.setattr(test_gpu_kernels, "fake_cupy", cuda.xp)
    monkeypatch.setattr(test_gpu_kernels, "GPU", GpuKernels(cuda.xp))
    test_gpu_kernels.test_precision_holds_for_our_products_alone()


@pytest.mark.parametrize(
    "test",
    [
        test_engine.test_gradients_of_masks_and_indices,
        test_engine.test_a_resumed_run_is_the_uninterrupted_one,
        test_engine.test_random_streams_are_those_of_the_cpu,
        test_engine.test_tensors_of_two_devices_do_not_meet,
    ],
)
def test_engine_on_the_gpu(cuda, test):
    test(cuda)


@pytest.mark.parametrize(
    ("preset", "settings"),
    [("mlp", {}), ("mlp", {"instance_noise": 0.1}), ("dcgan28", {}), ("acgan", {}), ("wgan", {}), ("wgan-gp", {})],
)
def test_a_graph_comes_to_the_weights_of_the_step_itself(cuda, preset, settings):
    """Products by cuBLAS and by CuPy may differ in rounding, which grows as Adam's first steps see little but signs."""
    graph, eager = (
        test_captured.training(cuda, preset, test_captured.PIXELS, batch_size=16, cuda_graph=cuda_graph, **settings)
        for cuda_graph in (True, False)
    )
    for _ in range(5):
        graph._step()
        eager._step()
    assert graph._take_step.problem is None
    for player, optimizer in graph.algorithm.optimizers.items():
        difference = abs(optimizer.flat - eager.algorithm.optimizers[player].flat).mean()
        assert float(difference) < 0.02 * 5 * optimizer.lr
