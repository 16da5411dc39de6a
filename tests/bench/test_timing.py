import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.backend import get_backend
from minigan.bench import timing
from minigan.bench.timing import measure, summarise


@given(st.lists(st.floats(1e-9, 1e3), min_size=2, max_size=20))
def test_median_and_quartiles(values):
    summary = summarise(values)
    assert (summary.low, summary.median, summary.high) == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]))


class Machine:
    """A device behind a clock of its own: a call takes the host `host` seconds, and `wait` more until it is done."""

    device = "cpu"

    def __init__(self, host, wait=0.0, first=None):
        self.now, self.host, self.wait, self.first = 0.0, host, wait, first
        self.calls = self.pending = self.waits = 0

    def clock(self):
        return self.now

    def call(self):
        self.now += self.first if self.first and not self.calls else self.host
        self.calls += 1
        self.pending += 1

    def synchronize(self):
        self.now += self.pending * self.wait
        self.pending = 0
        self.waits += 1


@pytest.fixture
def machine(monkeypatch):
    def build(*args, **options):
        machine = Machine(*args, **options)
        monkeypatch.setattr(timing, "perf_counter", machine.clock)
        return machine

    return build


def test_host_time_ends_when_the_calls_return_and_wall_time_when_the_device_is_done(machine):
    m = machine(host=0.001, wait=0.003, first=0.5)
    result = measure(m.call, m, seconds=0.7, rounds=7)
    assert result.host.median == pytest.approx(0.001)
    assert result.wall.median == pytest.approx(0.004)
    assert result.first == pytest.approx(0.503)
    assert result.device is None


def test_a_round_is_many_calls_with_one_wait(machine):
    m = machine(host=0.001)
    result = measure(m.call, m, seconds=0.7, rounds=7)
    assert result.calls == 100
    assert m.calls == 1 + timing.WARM_UP + 7 * 100
    assert m.waits == 2 * (1 + timing.WARM_UP + 7)  # before and after each round


def test_a_slow_call_gets_fewer_rounds(machine):
    m = machine(host=1.0)
    assert measure(m.call, m, seconds=0.7).calls == 1
    assert m.calls == 1 + timing.WARM_UP + 5
    m = machine(host=100.0)
    measure(m.call, m, seconds=0.7)
    assert m.calls == 1 + timing.WARM_UP + timing.FEWEST_ROUNDS


def test_quartiles_are_of_the_rounds(machine):
    m = machine(host=0.0)
    durations = iter([0.1] * (1 + timing.WARM_UP) + [1.0, 2.0, 3.0, 4.0, 5.0])
    m.call = lambda: setattr(m, "now", m.now + next(durations))
    wall = measure(m.call, m, seconds=0.1, rounds=5).wall
    assert (wall.low, wall.median, wall.high) == pytest.approx((2.0, 3.0, 4.0))


def test_device_time_is_that_of_the_events(gpu):
    result = measure(lambda: None, gpu, seconds=1e-6, rounds=3)
    assert result.device.median == pytest.approx(2e-3 / result.calls)
    assert gpu.xp.events == 2 * (1 + timing.WARM_UP + 3)


def test_the_cpu_has_no_device_time():
    assert measure(lambda: None, get_backend("cpu"), seconds=1e-6, rounds=3).device is None
