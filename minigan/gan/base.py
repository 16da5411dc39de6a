"""What every training algorithm has: named modules, named optimizers, named random streams, and their state."""

from __future__ import annotations

from typing import Any

from .. import nn, optim
from ..autograd import Tensor
from ..backend import Backend, get_backend
from ..optim import schedules
from ..rng import Generator
from . import penalties
from .config import Config

STREAMS = ("init", "latents", "dropout", "noise", "penalty")  # a stream's number is its place: never reorder

Losses = dict[str, Tensor]  # the terms of a player's loss, by name; their sum is minimised


def new_streams(seed: int, backend: Backend) -> dict[str, Generator]:
    """A run's random streams at their start. Weights are drawn on the CPU: every device starts from the same ones."""
    host = get_backend("cpu")
    return {
        name: Generator(seed, host if name == "init" else backend, stream=number) for number, name in enumerate(STREAMS)
    }


class Algorithm:
    """Modules under names, an optimizer for each of those that learn, random streams; a subclass adds `step(batch)`.

    learning_rates: name of a module that learns -> its first learning rate, which config.lr_schedule changes.
    """

    def __init__(
        self,
        config: Config,
        backend: Backend,
        modules: dict[str, nn.Module],
        learning_rates: dict[str, float],
        streams: dict[str, Generator],
    ):
        self.config, self.backend, self.modules, self.streams = config, backend, modules, streams
        self.learning_rates = learning_rates
        for name, module in modules.items():
            module._name = name
            module.to(backend)
            if backend.index is not None:
                nn.fuse(module)
            for path, parameter in module.named_parameters():
                parameter.name = f"{name}.{path}"
        layers = [layer for module in modules.values() for _, layer in module.named_modules()]
        self.convolutional = any(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in layers)
        self.optimizers = {name: self._optimizer(modules[name], lr) for name, lr in learning_rates.items()}

    def _optimizer(self, player: nn.Module, lr: float) -> optim.Optimizer:
        c = self.config
        if c.optimizer == "sgd":
            return optim.SGD(player.parameters(), lr, c.momentum)
        if c.optimizer == "rmsprop":
            return optim.RMSprop(player.parameters(), lr)
        return optim.Adam(player.parameters(), lr, (c.beta1, c.beta2), c.adam_eps)

    # --------------------------------------------------------------- updates

    def set_learning_rates(self, done: int) -> None:
        """The learning rates of a step before which `done` were taken."""
        c = self.config
        factor = schedules.ALL[c.lr_schedule](done, c.steps, decay=c.lr_decay, every=c.lr_decay_every)
        for name, lr in self.learning_rates.items():
            self.optimizers[name].lr = factor * lr

    def update(self, name: str, losses: Losses) -> None:
        """One optimizer step on one module; the others' gradients are not even computed."""
        self.differentiate(name, losses)
        self.advance(name)

    def differentiate(self, name: str, losses: Losses, retain_graph: bool = False) -> None:
        """The gradient of the sum of the losses, for one module's parameters."""
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        penalties.total(losses.values()).backward(inputs=optimizer.parameters, retain_graph=retain_graph)

    def advance(self, name: str) -> None:
        """The optimizer's step, by gradients clipped first in every element, then in norm, where that is asked for."""
        c, optimizer = self.config, self.optimizers[name]
        if c.clip_value:
            optim.clip_gradient_value(optimizer.parameters, c.clip_value)
        if c.clip_norm:
            optim.clip_gradient_norm(optimizer.parameters, c.clip_norm)
        optimizer.step()

    # ----------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes in training: modules, optimizers, random streams."""
        return {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "streams": {name: stream.state_dict() for name, stream in self.streams.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state, in place."""
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, stream in self.streams.items():
            stream.load_state_dict(state["streams"][name])
