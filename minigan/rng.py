"""Randomness as a stream that can be saved: a key, and a counter that only moves forward."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import index
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend import Backend


class Generator:
    """Random arrays on one device, drawn from a counter-based stream (Philox-4x64-10, Salmon et al. 2011).

    The key is (seed, stream): different streams of one seed are independent, so a run gives one to its latents,
    one to its dropout, and so on. The whole state is `(seed, stream, counter)`, three integers; every device turns
    them into the same words: uniform numbers and masks are equal to the bit, normal ones to rounding.
    """

    def __init__(self, seed: int, backend: Backend, stream: int = 0):
        if not 0 <= index(seed) < 2**64:
            raise ValueError(f"a seed is an integer from 0 to 2**64 - 1, got {seed}")
        self.seed, self.stream, self.counter = index(seed), stream, 0
        self.backend = backend
        self.recorder: Callable[[int], Any] | None = None  # turns a place in the stream into a word on the device

    @property
    def key(self) -> int:
        return self.seed | self.stream << 64

    def _take(self, words: int) -> tuple[int, Any]:
        """Reserve whole blocks (of four 64-bit words) for `words` words: (key, first block)."""
        self.backend.use()
        start = self.counter
        self.counter += -(-words // 4)
        return self.key, start if self.recorder is None else self.recorder(start)

    def uniform(self, shape, low: float = 0.0, high: float = 1.0, dtype="float32") -> Any:
        """Array of uniform numbers in [low, high), one 64-bit word a number (rounding may reach high itself)."""
        count = math.prod(shape)
        unit = self.backend.kernels.random_uniform(*self._take(count), count, dtype)
        return (unit * (high - low) + low).reshape(shape)

    def normal(self, shape, std: float = 1.0, dtype="float32") -> Any:
        """Array of N(0, std^2), a pair from every 64-bit word (Box and Muller 1958)."""
        count = math.prod(shape)
        unit = self.backend.kernels.random_normal(*self._take(-(-count // 2)), count, dtype)
        return (unit if std == 1.0 else unit * std).reshape(shape)

    @staticmethod
    def share(keep: float) -> float:
        """The probability that `mask` can keep: to 16 bits, and more than 0."""
        return max(1, round(keep * 2**16)) / 2**16

    def mask(self, shape, keep: float) -> Any:
        """Boolean array, True with probability `share(keep)`, four draws from every 64-bit word."""
        return self.backend.kernels.dropout_mask(*self._take(-(-math.prod(shape) // 4)), shape, self.share(keep))

    def state_dict(self) -> dict[str, int]:
        return {"seed": self.seed, "stream": self.stream, "counter": self.counter}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.seed, self.stream, self.counter = state["seed"], state["stream"], state["counter"]
