import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.optim import schedules

every = pytest.mark.parametrize("name", schedules.ALL)


def factor(name, step, steps=100, decay=0.5, every=10):
    return schedules.ALL[name](step, steps, decay=decay, every=every)


@every
def test_every_schedule_begins_with_the_learning_rate_itself(name):
    assert factor(name, 0) == 1


@every
@given(step=st.integers(0, 300))
def test_no_schedule_rises_or_leaves_its_range(name, step):
    assert 0 <= factor(name, step + 1) <= factor(name, step) <= 1


def test_the_formulas():
    assert [factor("constant", s) for s in (0, 50, 1000)] == [1, 1, 1]
    assert [factor("linear", s) for s in (25, 50, 100, 1000)] == [0.75, 0.5, 0, 0]
    assert factor("cosine", 50) == pytest.approx(0.5)
    assert factor("cosine", 25) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert factor("cosine", 100) == factor("cosine", 200) == 0
    assert [factor("step", s) for s in (9, 10, 19, 20, 100)] == [1, 0.5, 0.5, 0.25, 0.5**10]
