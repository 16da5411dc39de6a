"""The buffer pool: memory is reused, and never while anything can still see it."""

import gc

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from minigan.kernels import buffers
from minigan.kernels.buffers import SMALL, BufferPool


class PoolMachine(RuleBasedStateMachine):
    """Arrays are taken, viewed, and dropped in any order; each is filled with a number of its own."""

    def __init__(self):
        super().__init__()
        self.pool = BufferPool()
        self.live: list[tuple[np.ndarray, int]] = []
        self.count = 0

    @rule(extra=st.integers(0, 3), dtype=st.sampled_from([np.float32, np.float64, np.int16]))
    def take(self, extra, dtype):
        self.count += 1
        array = self.pool.empty((64 + extra * 50, 16), dtype)
        assert array.flags.c_contiguous and array.flags.writeable
        array.fill(self.count)
        self.live.append((array, self.count))

    @rule(data=st.data())
    def keep_only_a_view(self, data):
        if self.live:
            index = data.draw(st.integers(0, len(self.live) - 1))
            array, value = self.live[index]
            view = data.draw(st.sampled_from([array[:1], array.T[:2], array[1::2], array[-1:, ::3]]))
            self.live[index] = (view, value)

    @rule(data=st.data())
    def drop(self, data):
        if self.live:
            self.live.pop(data.draw(st.integers(0, len(self.live) - 1)))

    @invariant()
    def nothing_live_was_written_over(self):
        for array, value in self.live:
            assert (array == value).all()


@pytest.mark.usefixtures("small_buffers")
class TestPool(PoolMachine.TestCase):
    settings = settings(max_examples=50, stateful_step_count=30)


@pytest.fixture
def small_buffers(monkeypatch):
    monkeypatch.setattr(buffers, "SMALL", 1 << 10)


def address(array):
    return array.__array_interface__["data"][0]


def test_a_dropped_buffer_is_used_again():
    pool = BufferPool()
    first = pool.empty((SMALL,), np.float32)
    where = address(first)
    view = first[10:].reshape(2, -1)[1].view(np.int32)
    del first
    assert address(pool.empty((SMALL,), np.float32)) != where
    del view
    assert address(pool.empty((SMALL,), np.float32)) == where


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool])
def test_large_arrays_are_aligned(dtype):
    pool = BufferPool()
    for size in (SMALL, SMALL + 1, 3 * SMALL + 5):
        assert address(pool.empty((size,), dtype)) % buffers.ALIGNMENT == 0


def test_shapes_and_dtypes():
    pool = BufferPool()
    for shape in [(), (0, 3), (3,), (300, 400, 2)]:
        array = pool.empty(shape, "f4")
        assert array.shape == shape and array.dtype == np.float32


def test_buffers_that_nobody_wants_any_more_are_given_back(monkeypatch):
    monkeypatch.setattr(buffers, "PATIENCE", 10)
    pool = BufferPool()
    kept = pool.empty((SMALL,), np.float64)
    kept.fill(1)
    pool.empty((20 * SMALL,), np.float64)
    assert pool.held_bytes() > 160 * SMALL
    for _ in range(30):
        pool.empty((SMALL,), np.uint8)
    assert pool.held_bytes() < 20 * SMALL
    assert (kept == 1).all()


def test_the_pool_can_go_before_its_arrays():
    array = BufferPool().empty((SMALL,), np.float32)
    gc.collect()
    array.fill(3)
    assert array.sum() == 3 * SMALL
