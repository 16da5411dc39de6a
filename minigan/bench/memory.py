"""The most memory that was in use at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

from ..backend import Backend


class Peak:
    """Bytes, known when the block ends."""

    bytes: int = 0


@contextmanager
def peak_memory(backend: Backend) -> Iterator[Peak]:
    """On the CPU: arrays and Python objects made inside the block. On a GPU: what CuPy's pool took from the device.

    The pool gives nothing back by itself, so its size in the end is its peak. Tracing slows Python: time elsewhere.
    """
    peak = Peak()
    if backend.device == "cpu":
        tracemalloc.start()
        try:
            yield peak
            peak.bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    else:
        backend.synchronize()
        pool = backend.xp.get_default_memory_pool()
        pool.free_all_blocks()
        yield peak
        peak.bytes = pool.total_bytes()
