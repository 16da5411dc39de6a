"""Matrix products by a cuBLAS handle of our own, which a CUDA graph can record: CuPy refuses to let its own be."""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

WORKSPACE = 32 << 20  # bytes; a recorded product must not ask for memory
ADDRESS, INT = ctypes.c_void_p, ctypes.c_int
NO, TRANSPOSED = 0, 1  # cublasOperation_t
REAL = {"f": (0, ctypes.c_float), "d": (1, ctypes.c_double)}  # cudaDataType_t, and the type of alpha and beta
COMPUTE = {("f", "float32"): 68, ("f", "tf32"): 77, ("d", "float32"): 70, ("d", "tf32"): 70}  # cublasComputeType_t
DEFAULT_ALGORITHM = -1


class CublasError(RuntimeError):
    """A call of cuBLAS that failed."""


class Cublas:
    """Products on one stream of the current GPU. precision: as of GpuKernels."""

    def __init__(self, cupy: Any, stream: Any, precision: str):
        self.xp, self.precision = cupy, precision
        self.library = _load()
        self.library.cublasCreate_v2.argtypes = [ctypes.POINTER(ADDRESS)]
        self.library.cublasSetStream_v2.argtypes = [ADDRESS, ADDRESS]
        self.library.cublasSetWorkspace_v2.argtypes = [ADDRESS, ADDRESS, ctypes.c_size_t]
        self.library.cublasGemmEx.argtypes = [
            *(ADDRESS, INT, INT, INT, INT, INT),  # handle, operations on a and b, m, n, k
            *(ADDRESS, ADDRESS, INT, INT, ADDRESS, INT, INT),  # alpha; a, its type and leading dimension; b, likewise
            *(ADDRESS, ADDRESS, INT, INT, INT, INT),  # beta; c, likewise; compute type, algorithm
        ]
        self.handle = ADDRESS()
        self.workspace = cupy.empty(WORKSPACE, "uint8")
        self._call("cublasCreate_v2", ctypes.byref(self.handle))
        self._call("cublasSetStream_v2", self.handle, stream.ptr)  # this first: it takes the workspace away
        self._call("cublasSetWorkspace_v2", self.handle, self.workspace.data.ptr, WORKSPACE)

    def matmul(self, a: Any, b: Any) -> Any:
        """a (M, K) times b (K, N), both float32 or both float64."""
        if a.ndim != 2 or b.ndim != 2 or a.dtype != b.dtype or a.dtype.char not in REAL:
            raise CublasError(f"a product of {a.shape} {a.dtype} and {b.shape} {b.dtype} cannot be recorded")
        kind, scalar = REAL[a.dtype.char]
        one, zero = scalar(1), scalar(0)
        out = self.xp.empty((a.shape[0], b.shape[1]), a.dtype)
        (a, on_a, stride_a), (b, on_b, stride_b) = self._operand(a), self._operand(b)
        # cuBLAS takes matrices column by column, and so sees transposes: out' = b' a'
        self._call(
            "cublasGemmEx",
            *(self.handle, on_b, on_a, out.shape[1], out.shape[0], a.shape[1]),
            *(ctypes.addressof(one), b.data.ptr, kind, stride_b, a.data.ptr, kind, stride_a),
            *(ctypes.addressof(zero), out.data.ptr, kind, out.shape[1]),
            *(COMPUTE[a.dtype.char, self.precision], DEFAULT_ALGORITHM),
        )
        return out

    def _operand(self, x: Any) -> tuple[Any, int, int]:
        """A matrix as cuBLAS takes it: the array (copied where it has gaps), the operation, the leading dimension."""
        if x.flags.f_contiguous and not x.flags.c_contiguous:
            return x, TRANSPOSED, x.shape[0]
        return self.xp.ascontiguousarray(x), NO, x.shape[1]

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(*arguments)
        if status:
            raise CublasError(f"{name} failed with status {status}")


def _load() -> Any:
    """The cuBLAS that came with CuPy."""
    pathfinder = importlib.import_module("cuda.pathfinder")
    return ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path)
