"""What became slower between two measurements: by more than the noise that their quartiles show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from .report import fact, milliseconds
from .suite import Results, Row


@dataclass(frozen=True)
class Change:
    """A row before and after."""

    before: Row
    after: Row

    @property
    def ratio(self) -> float:
        """Time after / time before: above 1 is slower."""
        return self.after.timing.wall.median / self.before.timing.wall.median

    @property
    def noise(self) -> float:
        """Distance of the quartiles, relative to the median: of the noisier measurement."""
        return max(
            (row.timing.wall.high - row.timing.wall.low) / row.timing.wall.median for row in (self.before, self.after)
        )

    @property
    def verdict(self) -> str:
        """slower or faster when the middle halves of the two measurements do not overlap, else the same."""
        if self.after.timing.wall.low > self.before.timing.wall.high:
            return "slower"
        if self.after.timing.wall.high < self.before.timing.wall.low:
            return "faster"
        return "same"


def changes(before: Results, after: Results) -> list[Change]:
    """The rows that both have."""
    earlier = {row.key: row for row in before.rows}
    return [Change(earlier[row.key], row) for row in after.rows if row.key in earlier]


def compare(before: Results, after: Results) -> tuple[str, bool]:
    """A report of at most 100 columns, and whether anything became slower. Raises ValueError if no row is in both."""
    found = changes(before, after)
    if not found:
        raise ValueError("the two files have no row in common: measure the same workloads, batch sizes and devices")
    lines = _differences(before.environment, after.environment)
    lines.append(_cells("workload", "phase", "batch", "device", "before ms", "after ms", "ratio", "noise", ""))
    for change in sorted(found, key=lambda change: -change.ratio):
        row, times = change.after, [milliseconds(r.timing.wall.median) for r in (change.before, change.after)]
        verdict = {"slower": "SLOWER", "faster": "faster", "same": ""}[change.verdict]
        figures = (*times, f"{change.ratio:.2f}", f"{change.noise:.0%}", verdict)
        lines.append(_cells(row.workload, row.phase, row.batch_size or "any", row.device, *figures))
    count = Counter(change.verdict for change in found)
    lines.append(
        f"{count['slower']} of {len(found)} slower, {count['faster']} faster, {count['same']} within the noise "
        "(their quartiles overlap)"
    )
    alone = len(before.rows) + len(after.rows) - 2 * len(found)
    if alone:
        lines.append(f"not compared: {alone} rows that only one of the two has")
    return "\n".join(lines), count["slower"] > 0


def _differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What is not the same about machine and software."""
    names = [name for name in {**before, **after} if name != "measured" and before.get(name) != after.get(name)]
    lines = ["The circumstances differ, and a change of speed may be theirs:"] if names else []
    for name in names:
        lines += [fact(name, f"before: {before.get(name)}"), fact("", f"after: {after.get(name)}")]
    return lines


def _cells(*texts: Any) -> str:
    forms = ("<16", "<13", ">6", ">9", ">12", ">12", ">8", ">8", ">9")
    return "".join(f"{text:{form}}" for text, form in zip(texts, forms, strict=True)).rstrip()
