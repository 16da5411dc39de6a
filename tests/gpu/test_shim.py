"""The shim notices what a GPU would punish silently."""

from __future__ import annotations

import numpy as np
import pytest
import shim

pytestmark = pytest.mark.usefixtures("gxx")

SOURCE = r"""
struct Pair { int a, b; };

extern "C" __global__ void good(const REAL *x, REAL *y, long long n, double factor, Pair pair)
{
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] * (REAL)factor + pair.a - pair.b;
}

extern "C" __global__ void reversed(REAL *x)
{
    __shared__ REAL shared[256];
    shared[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void race(REAL *x)
{
    __shared__ REAL shared[256];
    shared[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void half_a_barrier(REAL *x)
{
    __shared__ REAL shared[256];
    shared[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x % 2) __syncthreads();
}

extern "C" __global__ void beyond(REAL *y, long long n)
{
    if (threadIdx.x <= n) y[threadIdx.x] = 1;
}
"""

PAIR = np.array([5, 2], np.int32).view("V8")


@pytest.fixture(scope="module")
def kernels(gxx):
    return shim.compile_source(SOURCE, ("-DREAL=float",))


def test_threads_and_blocks_cover_the_array(kernels):
    x, y = np.arange(10, dtype=np.float32), shim.guarded(10, np.float32)
    assert np.isnan(y).all()
    kernels["good"]((3,), (4,), (x, y, 10, 2.0, PAIR))
    np.testing.assert_array_equal(y, x * 2 + 3)


def test_barriers_hold(kernels, monkeypatch):
    monkeypatch.setattr(shim, "check_races", True)
    x = np.arange(100, dtype=np.float32)
    kernels["reversed"]((1,), (100,), (x,))
    np.testing.assert_array_equal(x, np.arange(100)[::-1])
    with pytest.raises(RuntimeError, match="depends on the order"):
        kernels["race"]((1,), (100,), (x,))


def test_a_barrier_that_some_threads_miss(kernels):
    with pytest.raises(RuntimeError, match="barrier that not all threads"):
        kernels["half_a_barrier"]((1,), (4,), (np.zeros(4, np.float32),))


def test_a_write_outside_an_array(kernels):
    kernels["beyond"]((1,), (8,), (shim.guarded(8, np.float32), 7))
    with pytest.raises(RuntimeError, match="beyond wrote outside"):
        kernels["beyond"]((1,), (8,), (shim.guarded(7, np.float32), 7))


def test_arguments_must_have_the_types_of_the_parameters(kernels):
    x = np.zeros(4, np.float32)
    good = (x, x.copy(), 4, 2.0, PAIR)
    for place, wrong in [
        (0, x.astype("float64")),
        (0, 4),
        (2, 4.0),
        (2, np.int32(4)),
        (3, 2),
        (3, np.float32(2)),
        (4, np.zeros(1, np.int32)),
    ]:
        with pytest.raises(TypeError, match="good, parameter"):
            kernels["good"]((1,), (4,), (*good[:place], wrong, *good[place + 1 :]))
    with pytest.raises(TypeError, match="takes 5 arguments, got 4"):
        kernels["good"]((1,), (4,), good[:4])
    with pytest.raises(ValueError, match="share memory"):
        kernels["good"]((1,), (4,), (x, np.broadcast_to(x[:1], 4), 4, 2.0, PAIR))
    with pytest.raises(ValueError, match="beyond what a GPU launches"):
        kernels["good"]((1,), (2048,), good)


def test_a_source_that_does_not_compile():
    with pytest.raises(RuntimeError, match="not declared"):
        shim.compile_source('extern "C" __global__ void f(REAL *x)\n{\n    *x = missing;\n}', ("-DREAL=float",))
