"""A GPU whose memory is full: how much was asked for, how much was in use, and which batch size would fit."""

from __future__ import annotations

from types import TracebackType

from .backend import Backend


class ExplainedMemory:
    """A context, to be entered as often as one likes, in which CuPy's OutOfMemoryError says what would fit.

    batch_size: of the work inside; memory already in use is taken not to grow with it.
    """

    def __init__(self, backend: Backend, batch_size: int):
        self.backend, self.batch_size = backend, batch_size
        self.before = 0 if backend.index is None else backend.xp.get_default_memory_pool().used_bytes()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type | None, error: BaseException | None, __: TracebackType | None) -> None:
        asked = getattr(error, "_size", None)  # of CuPy's error; NumPy's has none
        if isinstance(error, MemoryError) and asked is not None:
            raise MemoryError(self._explanation(asked)) from None

    def _explanation(self, asked: int) -> str:
        """The estimate: memory beyond `before` grows as the batch does.

        What failed had not reached its peak yet, so no more than half of the batch size is promised.
        """
        pool = self.backend.xp.get_default_memory_pool()
        used = pool.used_bytes()
        most = self.backend.xp.cuda.Device(self.backend.index).mem_info[0] + pool.total_bytes()
        share = (most - self.before) / (used + asked - self.before)
        fitting = int(self.batch_size * min(share, 0.5))
        advice = (
            f"a batch size of {1 << (fitting.bit_length() - 1)} would fit" if fitting else "no batch size would fit"
        )
        return (
            f"{self.backend.device} is out of memory at batch size {self.batch_size}: {_mebibytes(asked)} were asked "
            f"for with {_mebibytes(used)} in use, of {_mebibytes(most)} in all; by estimate, {advice}"
        )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
