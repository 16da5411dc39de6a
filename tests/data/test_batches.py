import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.data import Batches
from minigan.data.streams import SHUFFLE, STACK, stream

sizes = st.integers(1, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size)))
seeds = st.integers(0, 2**64 - 1)


@given(sizes, seeds, st.integers(0, 10**12))
def test_an_epoch_draws_every_index_at_most_once_and_drops_less_than_a_batch(sizes, seed, epoch):
    size, batch_size = sizes
    batches = Batches(size, batch_size, seed)
    drawn = np.concatenate([batches[epoch * batches.per_epoch + i] for i in range(batches.per_epoch)])
    assert drawn.dtype == np.int64
    assert len(np.unique(drawn)) == len(drawn) == size // batch_size * batch_size
    assert ((drawn >= 0) & (drawn < size)).all()


@given(sizes, seeds, st.lists(st.integers(0, 500), min_size=1, max_size=10))
def test_a_batch_is_a_function_of_the_step_alone(sizes, seed, steps):
    size, batch_size = sizes
    batches = Batches(size, batch_size, seed)
    for step in steps:
        expected = Batches(size, batch_size, seed)[step]
        assert expected.shape == (batch_size,)
        np.testing.assert_array_equal(batches[step], expected)


def test_epochs_seeds_and_purposes_differ():
    orders = [Batches(1000, 1000, seed)[epoch] for seed in (0, 1) for epoch in (0, 1)]
    orders += [stream(0, STACK).permutation(1000)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert (one == other).sum() < 20
    np.testing.assert_array_equal(orders[0], stream(0, SHUFFLE).permutation(1000))


def test_the_first_index_is_uniform():
    first = [Batches(4, 1, seed)[0][0] for seed in range(4000)]
    assert abs(np.bincount(first) - 1000).max() < 150  # 5 standard deviations


@pytest.mark.parametrize("batch_size", [11, 0, -1])
def test_a_batch_that_does_not_fit_the_data_set_is_refused(batch_size):
    message = f"{batch_size} images a step from a data set of 10: expected 1 to 10"
    with pytest.raises(ValueError, match=message):
        Batches(10, batch_size, 0)


def test_a_negative_step_and_a_seed_out_of_range_are_refused():
    with pytest.raises(IndexError, match="step -1"):
        Batches(10, 5, 0)[-1]
    with pytest.raises(ValueError, match=r"seed -1: expected 0 <= seed < 2\*\*64"):
        Batches(10, 5, -1)[0]
