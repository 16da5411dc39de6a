"""What a failed check says."""

from __future__ import annotations

from dataclasses import dataclass


class GradientError(AssertionError):
    """A gradient is wrong, or cannot be checked. str(error) is the report; `mismatch` holds its figures."""

    def __init__(self, message: str, mismatch: Mismatch | None = None):
        super().__init__(message)
        self.message, self.mismatch = message, mismatch

    def __str__(self) -> str:
        return self.message if self.mismatch is None else f"{self.message}\n{self.mismatch}"


@dataclass
class Mismatch:
    """The worst element of a gradient that disagrees with its reference.

    relative is absolute / scale, and scale the size of the derivatives compared (plus what rounding may do).
    """

    operation: str
    order: int
    argument: str
    index: tuple[int, ...]
    analytic: float
    reference: float
    method: str
    absolute: float
    relative: float
    tolerance: float
    reproduce: str

    def __str__(self) -> str:
        rows = {
            "operation": f"{self.operation}, order {self.order}",
            "argument": self.argument,
            "worst element": self.index,
            "from the rule": f"{self.analytic:.12g}",
            f"by {self.method}": f"{self.reference:.12g}",
            "absolute error": f"{self.absolute:.3g}",
            "relative error": f"{self.relative:.3g} (tolerance {self.tolerance:.1g})",
            "reproduce with": self.reproduce,
        }
        width = max(len(name) for name in rows)
        return "\n".join(f"  {name:{width}}  {value}" for name, value in rows.items())
