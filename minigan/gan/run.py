"""The directory of a run: config.json, metrics.csv, samples/, checkpoints/, progress.gif."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from .. import checkpoint
from ..backend import Backend
from ..files import locked, replacing
from .algorithm import GAN
from .algorithms import create
from .config import Config
from .contradictions import ConfigWarning


class Run:
    """A directory that holds one training run."""

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)

    @property
    def config_path(self) -> Path:
        return self.directory / "config.json"

    @property
    def metrics_path(self) -> Path:
        return self.directory / "metrics.csv"

    @property
    def samples(self) -> Path:
        return self.directory / "samples"

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    @property
    def gif_path(self) -> Path:
        return self.directory / "progress.gif"

    @classmethod
    def create(cls, directory: str | Path | None, config: Config) -> Run:
        """A new run: in `directory`, which must be new or empty, or (None) in the next number under runs/."""
        run = cls(_next_number(Path("runs")) if directory is None else directory)
        taken = ValueError(f"{run.directory} exists already: choose another --out, or add --resume to continue it")
        if run.directory.exists() and not run.directory.is_dir():
            raise taken
        run.directory.mkdir(parents=True, exist_ok=True)
        with run.claimed():
            if any(run.directory.iterdir()):
                raise taken
            run.save_config(config)  # on a full disk only an empty directory stays, which can be used again
            run.make_folders()
        return run

    @classmethod
    def open(cls, directory: str | Path) -> Run:
        """An existing run."""
        run = cls(directory)
        if not run.config_path.is_file():
            raise ValueError(f"{directory} is not a run: it has no config.json (minigan train makes one)")
        return run

    def make_folders(self) -> None:
        """Those for samples and checkpoints, where they are missing."""
        self.samples.mkdir(exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Inside, no other process can claim this directory (where the system has such locks)."""
        with ExitStack() as claim:
            try:
                claim.enter_context(locked(self.directory, wait=False))
            except BlockingIOError:
                raise ValueError(f"another process trains in {self.directory}: wait until it ends") from None
            yield

    def save_config(self, config: Config) -> None:
        with replacing(self.config_path) as file:
            file.write(config.to_json().encode())

    def config(self) -> Config:
        return Config.load(self.config_path)

    def checkpoint_path(self, step: int) -> Path:
        return self.checkpoints / f"step_{step:08d}.npz"

    def save_checkpoint(
        self, step: int, config: Config, algorithm: GAN, data: int, reporters: dict[str, dict[str, Any]]
    ) -> Path:
        """Both players, both optimizers, random streams, step, configuration, checksum of the data, and what reporters
        remember, in one file."""
        path, about = self.checkpoint_path(step), {"step": step, "config": vars(config), "data": data}
        checkpoint.save(path, {**about, "reporters": reporters, **algorithm.state_dict()})
        return path

    def checkpoint_paths(self) -> list[Path]:
        """From the first to the latest; none if the run was killed before its first."""
        return [path for _, path in numbered(self.checkpoints.glob("step_*.npz"))]

    def latest_checkpoint(self) -> Path:
        paths = self.checkpoint_paths()
        if not paths:
            raise ValueError(f"{self.directory} holds no checkpoint yet: train it with --out {self.directory} --resume")
        return paths[-1]

    def load(self, device: str | Backend = "cpu", path: str | Path | None = None) -> tuple[GAN, dict[str, Any]]:
        """The algorithm as a checkpoint (by default the latest) left it, and that checkpoint's state."""
        path = path or self.latest_checkpoint()
        state = checkpoint.load(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConfigWarning)  # was shown when the run began
                algorithm = create(Config.from_dict(state["config"], str(path)), device)
            algorithm.load_state_dict(state)
        except KeyError as error:
            raise ValueError(f"{path} is a checkpoint, but not one of a run: it has no {error}") from None
        return algorithm, state


def numbered(paths: Iterable[Path]) -> list[tuple[int, Path]]:
    """N and the files step_N, in order; a name with no number is not of the run's making."""
    numbers = {path: path.stem.removeprefix("step_") for path in paths}
    return sorted((int(number), path) for path, number in numbers.items() if number.isdecimal())


def _next_number(parent: Path) -> Path:
    """A new directory with the next number, which no other run can get."""
    parent.mkdir(exist_ok=True)
    number = max([int(path.name) for path in parent.glob("[0-9]*") if path.name.isdigit()], default=0)
    while True:
        number += 1
        with suppress(FileExistsError):
            (parent / f"{number:04d}").mkdir()
            return parent / f"{number:04d}"
