"""A score with its protocol: the circumstances two figures must share before they may be compared."""

import math
from dataclasses import dataclass, field

Entry = str | int | float | bool | None


class ProtocolError(ValueError):
    """Two scores were compared that were not measured in the same way."""


@dataclass(frozen=True)
class Score:
    """A figure, and what makes it comparable.

    name: "FID"; value: the figure; spread: its standard deviation, where there is one; protocol: what it was
    measured with, in the order to print (number of samples, extractor, thresholds, seed, batch-norm mode).
    Raises ValueError for a figure that is not a finite number and an entry that is not a plain Python value.
    """

    name: str
    value: float
    spread: float | None = None
    protocol: dict[str, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for figure in (self.value, self.spread):
            if figure is not None and not (isinstance(figure, int | float) and math.isfinite(figure)):
                raise ValueError(f"{self.name} is {figure!r}: a score must be a finite Python number")
        for key, entry in self.protocol.items():
            if not isinstance(entry, Entry):
                raise ValueError(f"{self.name}: protocol entry {key} is {entry!r}: give text, a Python number or None")

    def __str__(self) -> str:
        """FID 32.9 (N 10000, seed 0, batch norm running statistics, data mnist test, extractor digits-ecc9e270)"""
        spread = "" if self.spread is None else f" ± {self.spread:.2g}"
        protocol = ", ".join(f"{key} {entry}" for key, entry in self.protocol.items())
        return f"{self.name} {self.value:.4g}{spread} ({protocol})"


def compare(a: Score, b: Score) -> float:
    """a's value minus b's; raises ProtocolError, which names what differs, when name or protocol do."""
    if a.name != b.name:
        raise ProtocolError(f"{a.name} and {b.name} are different scores: compare like with like")
    unshared = {key for key, _ in a.protocol.items() ^ b.protocol.items()}
    differing = [
        f"{key} ({_entry(a, key)} and {_entry(b, key)})" for key in {**a.protocol, **b.protocol} if key in unshared
    ]
    if differing:
        raise ProtocolError(f"{a.name}: protocols differ in {', '.join(differing)}: measure both under one protocol")
    return a.value - b.value


def _entry(score: Score, key: str) -> str:
    return repr(score.protocol[key]) if key in score.protocol else "absent"
