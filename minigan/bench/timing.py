"""How long a call takes: warm-up, then rounds of many calls with one wait for the device at the end of each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from ..backend import Backend

ROUNDS = 7
FEWEST_ROUNDS = 3
LONGEST = 5.0  # seconds: a slow call gets fewer rounds
WARM_UP = 2  # calls before anything is timed, beside the first one


@dataclass(frozen=True)
class Summary:
    """Median and quartiles of some measurements, in their unit."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Timing:
    """Seconds a call. wall: from the first call of a round until the device is done with the last.

    host: until the last call returned, which on a GPU is before its work is done. device: from the first to the last
    thing the device did, by its own events, pauses included (None where a device has no events). first: the very
    first call, waited for.
    """

    wall: Summary
    host: Summary
    device: Summary | None
    first: float
    calls: int  # in a round


def summarise(values: Sequence[float]) -> Summary:
    """Median and quartiles (linear between neighbours)."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(median, low, high)


def measure(call: Callable[[], Any], backend: Backend, *, seconds: float, rounds: int = ROUNDS) -> Timing:
    """Time `call` on a device: in rounds, of as many calls each as fill `seconds` in all, one at least."""
    first = _round(call, backend, 1)[0]
    warm = min(_round(call, backend, 1)[0] for _ in range(WARM_UP))
    rounds = max(FEWEST_ROUNDS, min(rounds, int(LONGEST / warm)))
    calls = max(1, round(seconds / rounds / warm))
    wall, host, device = zip(*(_round(call, backend, calls) for _ in range(rounds)), strict=True)
    return Timing(
        wall=summarise(wall),
        host=summarise(host),
        device=None if None in device else summarise(device),
        first=first,
        calls=calls,
    )


def _round(call: Callable[[], Any], backend: Backend, calls: int) -> tuple[float, float, float | None]:
    """Seconds a call: wall, host, device."""
    backend.synchronize()
    events = None if backend.device == "cpu" else (backend.xp.cuda.Event(), backend.xp.cuda.Event())
    if events:
        events[0].record()
    start = perf_counter()
    for _ in range(calls):
        result = call()
    returned = perf_counter()
    if events:
        events[1].record()
    backend.synchronize()
    done = perf_counter()
    del result
    device = backend.xp.cuda.get_elapsed_time(*events) * 1e-3 / calls if events else None
    return (done - start) / calls, (returned - start) / calls, device
