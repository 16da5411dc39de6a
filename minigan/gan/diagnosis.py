"""What goes wrong while a GAN trains: a reporter that says what it saw, what that means and what to try."""

from __future__ import annotations

import math
import re
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm import tqdm

from ..autograd import Tensor, grad
from ..files import replacing
from ..metrics.features import digit_features
from ..metrics.neighbours import squared_distances
from ..rng import Generator
from .algorithm import GAN, Report
from .trainer import Reporter, Trainer

STREAM = 102  # random stream of the latents whose fakes are watched
SAMPLES = 64  # new ones at every logged step
WINDOW = 10  # logged steps in a row that must agree
WARM_UP = 500  # steps before anything is asked of the fakes that fresh weights cannot give

# The logit of a discriminator that cannot tell real from fake, where that is not 0.
UNDECIDED = {"least_squares": 0.5}


@dataclass(frozen=True)
class Observation:
    """What is read at a logged step. Spreads and distances are in units of the real samples' spread."""

    step: int
    loss: float  # the discriminator's without penalties, divided by an undecided discriminator's (nan where that is 0)
    gap: float  # mean C(x) - mean C(G(z)), in standard deviations of all these logits
    push: float  # d loss / dC(G(z)) - d loss / dC(x) of the discriminator: positive where a step widens the gap
    pull: float  # mean |d loss / dC(G(z))| of the generator, over the same before an undecided discriminator
    gradient: float  # root mean square of the generator's gradient
    usual_gradient: float  # its median so far, or that of the first step if greater
    spread: float  # root mean square distance of the fakes from their mean
    best_spread: float  # the greatest so far
    mean: np.ndarray  # of the fakes, flat
    modes: np.ndarray  # how many fakes each class or mode has; empty where none are known


@dataclass(frozen=True)
class Finding:
    """A fault: how it is seen (in words, or None when it is not), what it means, and what to try."""

    name: str
    see: Callable[[Sequence[Observation]], str | None]
    meaning: str
    advice: str


def _saturated(window: Sequence[Observation]) -> str | None:
    if not all(o.loss < 0.02 for o in window):
        return None
    return f"the discriminator's loss is {100 * window[-1].loss:.2g} % of what guessing costs"


def _vanished(window: Sequence[Observation]) -> str | None:
    now = window[-1]
    if all(o.pull < 0.01 for o in window):
        return f"a fake's logit moves the generator's loss {now.pull:.1e} times as much as an undecided one's would"
    if all(o.gradient < 1e-3 * o.usual_gradient for o in window):
        return f"the generator's gradient is {now.gradient:.1e} a weight, {now.usual_gradient:.1e} was usual before"
    return None


def _collapsed(window: Sequence[Observation]) -> str | None:
    now = window[-1]
    expected = 1.0 if window[0].step >= WARM_UP else min(now.best_spread, 1.0)
    if all(o.spread < 0.1 * expected for o in window):
        return (
            f"the fakes of {SAMPLES} latents are spread {now.spread:.2g} times as far as real samples, "
            f"{now.best_spread:.2g} times at best so far"
        )
    missing = np.flatnonzero(sum(o.modes for o in window) == 0)
    if window[0].step >= WARM_UP and len(missing):
        return (
            f"none of {len(window) * SAMPLES:,} fakes is of {', '.join(map(str, missing))}: "
            f"{len(missing)} of {len(now.modes)} classes are missing"
        )
    return None


def _oscillating(window: Sequence[Observation]) -> str | None:
    if window[0].step < WARM_UP:  # fresh weights swing, and find their way
        return None
    means = np.stack([o.mean for o in window])
    path = np.linalg.norm(np.diff(means, axis=0), axis=1).sum()
    reach = np.linalg.norm(means[:, None] - means[None], axis=2).max()
    if reach < 1.0 or path < 3.5 * reach:
        return None
    return (
        f"since step {window[0].step:,} the mean of the fakes has gone to and fro over {reach:.2g} times the spread "
        f"of real samples, {path:.2g} times in all"
    )


def _reversed(window: Sequence[Observation]) -> str | None:
    if not all(o.gap < 0 and o.push < 0 for o in window):
        return None
    return (
        f"since step {window[0].step:,} fakes get higher logits than real samples, now by {-window[-1].gap:.2g} "
        "standard deviations, and the discriminator's loss falls when they get still higher ones"
    )


