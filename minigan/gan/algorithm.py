"""The GAN's training algorithm: named modules, named optimizers, named random streams, and `step(batch)`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from .. import nn, optim
from ..autograd import Tensor, no_grad
from ..backend import Backend, get_backend
from ..optim import schedules
from ..rng import Generator
from . import objectives, penalties, presets
from .batch import Batch
from .config import Config
from .contradictions import ConfigWarning, contradictions, mixes_batch

STREAMS = ("init", "latents", "dropout", "noise", "penalty")  # a stream's number is its place: never reorder
FIXED = 100  # stream of the latents that every picture of a run shows

Losses = dict[str, Tensor]  # the terms of a player's loss, by name; the sum is minimised


@dataclass
class Verdict:
    """What the discriminator was shown, and its outputs (N, 1): logits, behind which an AC-GAN has the classes'."""

    real: Batch
    fake: Batch
    real_outputs: Tensor
    fake_outputs: Tensor

    @property
    def real_logits(self) -> Tensor:
        return logits(self.real_outputs)

    @property
    def fake_logits(self) -> Tensor:
        return logits(self.fake_outputs)


def logits(outputs: Tensor) -> Tensor:
    """The first of a discriminator's outputs (N, 1)."""
    return outputs if outputs.shape[1] == 1 else outputs[:, :1]


@dataclass
class Report:
    """What one step computed, left on the device: reading a number waits for it."""

    losses: Losses  # "d_loss" and "g_loss" by the objective, and what was added to them
    real_logits: Tensor
    fake_logits: Tensor  # of the fakes before the discriminator's step
    updated_fake_logits: Tensor  # of the generator's fakes, after it

    @property
    def discriminator_loss(self) -> Tensor:
        return self.losses["d_loss"]

    @property
    def generator_loss(self) -> Tensor:
        return self.losses["g_loss"]

    def numbers(self) -> dict[str, float]:
        """The losses, and the mean D(x), D(G(z)) before and after the discriminator's step."""
        return {
            **{name: loss.item() for name, loss in self.losses.items()},
            "d_real": self.real_logits.sigmoid().mean().item(),
            "d_fake_before": self.fake_logits.sigmoid().mean().item(),
            "d_fake_after": self.updated_fake_logits.sigmoid().mean().item(),
        }


