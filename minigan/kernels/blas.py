"""What the BLAS library behind NumPy can do in one pass over memory, and NumPy has no call for."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

NUMBERS: dict[np.dtype, Any] = {
    np.dtype(np.float32): ("saxpby", ctypes.c_float),
    np.dtype(np.float64): ("daxpby", ctypes.c_double),
}


class Blas:
    """libraries: threadpoolctl's controllers of those that are loaded."""

    def __init__(self, libraries: Iterable[Any]):
        self._axpby: dict[np.dtype, Callable] = {}
        for library in libraries:
            if library.internal_api == "openblas":
                self._axpby |= _axpby(library.dynlib)

    def axpby(self, a: float, x: np.ndarray, b: float, y: np.ndarray) -> None:
        """y = a x + b y, in place, of one dimension, y dense; in three passes where no library has it.

        So, too, where a or b is 0: BLAS would not even look at the array beside it, which may not be finite.
        """
        axpby = self._axpby.get(x.dtype)
        if axpby is None or not (a and b and x.size) or x.shape != y.shape or x.dtype != y.dtype:
            np.multiply(y, b, out=y)
            np.add(y, a * x, out=y)
        else:
            number: Any = NUMBERS[x.dtype][1]
            x = x if x.flags.carray else x.copy()
            axpby(x.size, a, number.from_buffer(x), 1, b, number.from_buffer(y), 1)


def _axpby(library: ctypes.CDLL) -> dict[np.dtype, Callable]:
    """That of the library for every type of number. NumPy's own OpenBLAS has names of its own."""
    found: dict[np.dtype, Callable] = {}
    for dtype, (name, number) in NUMBERS.items():
        symbols = (f"scipy_cblas_{name}64_", f"cblas_{name}64_", f"cblas_{name}")
        symbol = next((symbol for symbol in symbols if hasattr(library, symbol)), None)
        if symbol:
            integer, pointer = ctypes.c_ssize_t, ctypes.POINTER(number)  # of short ones the low half is read
            function = getattr(library, symbol)
            function.argtypes = [integer, number, pointer, integer, number, pointer, integer]
            function.restype = None
            found[dtype] = function
    return found
