import ctypes
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from minigan.backend import get_backend
from minigan.bench import cupti
from minigan.bench.cupti import CONCURRENT_KERNEL, MEMCPY, MEMSET, Unavailable, trace

CPU = get_backend("cpu")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C compiler, which builds the stand-in for CUPTI")
    path = tmp_path_factory.mktemp("cupti") / "fake_cupti.so"
    source = Path(__file__).with_name("fake_cupti.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "-o", path, source], check=True)
    return path


@pytest.fixture
def device(library, monkeypatch):
    """The stand-in; its `work(kind, start, end, records a buffer)` is what a device does."""
    monkeypatch.setattr(cupti, "_find", lambda: str(library))
    stand_in = ctypes.CDLL(str(library))
    stand_in.work.argtypes = (ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_size_t)
    yield stand_in
    stand_in.fail(0)


@pytest.mark.parametrize("per_buffer", [1, 3, 1000])
def test_kernels_and_copies_are_counted_over_all_buffers(device, per_buffer):
    def call():
        device.work(CONCURRENT_KERNEL, 1_000, 4_000, per_buffer)
        device.work(MEMCPY, 4_000, 9_000, per_buffer)
        device.work(CONCURRENT_KERNEL, 9_000, 10_000, per_buffer)
        device.work(MEMSET, 10_000, 11_000, per_buffer)

    activity = trace(call, CPU, calls=5)
    assert (activity.kernels, activity.copies) == (2, 2)
    assert activity.busy == pytest.approx(4e-6)
    assert not cupti._library(cupti._find()).buffers  # all given back


def test_nothing_is_recorded_outside_and_the_next_trace_starts_anew(device):
    def call():
        device.work(CONCURRENT_KERNEL, 0, 1, 2)

    assert trace(call, CPU, calls=2).kernels == 1
    call()
    assert trace(call, CPU, calls=4).kernels == 1
    assert trace(lambda: None, CPU).kernels == 0


def test_a_failing_library_says_so(device):
    device.fail(35)
    with pytest.raises(Unavailable, match="cuptiActivityEnable failed with status 35"):
        trace(lambda: None, CPU)


def test_a_missing_library_says_what_to_install(monkeypatch):
    class NotFound(RuntimeError):
        pass

    def load(name):
        raise NotFound(name)

    pathfinder = types.SimpleNamespace(DynamicLibNotFoundError=NotFound, load_nvidia_dynamic_lib=load)
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder)
    with pytest.raises(Unavailable, match="CUPTI is not installed: pip install nvidia-cuda-cupti"):
        trace(lambda: None, CPU)
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    with pytest.raises(Unavailable, match="cuda-pathfinder, which comes with CuPy, is not installed"):
        trace(lambda: None, CPU)
