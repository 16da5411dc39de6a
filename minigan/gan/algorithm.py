"""The GAN's training algorithm."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .. import nn, optim
from ..autograd import Tensor, no_grad
from ..backend import Backend, get_backend
from ..rng import Generator
from . import objectives, penalties, presets
from .base import Algorithm, Losses, new_streams
from .batch import Batch
from .config import Config
from .contradictions import ConfigWarning, contradictions, mixes_batch
from .report import Report, Verdict, logits

FIXED = 100  # stream of the latents that every picture of a run shows


class GAN(Algorithm):
    """Generator against discriminator (Goodfellow et al. 2014, algorithm 1)."""

    recorder: Callable[..., Any] | None = None  # turns a number that changes from step to step into a device array

    def __init__(self, config: Config, device: str | Backend = "cpu"):
        backend, preset = get_backend(device), presets.get(config.preset)
        streams = new_streams(config.seed, backend)
        modules = preset.players(config, streams)
        if config.ema:  # the same build from the same streams: the generator's first weights
            again = preset.players(config, new_streams(config.seed, backend))
            modules["average"] = again["generator"].requires_grad_(False)
        rates = {"generator": config.lr_generator, "discriminator": config.lr_discriminator}
        super().__init__(config, backend, modules, rates, streams)
        self.generator, self.discriminator = modules["generator"], modules["discriminator"]
        self.objective = objectives.get(config.objective)
        self._mixes_batch = mixes_batch(self.discriminator)
        for message in contradictions(config, self.discriminator):
            warnings.warn(message, ConfigWarning, stacklevel=2)

    # -------------------------------------------------------------- one step

    def step(self, batch: Batch) -> Report:
        """Updates of the discriminator, each on its part of the batch, then one of the generator."""
        self.backend.kernels.expect(self.convolutional)
        self.set_learning_rates(self.steps_done)
        if self.config.update == "simultaneous":
            return self._simultaneous(batch)
        *earlier, last = batch.split(self.config.discriminator_steps)
        for real in earlier:
            self._discriminator_step(real, self._constant_fakes(real))
        fake = self._constant_fakes(last) if self.config.fresh_latents else self.fakes(last)
        before, discriminator_losses = self._discriminator_step(last, fake)
        if self.config.fresh_latents:
            fake = self.fakes(last)
        after, generator_losses = self._generator_step(fake, before)
        return _report(discriminator_losses, generator_losses, before, after)

    def _discriminator_step(self, real: Batch, fake: Batch) -> tuple[Verdict, Losses]:
        verdict = self.judge(real, fake.detach())
        losses = self.discriminator_losses(verdict)
        self.update("discriminator", losses)
        return verdict, losses

    def _generator_step(self, fake: Batch, before: Verdict) -> tuple[Verdict, Losses]:
        fake, real_outputs = self._shown(fake), before.real_outputs.detach()
        if self.objective.relative:  # both of one discriminator, the updated one
            with no_grad():
                real_outputs = self.outputs(before.real)
        verdict = Verdict(before.real, fake, real_outputs, self.outputs(fake))
        losses = self.generator_losses(verdict)
        self.update("generator", losses)
        return verdict, losses

    def _simultaneous(self, batch: Batch) -> Report:
        """Both gradients at the same point: one forward pass, then both updates."""
        verdict = self.judge(batch, self.fakes(batch))
        discriminator_losses, generator_losses = self.discriminator_losses(verdict), self.generator_losses(verdict)
        self.differentiate("discriminator", discriminator_losses, retain_graph=True)
        self.differentiate("generator", generator_losses)
        self.advance("discriminator")
        self.advance("generator")
        return _report(discriminator_losses, generator_losses, verdict, verdict)

    @property
    def steps_done(self) -> int:
        return self.optimizers["generator"].steps

    # ---------------------------------------------------- what is minimised

    def judge(self, real: Batch, fake: Batch) -> Verdict:
        """C(real), C(fake): as one batch, unless batch norm would mix their statistics."""
        real, fake = self._shown(real), self._shown(fake)
        if self._mixes_batch:
            return Verdict(real, fake, self.outputs(real), self.outputs(fake))
        outputs = self.outputs(real.followed_by(fake))
        return Verdict(real, fake, outputs[: len(real)], outputs[len(real) :])

    def outputs(self, batch: Batch) -> Tensor:
        """What the discriminator says of samples as they were shown to it."""
        return _apply(self.discriminator, batch.images, batch.labels)

    def _shown(self, batch: Batch) -> Batch:
        """A batch as the discriminator sees it: with instance noise (Sonderby et al. 2017), and packed (PacGAN)."""
        c, images = self.config, batch.images
        if c.instance_noise:
            std = self._changing(
                lambda done: c.instance_noise * max(1 - done / c.steps, 0.0), self.steps_done, images.dtype
            )
            images = images + Tensor(std * self.streams["noise"].normal(images.shape), self.backend)
        return Batch(images, batch.labels).packed(c.packing)

    def discriminator_losses(self, verdict: Verdict) -> Losses:
        """The terms that the discriminator minimises."""
        c, real_logits, fake_logits = self.config, verdict.real_logits, verdict.fake_logits
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

    def generator_losses(self, verdict: Verdict) -> Losses:
        """The terms that the generator minimises."""
        loss = self.objective.generator_loss(verdict.fake_logits, verdict.real_logits)
        return {"g_loss": loss} | self._regularisation("generator")

    def _regularisation(self, player: str) -> Losses:
        """l1 sum |w| + l2 sum w^2 over the player's weights (not its biases and scales), if they are asked for."""
        c = self.config
        if not (c.l1 or c.l2) or c.regularised not in ("both", player):
            return {}
        weights = [p for p in self.optimizers[player].parameters if p.ndim > 1]
        terms = [factor * norm(weights) for factor, norm in ((c.l1, penalties.l1), (c.l2, penalties.l2)) if factor]
        return {f"{player[0]}_regularisation": penalties.total(terms)}

    def advance(self, name: str) -> None:
        """The optimizer's step; then the bound on the critic's weights, or the generator's average."""
        super().advance(name)
        if name == "discriminator" and self.config.weight_clip:
            optim.clip_weights(self.optimizers[name].parameters, self.config.weight_clip)
        if name == "generator" and self.config.ema:
            ema = self.config.ema
            rate = self._changing(lambda done: optim.averaging_rate(ema, done), self.steps_done - 1)
            optim.update_average(self.modules["average"], self.generator, rate)

    def _changing(self, number: Callable[[int], float], done: int, dtype: Any = "float64") -> Any:
        """number(done), `done` being the steps before this one; while a step is recorded, a device array of it."""
        return self.recorder(number, dtype) if self.recorder else number(done)

    # -------------------------------------------------------------- sampling

    def latents(self, count: int, rng: Generator | None = None) -> Tensor:
        """(count, latent_size) numbers from N(0, 1)."""
        rng = rng or self.streams["latents"]
        return Tensor(rng.normal((count, self.config.latent_size)), self.backend)

    def fixed_latents(self, count: int) -> Tensor:
        """The same latents whenever they are asked for: what pictures of a run show."""
        return self.latents(count, Generator(self.config.seed, self.backend, stream=FIXED))

    def labels_in_turn(self, count: int) -> Tensor:
        """0, 1, ..., classes - 1, 0, 1, ... (count,)."""
        return Tensor(self.backend.xp.arange(count) % self.config.classes, self.backend)

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


def _apply(module: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
    """module(x), or module(x, labels) of a conditional model."""
    return module(x) if labels is None else module(x, labels)


def _report(discriminator: Losses, generator: Losses, before: Verdict, after: Verdict) -> Report:
    return Report({**discriminator, **generator}, before.real_logits, before.fake_logits, after.fake_logits)
