"""The GAN's training algorithm: named modules, named optimizers, named random streams, and `step(batch)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import nn, optim
from ..autograd import Tensor, no_grad
from ..backend import Backend, get_backend
from ..ops import concatenate
from ..rng import Generator
from . import objectives, presets
from .config import Config

STREAMS = ("init", "latents", "dropout", "noise")  # a stream's number is its place: never reorder
FIXED = 100  # stream of the latents that every picture of a run shows


@dataclass
class Report:
    """What one step computed, left on the device: reading a number waits for it."""

    discriminator_loss: Tensor
    generator_loss: Tensor
    real_logits: Tensor
    fake_logits: Tensor  # of the fakes before the discriminator's step
    updated_fake_logits: Tensor  # of the generator's fakes, after it

    def numbers(self) -> dict[str, float]:
        """The losses, and the mean D(x), D(G(z)) before and after the discriminator's step."""
        return {
            "d_loss": self.discriminator_loss.item(),
            "g_loss": self.generator_loss.item(),
            "d_real": self.real_logits.sigmoid().mean().item(),
            "d_fake_before": self.fake_logits.sigmoid().mean().item(),
            "d_fake_after": self.updated_fake_logits.sigmoid().mean().item(),
        }


class GAN:
    """Generator against discriminator (Goodfellow et al. 2014, algorithm 1)."""

    def __init__(self, config: Config, device: str | Backend = "cpu"):
        self.config = config
        self.backend = get_backend(device)
        host = get_backend("cpu")  # weights are drawn there: every device starts from the same ones
        self.streams = {
            name: Generator(config.seed, host if name == "init" else self.backend, stream=number)
            for number, name in enumerate(STREAMS)
        }
        self.objective = objectives.get(config.objective)
        self.modules = presets.get(config.preset).build(config, self.streams)
        self.generator, self.discriminator = self.modules["generator"], self.modules["discriminator"]
        for name, module in self.modules.items():
            module._name = name
            module.to(self.backend)
            for path, parameter in module.named_parameters():
                parameter.name = f"{name}.{path}"
        self.optimizers = {
            "generator": self._optimizer(self.generator, config.lr_generator),
            "discriminator": self._optimizer(self.discriminator, config.lr_discriminator),
        }
        self._mixes_batch = any(
            isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for _, module in self.discriminator.named_modules()
        )

    def _optimizer(self, player: nn.Module, lr: float) -> optim.Optimizer:
        c = self.config
        return optim.Adam(player.parameters(), lr, (c.beta1, c.beta2), c.adam_eps)

    # -------------------------------------------------------------- one step

    def step(self, real: Tensor) -> Report:
        """One update of both players on a batch of real images (N, C, H, W) in [-1, 1]."""
        if self.config.update == "simultaneous":
            return self._simultaneous(real)
        if self.config.fresh_latents:
            with no_grad():
                fake = self.generate(len(real))
        else:
            fake = self.generate(len(real))
        real_logits, fake_logits, discriminator_loss = self._judge(real, fake.detach())
        self._update("discriminator", discriminator_loss)
        if self.config.fresh_latents:
            fake = self.generate(len(real))
        updated_logits = self.discriminator(fake)
        generator_loss = self.objective.generator_loss(updated_logits, real_logits.detach())
        self._update("generator", generator_loss)
        return Report(discriminator_loss, generator_loss, real_logits, fake_logits, updated_logits)

    def _simultaneous(self, real: Tensor) -> Report:
        """Both gradients at the same point: one forward pass, then both updates."""
        fake = self.generate(len(real))
        real_logits, fake_logits = self._logits(real, fake)
        discriminator_loss = self._discriminator_loss(real_logits, fake_logits)
        generator_loss = self.objective.generator_loss(fake_logits, real_logits.detach())
        for name, loss, retain in (("discriminator", discriminator_loss, True), ("generator", generator_loss, False)):
            self.optimizers[name].zero_grad()
            loss.backward(inputs=self.optimizers[name].parameters, retain_graph=retain)
        for optimizer in self.optimizers.values():
            optimizer.step()
        return Report(discriminator_loss, generator_loss, real_logits, fake_logits, fake_logits)

    def _judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        real_logits, fake_logits = self._logits(real, fake)
        return real_logits, fake_logits, self._discriminator_loss(real_logits, fake_logits)

    def _logits(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """C(real), C(fake): as one batch, unless batch norm would mix their statistics."""
        if self._mixes_batch:
            return self.discriminator(real), self.discriminator(fake)
        logits = self.discriminator(concatenate([real, fake]))
        return logits[: len(real)], logits[len(real) :]

    def _discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return self.objective.discriminator_loss(real_logits, fake_logits, real_target=self.config.real_target)

    def _update(self, player: str, loss: Tensor) -> None:
        """One optimizer step on one player; the other's gradients are not even computed."""
        optimizer = self.optimizers[player]
        optimizer.zero_grad()
        loss.backward(inputs=optimizer.parameters)
        optimizer.step()

    # -------------------------------------------------------------- sampling

    def latents(self, count: int, rng: Generator | None = None) -> Tensor:
        """(count, latent_size) numbers from N(0, 1)."""
        rng = rng or self.streams["latents"]
        return Tensor(rng.normal((count, self.config.latent_size)), self.backend)

    def generate(self, count: int) -> Tensor:
        """Fakes in the generator's current mode, part of the graph."""
        return self.generator(self.latents(count))

    def sample(self, latents: Tensor) -> Tensor:
        """Images in [-1, 1] for given latents, by the running statistics, without a graph."""
        self.generator.eval()
        try:
            with no_grad():
                return self.generator(latents)
        finally:
            self.generator.train()

    def fixed_latents(self, count: int) -> Tensor:
        """The same latents whenever they are asked for: what pictures of a run show."""
        return self.latents(count, Generator(self.config.seed, self.backend, stream=FIXED))

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