class GAN:
    """Generator against discriminator (Goodfellow et al. 2014, algorithm 1)."""

    def __init__(self, config: Config, device: str | Backend = "cpu"):
        self.config = config
        self.backend = get_backend(device)
        self.streams = self._new_streams()
        self.objective = objectives.get(config.objective)
        preset = presets.get(config.preset)
        self.modules = preset.players(config, self.streams)
        self.generator, self.discriminator = self.modules["generator"], self.modules["discriminator"]
        if config.ema:  # the same build from the same streams: the generator's first weights
            self.modules["average"] = preset.players(config, self._new_streams())["generator"].requires_grad_(False)
        for name, module in self.modules.items():
            module._name = name
            module.to(self.backend)
            for path, parameter in module.named_parameters():
                parameter.name = f"{name}.{path}"
        self.optimizers = {
            "generator": self._optimizer(self.generator, config.lr_generator),
            "discriminator": self._optimizer(self.discriminator, config.lr_discriminator),
        }
        self._mixes_batch = mixes_batch(self.discriminator)
        for message in contradictions(config, self.discriminator):
            warnings.warn(message, ConfigWarning, stacklevel=2)

    def _new_streams(self) -> dict[str, Generator]:
        host = get_backend("cpu")  # weights are drawn there: every device starts from the same ones
        return {
            name: Generator(self.config.seed, host if name == "init" else self.backend, stream=number)
            for number, name in enumerate(STREAMS)
        }

    def _optimizer(self, player: nn.Module, lr: float) -> optim.Optimizer:
        c = self.config
        if c.optimizer == "sgd":
            return optim.SGD(player.parameters(), lr, c.momentum)
        if c.optimizer == "rmsprop":
            return optim.RMSprop(player.parameters(), lr)
        return optim.Adam(player.parameters(), lr, (c.beta1, c.beta2), c.adam_eps)

    # -------------------------------------------------------------- one step

    def step(self, batch: Batch) -> Report:
        """Updates of the discriminator, each on its part of the batch, then one of the generator."""
        config = self.config
        self._set_learning_rates()
        if config.update == "simultaneous":
            return self._simultaneous(batch)
        *earlier, last = batch.split(config.discriminator_steps)
        for real in earlier:
            self._update("discriminator", self.discriminator_loss(self.judge(real, self._constant_fakes(real))))
        fake = self._constant_fakes(last) if config.fresh_latents else self.fakes(last)
        verdict = self.judge(last, Batch(fake.images.detach(), fake.labels))
        discriminator_loss = self.discriminator_loss(verdict)
        self._update("discriminator", discriminator_loss)
        if config.fresh_latents:
            fake = self.fakes(last)
        shown = self._shown(fake)
        updated = Verdict(verdict.real, shown, verdict.real_outputs.detach(), self.outputs(shown))
        generator_loss = self.generator_loss(updated)
        self._update("generator", generator_loss)
        return self._report(discriminator_loss, generator_loss, verdict, updated)

    def _simultaneous(self, batch: Batch) -> Report:
        """Both gradients at the same point: one forward pass, then both updates."""
        verdict = self.judge(batch, self.fakes(batch))
        discriminator_loss, generator_loss = self.discriminator_loss(verdict), self.generator_loss(verdict)
        self._differentiate("discriminator", discriminator_loss, retain_graph=True)
        self._differentiate("generator", generator_loss)
        self._advance("discriminator")
        self._advance("generator")
        return self._report(discriminator_loss, generator_loss, verdict, verdict)

    def judge(self, real: Batch, fake: Batch) -> Verdict:
        """C(real), C(fake): as one batch, unless batch norm would mix their statistics."""
        real, fake = self._shown(real), self._shown(fake)
        if self._mixes_batch:
            return Verdict(real, fake, self.outputs(real), self.outputs(fake))
        outputs = self.outputs(real.followed_by(fake))
        return Verdict(real, fake, outputs[: len(real)], outputs[len(real) :])

    def discriminator_loss(self, verdict: Verdict) -> Losses:
        """The terms that the discriminator minimises."""
        c = self.config
        real_logits, fake_logits = verdict.real_logits, verdict.fake_logits
        losses = {"d_loss": self.objective.discriminator_loss(real_logits, fake_logits, real_target=c.real_target)}
        if c.penalty != "none":
            penalty = penalties.get(c.penalty)(
                lambda images: logits(self.outputs(Batch(images, verdict.real.labels))),
                verdict.real.images,
                verdict.fake.images,
                rng=self.streams["penalty"],
            )
            losses["d_penalty"] = c.penalty_weight * penalty
        return losses | self._regularisation("discriminator")

    def generator_loss(self, verdict: Verdict) -> Losses:
        """The terms that the generator minimises."""
        loss = self.objective.generator_loss(verdict.fake_logits, verdict.real_logits)
        return {"g_loss": loss} | self._regularisation("generator")

    def _regularisation(self, player: str) -> Losses:
        """l1 sum |w| + l2 sum w^2 over the player's weights (not its biases and scales), if they are asked for."""
        c = self.config
        if not (c.l1 or c.l2) or c.regularised not in ("both", player):
            return {}
        weights = [p for p in self.optimizers[player].parameters if p.ndim > 1]
        return {f"{player[0]}_regularisation": c.l1 * penalties.l1(weights) + c.l2 * penalties.l2(weights)}

    def _shown(self, batch: Batch) -> Batch:
        """What the discriminator sees of a batch: with instance noise (Sonderby et al. 2017), and packed (PacGAN)."""
        images, c = batch.images, self.config
        if c.instance_noise:
            std = c.instance_noise * max(1 - self.optimizers["generator"].steps / c.steps, 0.0)
            images = images + Tensor(self.streams["noise"].normal(images.shape, std), self.backend)
        return Batch(images, batch.labels).packed(c.packing)

    def outputs(self, batch: Batch) -> Tensor:
        """What the discriminator says of samples as they were shown to it."""
        return _apply(self.discriminator, batch.images, batch.labels)

    def _update(self, player: str, losses: Losses) -> None:
        """One optimizer step on one player; the other's gradients are not even computed."""
        self._differentiate(player, losses)
        self._advance(player)

    def _differentiate(self, player: str, losses: Losses, retain_graph: bool = False) -> None:
        optimizer = self.optimizers[player]
        optimizer.zero_grad()
        loss, *others = losses.values()
        for other in others:
            loss = loss + other
        loss.backward(inputs=optimizer.parameters, retain_graph=retain_graph)

    def _advance(self, player: str) -> None:
        """The optimizer's step, between the bounds on gradients and on weights; then the generator's average."""
        c, optimizer = self.config, self.optimizers[player]
        if c.clip_value:
            optim.clip_gradient_value(optimizer.parameters, c.clip_value)
        if c.clip_norm:
            optim.clip_gradient_norm(optimizer.parameters, c.clip_norm)
        optimizer.step()
        if c.weight_clip and player == "discriminator":
            optim.clip_weights(optimizer.parameters, c.weight_clip)
        if c.ema and player == "generator":
            optim.update_average(self.modules["average"], self.generator, c.ema, optimizer.steps)

    def _set_learning_rates(self) -> None:
        c, done = self.config, self.optimizers["generator"].steps
        factor = schedules.ALL[c.lr_schedule](done, c.steps, decay=c.lr_decay, every=c.lr_decay_every)
        self.optimizers["generator"].lr = factor * c.lr_generator
        self.optimizers["discriminator"].lr = factor * c.lr_discriminator

    def _report(self, discriminator: Losses, generator: Losses, verdict: Verdict, updated: Verdict) -> Report:
        return Report({**discriminator, **generator}, verdict.real_logits, verdict.fake_logits, updated.fake_logits)

    # -------------------------------------------------------------- sampling

    def latents(self, count: int, rng: Generator | None = None) -> Tensor:
        """(count, latent_size) numbers from N(0, 1)."""
        rng = rng or self.streams["latents"]
        return Tensor(rng.normal((count, self.config.latent_size)), self.backend)

    def fakes(self, real: Batch) -> Batch:
        """As many fakes as there are real samples, with their labels, part of the graph."""
        return Batch(_apply(self.generator, self.latents(len(real)), real.labels), real.labels)

    def _constant_fakes(self, real: Batch) -> Batch:
        with no_grad():
            return self.fakes(real)

    def sample(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples for given latents without a graph, by the averaged generator where there is one.

        Batch norm goes by its running statistics. A conditional model draws its classes in turn without labels.
        """
        generator = self.modules.get("average", self.generator)
        if self.config.classes and labels is None:
            labels = self.labels_in_turn(len(latents))
        generator.eval()
        try:
            with no_grad():
                return _apply(generator, latents, labels)
        finally:
            generator.train()

    def labels_in_turn(self, count: int) -> Tensor:
        """0, 1, ..., classes - 1, 0, 1, ... (count,)."""
        return Tensor(self.backend.xp.arange(count) % self.config.classes, self.backend)

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


def _apply(module: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
    """module(x), or module(x, labels) of a conditional model."""
    return module(x) if labels is None else module(x, labels)
