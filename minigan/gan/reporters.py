"""What listens to a training run: progress bar, metrics.csv, scores, pictures, checkpoints."""

from __future__ import annotations

import csv
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from .. import images
from ..data import Points
from ..files import replacing
from .evaluate import Evaluator
from .run import Run, numbered
from .sampling import picture
from .trainer import Reporter, Trainer

FIRST_COLUMNS = ["step", "images", "seconds"]  # of metrics.csv
ROWS, POINTS = 8, 2000  # rows of images, or points, in the pictures of a run


class Progress(Reporter):
    """A progress bar: losses, D(x), D(G(z)) before and after the discriminator's step, images a second, time left.

    C(x), C(G(z)) where the discriminator gives no probability.
    """

    def start(self, trainer: Trainer) -> None:
        self.bar = tqdm(
            total=trainer.config.steps, initial=trainer.step, unit="step", dynamic_ncols=True, mininterval=0.5
        )
        self.started, self.first = time.perf_counter(), trainer.step

    def after_step(self, trainer: Trainer, report: Any) -> None:
        self.bar.update(trainer.step - self.bar.n)

    def log(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        rate = (trainer.step - self.first) * trainer.config.images_per_step / (time.perf_counter() - self.started)
        c = _discriminator(trainer)
        self.bar.set_postfix_str(
            f"D {numbers['d_loss']:.2f} G {numbers['g_loss']:.2f} {c}(x) {numbers['d_real']:.2f} "
            f"{c}(G(z)) {numbers['d_fake_before']:.2f}/{numbers['d_fake_after']:.2f} {rate:.0f} images/s",
            refresh=False,
        )

    def finish(self, trainer: Trainer) -> None:
        self.bar.close()


def _discriminator(trainer: Trainer) -> str:
    """What the discriminator's means are means of: D, a probability, or C, its output as it is."""
    return "D" if trainer.algorithm.objective.probability else "C"


class Metrics(Reporter):
    """metrics.csv: a row every config.log_every steps. A resumed run drops the rows that it will write again."""

    def __init__(self, path: Path):
        self.path = path

    def start(self, trainer: Trainer) -> None:
        before = 0.0
        if self.path.exists():
            lines = self.path.read_text().splitlines(keepends=True)
            whole = [line.split(",") for line in lines if line.endswith("\n")]  # a killed run may leave half a line
            if whole and (whole[0][:3] != FIRST_COLUMNS or not all(_is_row(row, whole[0]) for row in whole[1:])):
                columns = ",".join(FIRST_COLUMNS)
                raise ValueError(
                    f"{self.path} was changed: expected the columns {columns} first, and below a number in every column"
                )
            kept = [row for row in whole[1:] if int(row[0]) <= trainer.step]
            with replacing(self.path) as file:
                file.write("".join(",".join(row) for row in [*whole[:1], *kept]).encode())
            before = float(kept[-1][2]) if kept else 0.0
        self.started = time.perf_counter() - before

    def log(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        seen, seconds = trainer.step * trainer.config.images_per_step, time.perf_counter() - self.started
        header = ",".join([*FIRST_COLUMNS, *numbers]) + "\n"
        row = ",".join([f"{trainer.step},{seen},{seconds:.3f}", *[f"{v:.6g}" for v in numbers.values()]]) + "\n"
        try:
            with self.path.open("a") as file:
                file.write(row if size else header + row)
        except OSError as error:
            os.truncate(self.path, size)  # no half of a row stays
            error.filename = str(self.path)
            raise


def _is_row(row: list[str], header: list[str]) -> bool:
    """Whether a row of metrics.csv has a step and as many numbers as there are columns."""
    try:
        return len([float(number) for number in row]) == len(header) and row[0].isdecimal()
    except ValueError:
        return False


class Evaluation(Reporter):
    """Scores in metrics.csv at the first logged step of every config.evaluate_every steps, and at the end.

    Stands before Metrics among the reporters: it adds its columns to the numbers of a row, nan where none are due.
    """

    def __init__(self, judge: Evaluator):
        self.judge = judge

    def start(self, trainer: Trainer) -> None:
        logged = trainer.step - trainer.step % trainer.config.log_every
        self.done = logged // trainer.config.evaluate_every

    def log(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        numbers.update({column(name): float("nan") for name in self.judge.names})
        due = trainer.step // trainer.config.evaluate_every
        if due > self.done or trainer.step == trainer.config.steps:
            self.done = due
            scores = self.judge.scores(self.judge.fakes(trainer.algorithm))
            numbers.update({column(score.name): score.value for score in scores})


def column(name: str) -> str:
    """A score's column in metrics.csv: "NDB/K" -> "ndb_k"."""
    return re.sub(r"\W+", "_", name.lower())


class Pictures(Reporter):
    """samples/: the fakes of fixed latents every config.sample_every steps; progress.gif shows them all in the end.

    A conditional model draws one class a column.
    """

    def __init__(self, run: Run):
        self.run = run

    def start(self, trainer: Trainer) -> None:
        for path in later(self.run.samples.glob("step_*.png"), trainer.step):
            path.unlink()
        if trainer.step == 0:
            self.draw(trainer)

    def after_step(self, trainer: Trainer, report: Any) -> None:
        if trainer.step % trainer.config.sample_every == 0 or trainer.step == trainer.config.steps:
            self.draw(trainer)

    def draw(self, trainer: Trainer) -> None:
        trainer.check_parameters()
        algorithm = trainer.algorithm
        columns = trainer.config.classes or ROWS
        count = POINTS if isinstance(trainer.dataset, Points) else ROWS * columns
        fakes = algorithm.sample(algorithm.fixed_latents(count)).numpy()
        images.save_png(picture(trainer.config, fakes, columns), self.run.samples / f"step_{trainer.step:08d}.png")

    def finish(self, trainer: Trainer) -> None:
        frames = [_read(path) for _, path in numbered(self.run.samples.glob("step_*.png"))]
        if frames:  # the user may have thrown them away
            images.save_gif(frames, self.run.gif_path)


def _read(path: Path) -> Image.Image:
    with Image.open(path) as picture:  # a long run has more pictures than a process may have open files
        return picture.copy()


class Checkpoints(Reporter):
    """checkpoints/: the whole state every config.checkpoint_every steps and at the end, never one that diverged.

    A run that goes on from an earlier step drops the later ones, so that the next --resume does not start from them,
    and only then writes its configuration: all other reporters have started.
    """

    def __init__(self, run: Run):
        self.run = run

    def start(self, trainer: Trainer) -> None:
        dropped = later(self.run.checkpoint_paths(), trainer.step)
        if dropped:
            names = ", ".join(path.stem for path in dropped)
            tqdm.write(f"back to step {trainer.step}: later samples and checkpoints are removed ({names})")
        for path in dropped:
            path.unlink()
        self.run.save_config(trainer.config)

    def after_step(self, trainer: Trainer, report: Any) -> None:
        if trainer.step % trainer.config.checkpoint_every == 0:
            self.save(trainer)

    def finish(self, trainer: Trainer) -> None:
        if not trainer.failed and not self.run.checkpoint_path(trainer.step).exists():
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        trainer.check_parameters()
        checksum, remembered = trainer.dataset.checksum, trainer.reporter_states()
        self.run.save_checkpoint(trainer.step, trainer.config, trainer.algorithm, checksum, remembered)


def later(paths: Iterable[Path], step: int) -> list[Path]:
    """Those files step_N that are of a later step."""
    return [path for number, path in numbered(paths) if number > step]


class LossPlot(Reporter):
    """losses.png from metrics.csv, when matplotlib is installed."""

    def __init__(self, run: Run):
        self.run = run

    def finish(self, trainer: Trainer) -> None:
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return
        if not self.run.metrics_path.exists():
            return
        with self.run.metrics_path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        steps, c = [int(row["step"]) for row in rows], _discriminator(trainer)
        figure = Figure(figsize=(8, 5), layout="constrained")
        losses, outputs = figure.subplots(2, 1, sharex=True)
        loss_curves = {"d_loss": "discriminator", "g_loss": "generator"}
        output_curves = {"d_real": f"{c}(x)", "d_fake_before": f"{c}(G(z)) before", "d_fake_after": f"{c}(G(z)) after"}
        for axes, curves, label in ((losses, loss_curves, "loss"), (outputs, output_curves, f"mean {c}")):
            for key, name in curves.items():
                axes.plot(steps, [float(row[key]) for row in rows], label=name, linewidth=1)
            axes.set_ylabel(label)
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(curves), frameon=False)  # above the curves
        outputs.set_xlabel("step")
        with replacing(self.run.directory / "losses.png") as file:
            figure.savefig(file, format="png", dpi=110)
