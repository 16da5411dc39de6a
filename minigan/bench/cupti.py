"""What a GPU really did during some calls, by NVIDIA's CUPTI: kernels, copies, and how long kernels ran.

CuPy cannot tell how many kernels a step launches. CUPTI, a library of the CUDA toolkit (`pip install
nvidia-cuda-cupti`), writes a record of each into buffers that it asks for.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..backend import Backend

MEMCPY, MEMSET, CONCURRENT_KERNEL = KINDS = (1, 2, 10)  # of records, in cupti_activity.h
FORCED = 1  # flush buffers that are not full, too
BUFFER = 1 << 20  # bytes
ADDRESS, SIZE = ctypes.c_void_p, ctypes.c_size_t


class Unavailable(RuntimeError):
    """CUPTI cannot be used, and why."""


@dataclass(frozen=True)
class Activity:
    """Of one call: kernels launched, copies and fills of memory, and the seconds that kernels ran."""

    kernels: float
    copies: float
    busy: float


def trace(call: Callable[[], Any], backend: Backend, calls: int = 5) -> Activity:
    """What the device did in a call, as the mean of several. Raises Unavailable."""
    cupti = _library(_find())
    call()
    backend.synchronize()
    with cupti.recording() as records:
        for _ in range(calls):
            call()
        backend.synchronize()
    kernels = [record for record in records if record.kind == CONCURRENT_KERNEL]
    busy = sum(record.end - record.start for record in kernels) * 1e-9
    return Activity(len(kernels) / calls, (len(records) - len(kernels)) / calls, busy / calls)


def _find() -> str:
    """The path of the library."""
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
    except ImportError:
        raise Unavailable("cuda-pathfinder, which comes with CuPy, is not installed") from None
    try:
        return pathfinder.load_nvidia_dynamic_lib("cupti").abs_path
    except pathfinder.DynamicLibNotFoundError:
        raise Unavailable("CUPTI is not installed: pip install nvidia-cuda-cupti") from None


class _Record(ctypes.Structure):
    """How the records of those kinds begin, in CUPTI 12 and 13. start, end: nanoseconds."""

    _fields_ = [
        ("kind", ctypes.c_uint32),
        ("_", ctypes.c_uint32 * 3),
        ("start", ctypes.c_uint64),
        ("end", ctypes.c_uint64),
    ]


class _Cupti:
    """The library with its callbacks, which a process registers once."""

    def __init__(self, path: str):
        self.library = ctypes.CDLL(path)
        self.buffers: dict[int, Any] = {}  # handed out and not yet given back, by address
        self.records: list[_Record] = []
        place, size = ctypes.POINTER(ADDRESS), ctypes.POINTER(SIZE)
        self.callbacks = (  # C holds no reference to them
            ctypes.CFUNCTYPE(None, place, size, size)(self._hand_out),
            ctypes.CFUNCTYPE(None, ADDRESS, ctypes.c_uint32, ADDRESS, SIZE, SIZE)(self._take_back),
        )
        self._call("cuptiActivityRegisterCallbacks", *self.callbacks)

    @contextmanager
    def recording(self) -> Iterator[list[_Record]]:
        """The records of what happens inside the block, complete when it ends."""
        self.records = []
        for kind in KINDS:
            self._call("cuptiActivityEnable", kind)
        try:
            yield self.records
        finally:
            self._call("cuptiActivityFlushAll", FORCED)
            for kind in KINDS:
                self._call("cuptiActivityDisable", kind)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(*arguments)
        if status:
            raise Unavailable(f"{name} failed with status {status} of CUPTI's cupti_result.h")

    def _hand_out(self, place: Any, size: Any, most_records: Any) -> None:
        buffer = ctypes.create_string_buffer(BUFFER)
        address = ctypes.addressof(buffer)
        self.buffers[address] = buffer
        place[0], size[0], most_records[0] = address, BUFFER, 0  # 0: as many records as fit

    def _take_back(self, context: Any, stream: int, address: int, size: int, valid: int) -> None:
        record = ctypes.POINTER(_Record)()
        while self.library.cuptiActivityGetNextRecord(ADDRESS(address), SIZE(valid), ctypes.byref(record)) == 0:
            self.records.append(_Record.from_buffer_copy(record.contents))
        del self.buffers[address]


_library = cache(_Cupti)
