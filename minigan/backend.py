"""A device: its array module, its kernels, its random numbers. Everything mutable that is not data lives here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .kernels.layout import inverse, memory_order
from .kernels.reference import ReferenceKernels
from .rng import Generator


class DeviceError(ValueError):
    """A device that was asked for cannot be used, or Tensors of two devices met in one operation."""


class Backend:
    """One device: `xp` (its array module), `kernels`, `generator` (default random stream), `observers`."""

    def __init__(self, device: str, xp: Any, kernels: ReferenceKernels, seed: int = 0):
        self.device = device
        self.xp = xp
        self.kernels = kernels
        self.generator = Generator(seed, self)
        self.index = int(device[5:]) if device.startswith("cuda:") else None
        self.observers: list[Any] = []  # see minigan.observe
        self.path: list[str] = []  # the modules being run, kept only while somebody observes
        self.rule: Any = None  # the Function whose backward rule is running, None in the forward pass

    def __reduce__(self):
        """Copied or pickled, it is the backend of the same device."""
        return get_backend, (self.device,)

    def __repr__(self) -> str:
        return f"Backend({self.device!r}, kernels={self.kernels.name!r})"

    def asarray(self, data: Any, dtype: Any = None) -> Any:
        """`data` as an array of this device; from another place it is copied, in its memory order."""
        self.use()
        if self.index is not None and isinstance(data, np.ndarray) and not data.flags.c_contiguous:
            order = memory_order(data)
            if order is not None:  # by itself CuPy would change it to C order
                return self.xp.asarray(data.transpose(order), dtype=dtype).transpose(inverse(order))
        return self.xp.asarray(data, dtype=dtype)

    def to_host(self, array: Any) -> np.ndarray:
        """A NumPy copy of an array of this device; waits for the device."""
        self.use()
        return array.get() if hasattr(array, "get") else np.array(array)

    def synchronize(self) -> None:
        """Wait until everything asked of the device is done."""
        if self.index is not None:
            self.use()
            self.xp.cuda.get_current_stream().synchronize()

    def use(self) -> None:
        """Make this GPU the one that new arrays and launches go to."""
        if self.index is not None:
            self.xp.cuda.Device(self.index).use()

    @contextmanager
    def observing(self, *observers: Any) -> Iterator[None]:
        """Let observers watch every operation on this device inside the block."""
        self.observers.extend(observers)
        try:
            yield
        finally:
            for observer in observers:
                self.observers.remove(observer)


_backends: dict[str, Backend] = {}


def get_backend(device: str | Backend | None = None) -> Backend:
    """The one Backend of a device: "cpu" (also None), "cuda" (the same as "cuda:0"), "cuda:1" ..."""
    if isinstance(device, Backend):
        return device
    name = "cpu" if device is None else "cuda:0" if device == "cuda" else device
    if name not in _backends:
        seed = _backends["cpu"].generator.seed if "cpu" in _backends else 0
        _backends[name] = _create(name, seed)
    return _backends[name]


def seed(n: int) -> None:
    """Restart the default random stream of every device, also of those used later, from seed n."""
    get_backend("cpu")
    for backend in _backends.values():
        backend.generator = Generator(n, backend)


def default_threads() -> int:
    """MINIGAN_THREADS where it is set, else the number of cores this process may use."""
    given = os.environ.get("MINIGAN_THREADS")
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not given.isdigit() or int(given) < 1:
        raise ValueError(f"MINIGAN_THREADS is the number of threads to use, 1 or more; got {given!r}")
    return int(given)


def configure_cpu(*, threads: int | None = None, kernels: str = "cpu", conv_algorithm: str = "auto") -> Backend:
    """Choose the kernels of the CPU device: "cpu" (tuned) or "reference" (plain), threads, convolution algorithm."""
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be 1 or more, got {threads}")
    if kernels not in ("cpu", "reference"):
        raise ValueError(f"unknown kernels {kernels!r}; known: cpu, reference")
    backend = get_backend("cpu")
    if kernels == "reference":
        backend.kernels = ReferenceKernels(np)
    else:
        backend.kernels = _cpu_kernels(threads or default_threads(), conv_algorithm)
    return backend


def configure_cuda(device: str, precision: str) -> Backend:
    """Choose the arithmetic of a GPU's matrix products of float32: "float32", or "tf32" (about 1e-3 of error)."""
    from .kernels.gpu import GpuKernels

    backend = get_backend(device)
    if backend.index is None:
        raise DeviceError(f"the precision of matrix products is chosen for a GPU, got device {backend.device!r}")
    if isinstance(backend.kernels, GpuKernels) and backend.kernels.precision != precision:
        backend.kernels = GpuKernels(backend.xp, precision)
    return backend


def choose_device(device: str) -> tuple[str, str]:
    """The device that "auto" (or another name) stands for, and why."""
    if device != "auto":
        return device, "as asked"
    problem = cuda_problem()
    return ("cpu", f"no GPU: {problem}") if problem else ("cuda:0", "chosen by auto: a GPU is usable")


def cuda_problem() -> str | None:
    """Why CUDA cannot be used here, or None when it can."""
    try:
        import cupy
    except ImportError as error:
        return f"CuPy is not installed ({error}); pip install 'minigan[cuda13]', or [cuda12] for an older driver"
    except Exception as error:  # a broken CUDA installation can raise anything here
        return f"CuPy does not import: {error}"
    try:
        if cupy.is_available():
            return None
        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return f"CuPy finds no usable GPU: {error}"
    return "CuPy finds no usable GPU"


def _cpu_kernels(threads: int, conv_algorithm: str) -> ReferenceKernels:
    from .kernels.cpu import CpuKernels

    return CpuKernels(threads, conv_algorithm)


def _create(name: str, seed: int) -> Backend:
    if name == "cpu":
        return Backend("cpu", np, _cpu_kernels(default_threads(), "auto"), seed)
    if not (name.startswith("cuda:") and name[5:].isdigit()):
        raise DeviceError(f"unknown device {name!r}; known: cpu, cuda, cuda:N")
    problem = cuda_problem()
    if problem:
        raise DeviceError(f"device {name!r} cannot be used: {problem}")
    import cupy

    from .kernels.gpu import GpuKernels

    return Backend(name, cupy, GpuKernels(cupy), seed)
