"""SGD, RMSprop, Adam, AdamW: formulas and defaults as in PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..autograd import Tensor
from .optimizer import Optimizer


class SGD(Optimizer):
    """v = momentum v + g;  p -= lr v, or p -= lr (g + momentum v) with Nesterov's look-ahead."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        if nesterov and momentum <= 0:
            raise ValueError("Nesterov's method needs a momentum above 0")
        self.momentum, self.nesterov = _fraction("momentum", momentum), nesterov
        self.slots = ("velocity",) if momentum else ()
        super().__init__(parameters, lr, weight_decay)

    def _update(self, kernels, p, g, *state):
        velocity = state[0] if state else None
        options = {"lr": self._rate(), "momentum": self.momentum, "nesterov": self.nesterov}
        kernels.sgd_step(p, g, velocity, weight_decay=self.weight_decay, **options)


class RMSprop(Optimizer):
    """s = alpha s + (1 - alpha) g^2;  p -= lr g / (sqrt(s) + eps) (Tieleman and Hinton 2012)."""

    slots = ("square",)

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        self.alpha, self.eps = _fraction("alpha", alpha), _not_negative("eps", eps)
        super().__init__(parameters, lr, weight_decay)

    def _update(self, kernels, p, g, *state):
        (square,) = state
        options = {"lr": self._rate(), "alpha": self.alpha, "eps": self.eps}
        kernels.rmsprop_step(p, g, square, weight_decay=self.weight_decay, **options)


class Adam(Optimizer):
    """m, v: moving means of g and g^2, corrected for their start at 0;  p -= lr m / (sqrt(v) + eps)

    (Kingma and Ba 2015). weight_decay is added to the gradient. The correction counts the optimizer's steps, for all
    parameters alike.
    """

    slots = ("m", "v")
    decoupled = False

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        self.beta1, self.beta2 = _fraction("beta1", betas[0]), _fraction("beta2", betas[1])
        self.eps = _not_negative("eps", eps)
        super().__init__(parameters, lr, weight_decay)

    def _update(self, kernels, p, g, *state):
        m, v = state
        kernels.adam_step(p, g, m, v, **self.settings(self.steps) | {"lr": self._rate()})

    def settings(self, step: int) -> dict[str, Any]:
        """What the kernel of step number `step`, counted from 1, is given."""
        return {
            "lr": self.lr,
            "beta1": self.beta1,
            "beta2": self.beta2,
            "eps": self.eps,
            "step": step,
            "weight_decay": self.weight_decay,
            "decoupled": self.decoupled,
        }


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: p *= 1 - lr weight_decay (Loshchilov and Hutter 2019)."""

    decoupled = True

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(parameters, lr, betas, eps, weight_decay)


def _fraction(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and less than 1, got {value}")
    return value


def _not_negative(name: str, value: float) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must be 0 or more, got {value}")
    return value
