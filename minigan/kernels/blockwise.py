"""Element-wise work on large arrays, block by block and on all threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .buffers import BufferPool
from .layout import ROW, Order, channels_last, divisor, inverse, memory_order, shares
from .threads import ThreadTeam


class Blockwise:
    """Runs chains of array operations over operands of one shape, with vectors and scalars broadcast against it."""

    def __init__(self, team: ThreadTeam, pool: BufferPool):
        self.team = team
        self.pool = pool

    def empty_like(self, x: np.ndarray, dtype=None) -> np.ndarray:
        """An uninitialised array of the same shape and memory order."""
        if x.flags.c_contiguous:
            return self.pool.empty(x.shape, dtype or x.dtype)
        order = memory_order(x) or tuple(range(x.ndim))
        memory = self.pool.empty([x.shape[axis] for axis in order], dtype or x.dtype)
        return memory.transpose(inverse(order))

    def map(self, chain: Callable, operands: Sequence, block: int, dtype=None) -> np.ndarray:
        """The array that chain(out, *operands) fills, in the memory order of an operand of full shape.

        Where these differ, channels-last is preferred: activations are.
        The chain is given blocks: the same elements of every operand, about `block` of them at a time.
        """
        if not self.team.alone and _alike(operands) and operands[0].size <= block:
            out = self.empty_like(operands[0], dtype)
            chain(out, *operands)
            return out
        shape = np.broadcast_shapes(*[np.shape(x) for x in operands])
        full = [x for x in operands if np.shape(x) == shape]
        model = next(
            (x for x in full if len(shape) > 2 and channels_last(x).flags.c_contiguous), full[0] if full else None
        )
        if dtype is None:
            dtype = np.result_type(*operands)
        out = self.pool.empty(shape, dtype) if model is None else self.empty_like(model, dtype)
        self.fill(chain, [out, *operands], block)
        return out

    def fill(self, chain: Callable, operands: Sequence, block: int) -> None:
        """The same with the output, a dense array, as the first operand."""
        out = operands[0]
        order = memory_order(out)
        assert order is not None, "the output must be dense"
        rows = _as_rows(operands, out.shape, order)
        views = _in_memory_order(operands, out.ndim, order) if rows is None else rows
        length = len(views[0])
        few = 2 if self.team.alone else 1  # beside the threads of BLAS a small piece is not worth another thread
        parts = shares(length, out.size / block, few)

        def run(part: slice) -> None:
            chain(*[view[part] if np.ndim(view) and len(view) == length else view for view in views])

        self.team.run(run, parts)


def _alike(operands: Sequence) -> bool:
    """Whether all are arrays of one shape, dtype and order of memory."""
    x = operands[0]
    return all(
        isinstance(y, np.ndarray) and (y.shape, y.strides, y.dtype) == (x.shape, x.strides, x.dtype) for y in operands
    )


def _as_rows(operands: Sequence, shape: tuple[int, ...], order: Order) -> list | None:
    """Operands of full shape as (rows, L) or (elements,), vectors along the fastest axes as (1, L), scalars.

    None where an operand of full shape does not lie in memory in this order, or one is broadcast in another way.
    """
    size = math.prod(shape)
    vectors = {np.size(x) for x in operands if np.shape(x) != shape and np.size(x) != 1}
    if len(vectors) > 1:
        return None
    length = vectors.pop() if vectors else 0
    repeats = divisor(size // length, ROW // length) if length else 0
    views = []
    for x in operands:
        if np.shape(x) == shape:
            memory = x.transpose(order)
            if not memory.flags.c_contiguous:
                return None
            views.append(memory.reshape(-1, repeats * length) if length else memory.reshape(-1))
        elif np.size(x) == 1:
            views.append(x if np.ndim(x) == 0 else x.reshape(()))
        else:
            memory = _with_axes(x, len(shape)).transpose(order)
            tail = next(i for i in range(len(shape)) if memory.shape[i] != 1)
            if memory.shape[tail:] != tuple(shape[axis] for axis in order[tail:]):
                return None
            views.append(np.tile(memory.reshape(1, -1), repeats))
    return views


def _in_memory_order(operands: Sequence, ndim: int, order: Order) -> list:
    """Every operand with as many axes as the output, the slowest first."""
    return [x if np.ndim(x) == 0 else _with_axes(x, ndim).transpose(order) for x in operands]


def _with_axes(x: np.ndarray, ndim: int) -> np.ndarray:
    return x.reshape((1,) * (ndim - x.ndim) + x.shape)
