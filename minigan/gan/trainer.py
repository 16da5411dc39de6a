"""The training loop: batches go in, the algorithm steps, reporters listen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from ..autograd import Tensor
from ..data import Dataset, Points
from ..memory import ExplainedMemory
from .algorithm import GAN
from .batch import Batch
from .captured import CapturedStep
from .config import Config
from .recorded import RecordedStep
from .report import Report


class Diverged(ArithmeticError):
    """A loss or a parameter is not finite: going on is useless."""


class Reporter:
    """Listens to a training run. Every method may be left out."""

    def start(self, trainer: Trainer) -> None:
        """Before the first step."""

    def after_step(self, trainer: Trainer, report: Report) -> None:
        """After every step; `trainer.step` steps are done."""

    def log(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        """Every config.log_every steps, with the numbers of the report."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know of the steps before: part of its checkpoints."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """After `start`, where training goes on from a checkpoint."""

    def finish(self, trainer: Trainer) -> None:
        """After the last step, also when training was stopped or failed (trainer.failed); the last reporter first."""


class Trainer:
    """Runs `algorithm` on `dataset` from `step` to config.steps.

    remembered: the `reporter_states` at that step. Where steps can be recorded (recorded.py), settings and networks are
    taken as they are in the first three.
    """

    def __init__(
        self,
        config: Config,
        algorithm: GAN,
        dataset: Dataset | Points,
        reporters: Sequence[Reporter] = (),
        step: int = 0,
        remembered: dict[str, dict[str, Any]] | None = None,
    ):
        self.config, self.algorithm, self.dataset, self.reporters = config, algorithm, dataset, reporters
        self.step, self.remembered = step, remembered or {}
        self._check_labels()
        try:
            self.batches = dataset.batches(config.images_per_step, config.seed, algorithm.backend.asarray)
        except MemoryError as error:
            raise MemoryError(
                f"the images of {config.data} do not fit on {algorithm.backend.device}: {error} "
                "Train on fewer of them, or with --device cpu"
            ) from None
        self._take_step = CapturedStep(algorithm) if config.cuda_graph else RecordedStep(algorithm)
        self._memory = ExplainedMemory(algorithm.backend, config.batch_size)
        self.stopping = False  # set (by a signal handler, say) to stop after the current step
        self.failed = False

    def run(self) -> None:
        """Train. Raises Diverged as soon as a loss that is read is not finite."""
        with ExitStack() as finishing:  # a reporter that fails does not keep the others from finishing
            for reporter in self.reporters:
                reporter.start(self)
                finishing.callback(reporter.finish, self)
                if type(reporter).__name__ in self.remembered:
                    reporter.load_state_dict(self.remembered[type(reporter).__name__])
            try:
                while self.step < self.config.steps and not self.stopping:
                    self._step()
            except BaseException:
                self.failed = True
                raise

    def reporter_states(self) -> dict[str, dict[str, Any]]:
        """Class of a reporter -> its state."""
        return {type(reporter).__name__: reporter.state_dict() for reporter in self.reporters}

    def _step(self) -> None:
        with self._memory:
            report = self._take_step(self.batch(self.step))
        self.step += 1
        if self.step % self.config.log_every == 0 or self.step == self.config.steps:
            numbers = report.numbers(self.algorithm.objective.probability)
            self._check(numbers)
            for reporter in self.reporters:
                reporter.log(self, numbers)
        for reporter in self.reporters:
            reporter.after_step(self, report)

    def batch(self, step: int) -> Batch:
        """The real samples of a step, float32 on the device, images in [-1, 1]; with labels for a conditional model."""
        backend = self.algorithm.backend
        samples, labels = self.batches(step)
        if samples.dtype == "uint8":
            samples = backend.kernels.scaled_bytes(samples)
        return Batch(Tensor(samples, backend), Tensor(labels, backend) if self.config.classes else None)

    def _check_labels(self) -> None:
        """A conditional model needs labels from 0 to classes - 1."""
        classes, labels = self.config.classes, self.dataset.labels
        if not classes:
            return
        if labels is None:
            raise ValueError(
                f"the preset {self.config.preset} learns from labels, and {self.config.data} has none: "
                "take another, such as --preset dcgan"
            )
        if labels.max() >= classes:
            raise ValueError(
                f"{self.config.data} has labels up to {labels.max()}: --classes must be at least "
                f"{labels.max() + 1}, got {classes}"
            )

    def _check(self, numbers: dict[str, float]) -> None:
        bad = [f"{name} = {value}" for name, value in numbers.items() if not math.isfinite(value)]
        if bad:
            self._diverged(", ".join(bad))

    def check_parameters(self) -> None:
        """Raise Diverged when a parameter is not finite."""
        for name, optimizer in self.algorithm.optimizers.items():
            if not bool(self.algorithm.backend.xp.isfinite(optimizer.flat).all()):
                self._diverged(f"parameters of the {name} are not finite")

    def _diverged(self, what: str) -> None:
        raise Diverged(
            f"training has diverged at step {self.step}: {what}. Checkpoints made before are kept. "
            "Start again with a lower --lr, another --objective or another --seed"
        )
