import os

import numpy as np
import pytest

import minigan as mg
from minigan import backend as backends
from minigan.backend import Backend, choose_device, configure_cpu, cuda_problem, default_threads, get_backend
from minigan.kernels.cpu import CpuKernels
from minigan.kernels.reference import ReferenceKernels


@pytest.fixture
def cpu():
    """The CPU device, whose kernels are put back afterwards."""
    backend = get_backend("cpu")
    kernels = backend.kernels
    yield backend
    backend.kernels = kernels


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(backends, "cuda_problem", lambda: "no GPU is plugged in")
    monkeypatch.setattr(backends, "_backends", {"cpu": get_backend("cpu")})


def test_there_is_one_backend_for_a_device():
    backend = get_backend("cpu")
    assert get_backend() is backend is get_backend(backend) is get_backend(None)
    assert backend.device == mg.tensor(1.0).device == "cpu"
    assert backend.xp is np


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "", "CPU"])
def test_an_unknown_device_is_refused_with_the_known_ones(name):
    with pytest.raises(mg.DeviceError, match=rf"unknown device '{name}'; known: cpu, cuda, cuda:N"):
        get_backend(name)


def test_cuda_without_a_gpu_says_why(no_gpu):
    with pytest.raises(mg.DeviceError, match="device 'cuda:0' cannot be used: no GPU is plugged in"):
        get_backend("cuda")
    with pytest.raises(mg.DeviceError, match="device 'cuda:3' cannot be used"):
        mg.tensor(1.0, device="cuda:3")


def test_auto_takes_the_gpu_where_there_is_one(no_gpu, monkeypatch):
    assert choose_device("auto") == ("cpu", "no GPU: no GPU is plugged in")
    assert choose_device("cuda:1") == ("cuda:1", "as asked")
    monkeypatch.setattr(backends, "cuda_problem", lambda: None)
    assert choose_device("auto") == ("cuda:0", "chosen by auto: a GPU is usable")


def test_a_missing_cupy_is_a_reason_not_an_error(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    assert cuda_problem().startswith("CuPy is not installed")


def test_a_device_made_after_seed_is_seeded_too(monkeypatch):
    monkeypatch.setattr(backends, "_backends", {})
    monkeypatch.setattr(backends, "_create", lambda name, seed, create=backends._create: create("cpu", seed))
    mg.seed(5)
    assert get_backend("cuda").generator.seed == get_backend("cpu").generator.seed == 5


def test_threads_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("MINIGAN_THREADS", raising=False)
    assert 1 <= default_threads() <= os.cpu_count()
    monkeypatch.setenv("MINIGAN_THREADS", "3")
    assert default_threads() == 3
    for wrong in ("0", "-1", "two", "1.5", ""):
        monkeypatch.setenv("MINIGAN_THREADS", wrong)
        with pytest.raises(
            ValueError, match=f"MINIGAN_THREADS is the number of threads to use, 1 or more; got '{wrong}'"
        ):
            default_threads()


def test_the_kernels_of_the_cpu_can_be_chosen(cpu):
    assert isinstance(configure_cpu(threads=1).kernels, CpuKernels)
    assert type(configure_cpu(kernels="reference").kernels) is ReferenceKernels
    assert get_backend("cpu") is cpu
    x = mg.tensor(np.linspace(-1, 1, 12).reshape(3, 4), requires_grad=True)
    x.tanh().sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 - np.tanh(x.numpy()) ** 2, rtol=1e-12)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"threads": 0}, "threads must be 1 or more, got 0"),
        ({"threads": -2}, "threads must be 1 or more, got -2"),
        ({"kernels": "fast"}, "unknown kernels 'fast'; known: cpu, reference"),
        ({"conv_algorithm": "magic"}, "magic"),
    ],
)
def test_a_bad_choice_is_refused_and_changes_nothing(cpu, options, message):
    before = cpu.kernels
    with pytest.raises(ValueError, match=message):
        configure_cpu(**options)
    assert cpu.kernels is before


def test_to_host_copies():
    backend = get_backend("cpu")
    array = np.arange(4.0)
    host = backend.to_host(array)
    host[0] = 9
    assert array[0] == 0
    assert backend.asarray(array) is array
    backend.synchronize()


def test_two_devices_do_not_meet_in_silence():
    elsewhere = Backend("cuda:9", np, ReferenceKernels(np))
    with pytest.raises(mg.DeviceError, match=r"Add got Tensors on cpu and cuda:9: move one with \.to\(device\)"):
        mg.tensor([1.0]) + mg.Tensor(np.ones(1, "float32"), elsewhere)
