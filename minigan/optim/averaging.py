"""The exponential moving average of a network's weights, which often draws better than the network itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..autograd import Tensor

if TYPE_CHECKING:
    from ..nn import Module


def update_average(average: Module, module: Module, decay: float, updates: int) -> None:
    """average = d average + (1 - d) module, for parameters and for buffers such as running statistics.

    d = min(decay, (1 + updates) / (10 + updates)), so that the first weights are soon forgotten; updates: how many
    were made before. Counters are copied. Yazici et al. 2019, arXiv:1806.04498.
    """
    d = min(decay, (1 + updates) / (10 + updates))
    for (_, old), (_, new) in zip(_state(average), _state(module), strict=True):
        if isinstance(old, Tensor):
            old.backend.kernels.average_step(old.data, new.data, 1 - d)
            old.version.bump("update_average")
    for (_, own), (_, other) in zip(average.named_modules(), module.named_modules(), strict=True):
        for name in own._buffer_names:
            if isinstance(getattr(own, name), int):
                setattr(own, name, getattr(other, name))


def _state(module: Module):
    return [*module.named_parameters(), *module.named_buffers()]
