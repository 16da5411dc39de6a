"""What can be timed: something with a name that, for a device and a batch size, becomes calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..backend import Backend

Call = Callable[[], Any]
Arrays = dict[str, Any]  # host arrays by name


@dataclass(frozen=True)
class Trial:
    """A workload on one device at one batch size. phases: what is timed, by name, each to be called again and again.

    evidence() computes what must be the same on every device; it is called once, before anything is timed.
    """

    phases: dict[str, Call]
    evidence: Callable[[], Arrays]


@dataclass(frozen=True)
class Workload:
    """batched: whether the batch size makes a difference (an optimizer sees none)."""

    name: str
    summary: str
    prepare: Callable[[Backend, int], Trial]
    batched: bool = True
    training: bool = False
