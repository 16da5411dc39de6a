"""One wrong rule, planted in the place of the right one.

It declares the lowest order of derivative that it makes wrong (a residual cut from the graph leaves order 1 right), or
why it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from ..autograd import ShapeError
from .catalog import CATALOG
from .check import check_example
from .report import GradientError

Rule = Callable[..., tuple[Any, ...]]  # (function, cotangent, needs) -> gradients

EXAMPLES = 24  # a mutant that survives so many has survived


@dataclass(frozen=True)
class Mutant:
    """A wrong rule: `fault` makes it from the right one.

    wrong_from: the lowest order at which derivatives are wrong, 1 or 2; None: equivalent, for the reason given.
    """

    operation: str
    name: str
    fault: Callable[[Rule], Rule]
    wrong_from: int | None = 1
    reason: str = ""

    @contextmanager
    def planted(self) -> Iterator[None]:
        function: Any = CATALOG[self.operation].function
        with patch.object(function, "backward", self.fault(function.backward)):
            yield

    def killed(self, order: int, examples: int = EXAMPLES) -> bool:
        """Whether the checks up to `order` reject it."""
        with self.planted():
            for seed in range(examples):
                try:
                    check_example(CATALOG[self.operation], seed, order=order)
                except (GradientError, ShapeError):  # a ShapeError is how the engine itself refuses a rule
                    return True
        return False