FINDINGS = (
    Finding(
        "discriminator saturated",
        _saturated,
        "the discriminator tells every fake from every real sample, and has no more to teach the generator",
        "a lower --lr-discriminator or higher --lr-generator, --real-target 0.9, --penalty r1, --instance-noise 0.1, "
        "--dropout 0.3, --objective wasserstein with --penalty wgan_gp",
    ),
    Finding(
        "generator's gradient vanished",
        _vanished,
        "the generator is no longer told how to improve: minimax starves it when the discriminator wins, and outputs "
        "driven far into tanh or sigmoid pass nothing on",
        "--objective non_saturating, hinge or wasserstein instead of minimax, lower learning rates, --penalty r1",
    ),
    Finding(
        "collapse",
        _collapsed,
        "the generator draws but a part of the data, in the end the same whatever the latents: it follows the "
        "discriminator from one weakness to the next instead of covering them",
        "--packing 2, --penalty r1, lower learning rates, a larger --batch-size, --spectral-norm, another --seed or "
        "--preset (dense pairs collapse easily)",
    ),
    Finding(
        "oscillation",
        _oscillating,
        "the players chase each other in a circle, and neither gets nearer to the data",
        "lower learning rates, --beta1 0, --penalty r1, --update alternating, --ema 0.999",
    ),
    Finding(
        "critic's sign reversed",
        _reversed,
        "the discriminator is trained to rate fakes above real samples, and the generator to undo it",
        "in an objective of your own, the other sign: a critic minimises mean C(G(z)) - mean C(x), the generator "
        "-mean C(G(z)); minigan's own is --objective wasserstein",
    ),
)


