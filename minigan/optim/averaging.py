"""The exponential moving average of a network's weights, which often draws better than the network itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd import Tensor

if TYPE_CHECKING:
    from ..nn import Module


def averaging_rate(decay: float, updates: int) -> float:
    """1 - d after `updates` updates: d = min(decay, (1 + updates) / (10 + updates)) soon forgets the first weights."""
    return 1 - min(decay, (1 + updates) / (10 + updates))


def update_average(average: Module, module: Module, rate: Any) -> None:
    """average += rate (module - average), for parameters and for buffers such as running statistics.

    rate: that of `averaging_rate`, or a device array of it. Counters, and what holds no floats, are copied.
    Yazici et al. 2019, arXiv:1806.04498.
    """
    for (_, old), (_, new) in zip(_state(average), _state(module), strict=True):
        if isinstance(old, Tensor) and old.dtype.kind == "f":
            old.backend.kernels.average_step(old.data, new.data, rate)
            old.version.bump("update_average")
        elif isinstance(old, Tensor):
            old.assign(new, writer="update_average")
    for (_, own), (_, other) in zip(average.named_modules(), module.named_modules(), strict=True):
        for name in own._buffer_names:
            if isinstance(getattr(own, name), int):
                setattr(own, name, getattr(other, name))


def _state(module: Module):
    return [*module.named_parameters(), *module.named_buffers()]
