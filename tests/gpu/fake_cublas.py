"""A stand-in for the cuBLAS library: the calls that minigan makes of it, on the memory of the stand-in for CuPy."""

from __future__ import annotations

import ctypes
import types

import fake_cupy
import numpy as np

TYPES = {0: np.float32, 1: np.float64}
COMPUTE = {(0, 68): np.float32, (0, 77): np.float32, (1, 70): np.float64}


def library() -> types.SimpleNamespace:
    state = {}

    def cublasCreate_v2(handle):
        handle._obj.value = 7
        return 0

    def cublasSetStream_v2(handle, stream):
        state["workspace"] = None
        return 0 if stream else 1

    def cublasSetWorkspace_v2(handle, address, size):
        state["workspace"] = size
        return 0

    def cublasGemmEx(
        handle, on_a, on_b, m, n, k, alpha, a, a_type, a_stride, b, b_type, b_stride, beta, c, c_type, c_stride,
        compute, algorithm,
    ):  # fmt: skip
        """c = op(a) op(b), all column by column, for alpha = 1 and beta = 0."""
        if not state["workspace"] or a_type != b_type != c_type or (a_type, compute) not in COMPUTE or algorithm != -1:
            return 15  # CUBLAS_STATUS_NOT_SUPPORTED
        fake_cupy.counters["launch"] += 1
        real = TYPES[a_type]
        scalars = [np.ctypeslib.as_array(np.ctypeslib.as_ctypes_type(real).from_address(at)) for at in (alpha, beta)]
        assert [float(scalar) for scalar in scalars] == [1, 0]
        left = _matrix(a, k, m, a_stride, real).T if on_a else _matrix(a, m, k, a_stride, real)
        right = _matrix(b, n, k, b_stride, real).T if on_b else _matrix(b, k, n, b_stride, real)
        out = _matrix(c, m, n, c_stride, real).T
        fake_cupy.do(lambda: np.copyto(out, np.matmul(right.T, left.T)))
        return 0

    functions = (cublasCreate_v2, cublasSetStream_v2, cublasSetWorkspace_v2, cublasGemmEx)
    return types.SimpleNamespace(**{function.__name__: _Foreign(function) for function in functions})


class _Foreign:
    """A function that converts its arguments as ctypes would."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *arguments):
        for kind, argument in zip(self.argtypes, arguments, strict=True):
            kind.from_param(argument)
        assert not any(isinstance(argument, ctypes._SimpleCData) and argument.value is None for argument in arguments)
        return self.function(*arguments)


def _matrix(address, rows, columns, stride, real):
    if stride < rows:
        raise ValueError(f"a matrix of {rows} rows cannot have the leading dimension {stride}")
    memory = (np.ctypeslib.as_ctypes_type(real) * (stride * columns)).from_address(address)
    return np.ctypeslib.as_array(memory).reshape(columns, stride)[:, :rows].T
