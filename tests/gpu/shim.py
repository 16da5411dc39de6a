"""CUDA C kernels compiled by g++ and run on NumPy memory, thread by thread.

Beyond running a kernel, a launch checks what CUDA does not: the number and types of the arguments, writes outside
the arrays (see `guarded`), barriers that not all threads reach, and, with `check_races`, that the result does not
depend on the order in which threads run.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

HEADER = Path(__file__).parent / "shim.h"
GUARD = 4096  # bytes before and after every array, filled with 0xFF: a NaN to whoever reads them
SCALARS = {"long long": np.int64, "double": np.float64, "unsigned long long": np.uint64}

check_races = False


def require(tool, reason: str) -> None:
    """Skip the test where a tool is missing; fail where MINIGAN_REQUIRE_NVRTC=1 says that it must be there."""
    if not tool:
        if os.environ.get("MINIGAN_REQUIRE_NVRTC") == "1":
            pytest.fail(f"{reason}, and MINIGAN_REQUIRE_NVRTC=1 requires it")
        pytest.skip(reason)


def guarded(shape, dtype) -> np.ndarray:
    """An array between guards, full of NaN (or all bits set), as uninitialised memory may be."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = _Guarded((size + 2 * GUARD,), np.uint8)
    memory.fill(0xFF)
    return memory.view(np.ndarray)[GUARD : GUARD + size].view(dtype).reshape(shape)


def poison(array: np.ndarray) -> None:
    """Make what `guarded` made full of NaN again."""
    memory_of(array)[GUARD:-GUARD] = 0xFF


class _Guarded(np.ndarray):
    """The memory behind an array and its guards."""


def memory_of(array: np.ndarray) -> _Guarded | None:
    """What `guarded` made for an array or a view."""
    memory = array
    while isinstance(memory, np.ndarray) and not isinstance(memory, _Guarded):
        memory = memory.base
    return memory


def _check_guards(array: np.ndarray, kernel: str) -> None:
    memory = memory_of(array)
    if memory is not None and not ((memory[:GUARD] == 0xFF).all() and (memory[-GUARD:] == 0xFF).all()):
        raise RuntimeError(f"{kernel} wrote outside an array")


class Kernel:
    """One `extern "C" __global__` function of a compiled source."""

    def __init__(self, library: ctypes.CDLL, name: str, parameters: list[tuple[str, str]], real: np.dtype):
        self.name, self.parameters, self.real = name, parameters, real
        self.entry = getattr(library, f"shim_{name}")
        self.struct_sizes = {
            t: getattr(library, f"shim_sizeof_{t}")() for t, _ in parameters if t.isidentifier() and t not in SCALARS
        }

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple) -> None:
        """args: NumPy arrays for pointers (0: null), int, float or numpy.uint64, one-element arrays for structs."""
        if len(args) != len(self.parameters):
            raise TypeError(f"{self.name} takes {len(self.parameters)} arguments, got {len(args)}")
        threads = int(np.prod(block))
        if not 1 <= threads <= 1024 or max(grid[1:], default=0) > 65535 or grid[0] >= 2**31:
            raise ValueError(f"{self.name}: grid {grid} or block {block} is beyond what a GPU launches")
        values = [self._value(value, *parameter) for value, parameter in zip(args, self.parameters, strict=True)]
        written = [
            value for value, (t, _) in zip(args, self.parameters, strict=True) if t.endswith("*") and t[:5] != "const"
        ]
        if not all(array.flags.writeable for array in written):
            raise ValueError(f"{self.name} writes to a view in which elements share memory")
        before = [array.copy(order="K") for array in written] if check_races else []
        self._run(grid, block, values, reverse=False)
        if check_races:
            after = [array.copy(order="K") for array in written]
            for array, old in zip(written, before, strict=True):
                array[...] = old
            self._run(grid, block, values, reverse=True)
            for array, first in zip(written, after, strict=True):
                if array.tobytes() != first.tobytes():
                    raise RuntimeError(f"{self.name} depends on the order in which its threads run")
        for array in written:
            _check_guards(array, self.name)

    def _run(self, grid, block, values, reverse: bool) -> None:
        pointers = (ctypes.c_void_p * len(values))(*[value.ctypes.data for value in values])
        sizes = [(ctypes.c_uint * 3)(*(*n, 1, 1)[:3]) for n in (grid, block)]
        if self.entry(*sizes, pointers, int(reverse)):
            raise RuntimeError(f"{self.name}: a barrier that not all threads of the block reach")

    def _value(self, value, ctype: str, parameter: str) -> np.ndarray:
        """The bytes that a launch passes for one argument."""
        where = f"{self.name}, parameter {ctype} {parameter}"
        if ctype.endswith("*"):
            if type(value) is int and value == 0:
                return np.zeros(1, np.uint64)
            wanted = self._element(ctype.removeprefix("const ").removesuffix("*").strip())
            if not isinstance(value, np.ndarray) or value.dtype != wanted:
                raise TypeError(f"{where}: expected an array of {wanted}, got {getattr(value, 'dtype', type(value))}")
            return np.array([value.ctypes.data], np.uint64)
        if ctype in self.struct_sizes:
            if not (isinstance(value, np.ndarray) and value.size == 1 and value.itemsize == self.struct_sizes[ctype]):
                raise TypeError(f"{where}: expected one struct of {self.struct_sizes[ctype]} bytes, got {value!r}")
            return value
        scalar = {int: np.int64, float: np.float64}.get(type(value), type(value))
        if scalar is not SCALARS[ctype]:
            raise TypeError(f"{where}: got {value!r} of type {type(value).__name__}")
        return np.array([value], scalar)

    def _element(self, ctype: str) -> np.dtype:
        known = {
            "bool": np.bool_, "double": np.float64, "long long": np.int64, "unsigned char": np.uint8,
            "unsigned long long": np.uint64,
        }  # fmt: skip
        return self.real if ctype == "REAL" else np.dtype(known[ctype])