class Diagnosis(Reporter):
    """Tells each finding once: on stderr, and in a file, from which a resumed run drops what it has yet to come to.

    Reads the device at the first step, and at logged steps, when the training loop has waited for it anyway; takes
    nothing from the run's own random streams: a run with a diagnosis computes the same bits as one without.
    """

    def __init__(self, path: Path | None = None):
        self.path = path
        self.messages: list[str] = []

    def start(self, trainer: Trainer) -> None:
        algorithm = trainer.algorithm
        self.window: deque[Observation] = deque(maxlen=WINDOW)
        self.gradients: list[float] = []
        self.best_spread = 0.0
        self.told = self.told_before(trainer.step)
        self.rng = Generator(algorithm.config.seed, algorithm.backend, STREAM)
        self.modes = _mode_counter(trainer)
        logit = UNDECIDED.get(algorithm.config.objective, 0.0)
        logits = Tensor(algorithm.backend.xp.full((2, 1), logit, "float32"), algorithm.backend)
        self.undecided_loss, _, self.undecided_pull = _slopes(algorithm, logits, logits, logits)
        batches = -(-SAMPLES // trainer.config.images_per_step)
        real = np.concatenate([trainer.batch(step).images.numpy() for step in range(batches)])
        self.unit = _spread(real.reshape(len(real), -1))

    def state_dict(self) -> dict[str, Any]:
        window = {f.name: np.array([getattr(o, f.name) for o in self.window]) for f in fields(Observation)}
        return {
            "gradients": np.array(self.gradients),
            "best_spread": self.best_spread,
            "window": window,
            "random": self.rng.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        window = state["window"]
        rows = zip(*window.values(), strict=True)
        self.window.extend(Observation(**dict(zip(window, row, strict=True))) for row in rows)
        self.gradients, self.best_spread = state["gradients"].tolist(), state["best_spread"]
        self.rng.load_state_dict(state["random"])

    def after_step(self, trainer: Trainer, report: Report) -> None:
        first = not self.gradients  # a minimax generator may be starved before the first logged step
        if trainer.step % trainer.config.log_every and not first:
            return
        self.gradients.append(_root_mean_square_gradient(trainer.algorithm))
        if first:
            return
        self.window.append(self.observe(trainer, report))
        if len(self.window) == WINDOW:
            for finding in FINDINGS:
                seen = None if finding.name in self.told else finding.see(tuple(self.window))
                if seen:
                    self.told.add(finding.name)
                    self.tell(f"step {trainer.step:,}: {finding.name}", seen, finding)

    def observe(self, trainer: Trainer, report: Report) -> Observation:
        algorithm = trainer.algorithm
        real, fake = report.real_logits, report.fake_logits
        loss, push, pull = _slopes(algorithm, real, fake, report.updated_fake_logits)
        gap = real.numpy().mean() - fake.numpy().mean()
        deviation = np.concatenate([real.numpy(), fake.numpy()]).std()
        fakes = algorithm.sample(algorithm.latents(SAMPLES, self.rng)).numpy()
        points = fakes.reshape(len(fakes), -1) / self.unit
        spread = _spread(points)
        self.best_spread = max(self.best_spread, spread)
        return Observation(
            step=trainer.step,
            loss=loss / self.undecided_loss if self.undecided_loss else math.nan,
            gap=float(gap / max(deviation, 1e-30)),
            push=push,
            pull=pull / self.undecided_pull,
            gradient=self.gradients[-1],
            usual_gradient=max(self.gradients[0], median(self.gradients)),
            spread=spread,
            best_spread=self.best_spread,
            mean=points.mean(axis=0),
            modes=self.modes(fakes),
        )

    def told_before(self, step: int) -> set[str]:
        """The names of the findings that the file has of steps up to this one; later ones are dropped from it."""
        if not self.path or not self.path.exists():
            return set()
        text, told = self.path.read_text(encoding="utf-8", errors="replace"), set()

        def kept(finding: re.Match[str]) -> str:
            if int(finding[1].replace(",", "")) > step:
                return ""
            told.add(finding[2])
            return finding[0]

        trimmed = re.sub(r"^step (\d[\d,]*): (.*)\n(?:  .*\n)*", kept, text, flags=re.MULTILINE)
        if trimmed != text:
            with replacing(self.path) as file:
                file.write(trimmed.encode())
        return told

    def tell(self, title: str, seen: str, finding: Finding) -> None:
        message = f"{title}\n  seen:  {seen}\n  means: {finding.meaning}\n  try:   {finding.advice}"
        self.messages.append(message)
        tqdm.write(message, file=sys.stderr)
        if self.path:
            with self.path.open("a") as file:
                file.write(message + "\n")


def _slopes(algorithm: GAN, real: Tensor, fake: Tensor, updated_fake: Tensor) -> tuple[float, float, float]:
    """The discriminator's loss, its slope against the gap between real and fake logits, and the generator's slope."""
    objective = algorithm.objective
    real, fake, updated_fake = (Tensor(t.data, t.backend, requires_grad=True) for t in (real, fake, updated_fake))
    loss = objective.discriminator_loss(real, fake)
    by_real, by_fake = (slope.numpy().sum() for slope in grad(loss, (real, fake)))
    (by_updated,) = grad(objective.generator_loss(updated_fake, real.detach()), (updated_fake,))
    return loss.item(), float(by_fake - by_real), float(np.abs(by_updated.numpy()).sum())


def _mode_counter(trainer: Trainer) -> Callable[[np.ndarray], np.ndarray]:
    """How many of some samples are in each class of MNIST or mode of a mixture; an empty array for other data."""
    if trainer.config.data == "mnist" and trainer.dataset.shape == (1, 28, 28):
        backend = trainer.algorithm.backend
        return lambda images: _counts(digit_features(images, backend).probabilities, classes=10)
    centres = getattr(trainer.dataset, "centres", None)
    if centres is not None:
        return lambda points: _counts(-squared_distances(points, centres), classes=len(centres))
    return lambda samples: np.empty(0, int)


def _counts(likeness: np.ndarray, classes: int) -> np.ndarray:
    """How many rows are most like each class: (N, classes) -> (classes,)."""
    return np.bincount(likeness.argmax(axis=1), minlength=classes)


def _spread(points: np.ndarray) -> float:
    """Root mean square distance from the mean: (N, d) -> a number."""
    return math.sqrt(points.var(axis=0).sum())


def _root_mean_square_gradient(algorithm: GAN) -> float:
    """Of all weights of the generator, from the gradients that its last update used."""
    gradients = [p.grad.data for p in algorithm.optimizers["generator"].parameters if p.grad is not None]
    squares = sum((g * g).sum() for g in gradients)
    return math.sqrt(float(squares) / sum(g.size for g in gradients))
