"""The wall between host and device that the stand-in for CuPy puts up."""

from __future__ import annotations

import fake_cupy as cp
import numpy as np
import pytest

KERNEL = 'extern "C" __global__ void known(REAL *x)\n{\n    *x = 1;\n}\n'


@pytest.fixture
def x():
    return cp.asarray(np.arange(12, dtype=np.float32).reshape(3, 4))


def test_host_arrays_do_not_mix(x):
    host = np.ones((3, 4), np.float32)
    for mix in (lambda: x + host, lambda: cp.add(x, host), lambda: cp.where(host > 0, x, x), lambda: x @ host.T):
        with pytest.raises(TypeError, match="host array"):
            mix()
    with pytest.raises(TypeError, match="host array"):
        x[np.array([0, 1])]
    with pytest.raises(TypeError, match="host array"):
        x[0] = host[0]


def test_no_implicit_conversion(x):
    for convert in (np.asarray, np.sum, lambda a: np.concatenate([a, a])):
        with pytest.raises(TypeError):
            convert(x)
    with pytest.raises(TypeError, match="one element at a time"):
        list(x)


def test_what_it_does_not_know_is_refused(x, gxx):
    for unknown in ("einsum", "fuse", "ElementwiseKernel", "ReductionKernel", "random", "errstate"):
        with pytest.raises(AttributeError, match="does not know"):
            getattr(cp, unknown)
    with pytest.raises(AttributeError, match="does not know"):
        x.tobytes()
    with pytest.raises(RuntimeError, match="not found"):
        cp.RawModule(code=KERNEL, options=("-DREAL=float",)).get_function("f")


def test_counts(x):
    with cp.counted() as counts:
        y = (x + 1).sum(axis=0)
        y.reshape(2, 2)
        x.T.reshape(-1)
    assert counts == {"launch": 3}
    with cp.counted() as counts:
        float(x[0, 0])
        x.get()
        bool(x[0, 0] > 0)
        cp.asarray([1.0])
        x[x > 3]
        cp.cuda.get_current_stream().synchronize()
    assert counts == {"wait": 5, "d2h": 3, "h2d": 1, "launch": 3}


def test_results_are_c_ordered_and_uninitialised_memory_is_not_a_number(x):
    assert (x.T + 1).flags.c_contiguous
    assert x.T.copy(order="K").T.flags.c_contiguous
    assert np.isnan(cp.empty(3, "float32").get()).all()


def test_a_transposed_operand_is_free_in_two_dimensions_only(x):
    with cp.counted() as counts:
        x @ x.T
    assert counts == {"launch": 1}
    with cp.counted() as counts:
        x[None] @ x[None].transpose(0, 2, 1)
    assert counts == {"launch": 2}


def test_devices_are_apart(x):
    with cp.cuda.Device(1):
        y = cp.asarray(np.ones((3, 4), np.float32))
        with pytest.raises(ValueError, match="array device = 0 while current = 1"):
            x + y
    assert y.device.id == 1
    with pytest.raises(ValueError, match="array device = 1 while current = 0"):
        x + y
    with pytest.raises(RuntimeError, match="invalid device"):
        cp.cuda.Device(2)


def test_duplicate_indices_in_an_assignment_are_refused(x):
    index = cp.asarray(np.array([0, 0]))
    with pytest.raises(ValueError, match="duplicate indices"):
        x[index] = 1.0
    cp.add.at(x, index, cp.ones((2, 4), "float32"))
    assert x.get()[0].tolist() == [2, 3, 4, 5]
