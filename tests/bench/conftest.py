"""A second device for the bench: NumPy behind a module that has what the bench asks a GPU's for."""

from __future__ import annotations

import types

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from minigan import backend as backends
from minigan.backend import Backend, get_backend
from minigan.bench import command, cupti
from minigan.bench.cupti import Unavailable
from minigan.kernels.reference import ReferenceKernels


class GpuLike:
    """NumPy with events that count themselves, and a memory pool."""

    def __init__(self):
        self.events = self.waits = 0
        self.pool = types.SimpleNamespace(
            free_all_blocks=lambda: None, total_bytes=lambda: 7_000_000, used_bytes=lambda: 5_000_000
        )
        stream = types.SimpleNamespace(synchronize=self._wait)
        self.cuda = types.SimpleNamespace(
            Device=lambda index: types.SimpleNamespace(use=lambda: None),
            Event=lambda: types.SimpleNamespace(record=self._record),
            get_elapsed_time=lambda start, end: 2.0,  # milliseconds
            get_current_stream=lambda: stream,
        )

    def __getattr__(self, name):
        return getattr(np, name)

    def get_default_memory_pool(self):
        return self.pool

    def _record(self):
        self.events += 1

    def _wait(self):
        self.waits += 1


def no_cupti():
    raise Unavailable("no CUPTI here")


@pytest.fixture
def gpu(monkeypatch):
    """The device cuda:0, as far as the bench can tell; its kernels may be replaced."""
    device = Backend("cuda:0", GpuLike(), ReferenceKernels(np))
    monkeypatch.setitem(backends._backends, "cuda:0", device)
    monkeypatch.setattr(command, "cuda_problem", lambda: None)
    monkeypatch.setattr(cupti, "_find", no_cupti)
    return device


@pytest.fixture(autouse=True)
def one_blas_thread():
    """The arrays are tiny, and threads that wait for one another make a busy machine slow."""
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture(autouse=True)
def same_cpu():
    """The CPU device gets its kernels back."""
    kernels = get_backend("cpu").kernels
    yield
    get_backend("cpu").kernels = kernels
