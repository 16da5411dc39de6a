"""One line of the catalog: an operation, how to draw inputs for it, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...autograd import Function, Tensor
from ..draw import Draw


@dataclass(frozen=True)
class Sample:
    """One example of an operation.

    call: Tensors to a Tensor; arrays: float64 inputs; oracle: the same arrays to the value, by other means.
    """

    call: Callable[..., Tensor]
    arrays: list[np.ndarray]
    oracle: Callable[..., np.ndarray]


@dataclass(frozen=True)
class Entry:
    """An operation.

    function: its class; None for a composition of other operations.
    sample: draws an example.
    domain: of the inputs, in words.
    analytic: the complex step applies. Otherwise the operation is piecewise analytic, with kinks or jumps between.
    linear: groups of inputs; in the inputs of a group together the operation is linear (the others held fixed). A
    group may name optional inputs, which a sample leaves out.
    public: names in minigan that this entry stands for.
    """

    name: str
    function: type[Function] | None
    sample: Callable[[Draw], Sample]
    domain: str = "real"
    analytic: bool = True
    linear: tuple[tuple[int, ...], ...] = ()
    public: tuple[str, ...] = ()

    @property
    def method(self) -> Literal["complex", "difference"]:
        """How its gradients are checked."""
        return "complex" if self.analytic else "difference"