@functools.cache
def compile_source(code: str, options: tuple[str, ...]) -> dict[str, Kernel]:
    """All kernels of a CUDA C source, by name. Those that declare __shared__ memory are the ones with barriers."""
    plain = re.sub(r"//[^\n]*", "", code)
    kernels = re.findall(r'extern "C" __global__ void (\w+)\(([^)]*)\)(.*?)\n}', plain, re.S)
    parameters = {name: [_split(parameter) for parameter in text.split(",")] for name, text, _ in kernels}
    structs = {t for each in parameters.values() for t, _ in each if t.isidentifier() and t not in SCALARS}
    entries = [f'extern "C" int shim_sizeof_{t}() {{ return sizeof({t}); }}' for t in sorted(structs)]
    for name, _, body in kernels:
        # a kernel has barriers if it, or a function that it calls, does: all kernels of shared memory here
        values = ", ".join(f"*({t} *)shim_arguments[{i}]" for i, (t, _) in enumerate(parameters[name]))
        entries.append(
            f"static void shim_call_{name}() {{ {name}({values}); }}\n"
            f'extern "C" int shim_{name}(dim3 *grid, dim3 *block, void **arguments, int reverse)\n'
            f"{{ shim_arguments = arguments;\n"
            f"  return shim_launch(shim_call_{name}, {int('__shared__' in body)}, *grid, *block, reverse); }}"
        )
    text = f'#include "{HEADER}"\n{code}\nstatic void **shim_arguments;\n' + "\n".join(entries)
    library = _folder() / f"{hashlib.sha256((text + str(options)).encode()).hexdigest()[:16]}.so"
    command = ["g++", "-x", "c++", "-std=c++17", "-O1", "-w", "-shared", "-fPIC"]
    result = subprocess.run(
        [*command, *options, "-o", str(library), "-"], input=text, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RuntimeError(f"g++ on a CUDA source:\n{result.stderr}")
    real = np.dtype(np.float64 if "-DREAL=double" in options else np.float32)
    loaded = ctypes.CDLL(os.fspath(library))
    return {name: Kernel(loaded, name, parameters[name], real) for name, _, _ in kernels}


def _split(parameter: str) -> tuple[str, str]:
    """A parameter's type and name: "const REAL *x" -> ("const REAL *", "x")."""
    ctype, name = re.fullmatch(r"\s*(.*?)(\w+)\s*", parameter, re.S).groups()
    return " ".join(ctype.split()), name


@functools.cache
def _folder() -> Path:
    holder = tempfile.TemporaryDirectory(prefix="minigan-shim-")
    _folder.holder = holder  # lives as long as the process
    return Path(holder.name)
