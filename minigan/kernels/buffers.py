"""Arrays on reused memory: the page faults of a fresh large array cost as much as the arithmetic on it."""

from __future__ import annotations

import math
import sys
import threading

import numpy as np

ALIGNMENT = 64  # bytes: a cache line, and the widest vector load
SMALL = 1 << 16  # bytes: below this the allocator of C is as good
PATIENCE = 2048  # a free buffer that was not wanted during so many requests is given back


class BufferPool:
    """Hands out uninitialised arrays on buffers that it keeps, one list of buffers a size class.

    Nothing is ever released by hand. NumPy lets every view, and view of a view, hold the array that owns the
    memory, so a buffer is free exactly when nobody but the pool holds it: its reference count says so.
    """

    def __init__(self):
        self._buffers: dict[int, list[_Buffer]] = {}
        self._lock = threading.Lock()  # two threads must not find the same buffer free
        self._requests = 0

    def empty(self, shape, dtype) -> np.ndarray:
        """An uninitialised C-ordered array."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size < SMALL:
            return np.empty(shape, dtype)
        with self._lock:
            self._requests += 1
            if self._requests % PATIENCE == 0:
                self._trim()
            buffer = self._free_buffer(_size_class(size))
            buffer.last_request = self._requests
            return np.ndarray(shape, dtype, buffer.memory, buffer.offset)

    def held_bytes(self) -> int:
        """The memory behind all buffers, in use or free."""
        with self._lock:
            return sum(buffer.memory.nbytes for buffers in self._buffers.values() for buffer in buffers)

    def _free_buffer(self, size: int) -> _Buffer:
        buffers = self._buffers.setdefault(size, [])
        for buffer in buffers:  # always from the first on: the buffers used last are the ones still in the cache
            if _holders(buffer) == ONLY_THE_POOL:
                return buffer
        buffers.append(_Buffer(size))
        return buffers[-1]

    def _trim(self) -> None:
        recent = self._requests - PATIENCE
        for size, buffers in self._buffers.items():
            self._buffers[size] = [
                buffer for buffer in buffers if _holders(buffer) != ONLY_THE_POOL or buffer.last_request >= recent
            ]


class _Buffer:
    __slots__ = ("last_request", "memory", "offset")

    def __init__(self, size: int):
        self.memory = np.empty(size + ALIGNMENT, np.uint8)
        self.offset = -self.memory.ctypes.data % ALIGNMENT
        self.last_request = 0


def _holders(buffer: _Buffer) -> int:
    return sys.getrefcount(buffer.memory)


def _size_class(size: int) -> int:
    """Rounded up in eight steps an octave, so that nearly equal sizes share buffers."""
    step = 1 << max(size.bit_length() - 4, 0)
    return -(-size // step) * step


ONLY_THE_POOL = _holders(_Buffer(ALIGNMENT))  # differs between versions of Python, so it is measured
