"""Everything that a run depends on, in one flat record: a `config.json` is enough to run it again."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def option(default: Any, help: str, *, choices: tuple[str, ...] = (), resumable: bool = False) -> Any:
    """A field of the configuration and an option of the command line.

    resumable: a resumed run may change it (its bits do not depend on it).
    """
    return field(default=default, metadata={"help": help, "choices": choices, "resumable": resumable})


@dataclass(frozen=True)
class Config:
    """The configuration of a run. Presets set most of it (minigan.gan.presets)."""

    preset: str = option("dcgan", "networks and settings; `minigan info` lists them")
    data: str = option("mnist", "mnist, or a folder of IDX files or images, or an .npz of images")
    objective: str = option("non_saturating", "what the players minimise (minigan.gan.objectives)")
    steps: int = option(1000, "training steps in all", resumable=True)
    batch_size: int = option(64, "real images a step")
    latent_size: int = option(100, "numbers in a latent vector z ~ N(0, I)")
    lr_generator: float = option(2e-4, "learning rate of the generator")
    lr_discriminator: float = option(2e-4, "learning rate of the discriminator")
    beta1: float = option(0.5, "Adam's beta1")
    beta2: float = option(0.999, "Adam's beta2")
    adam_eps: float = option(1e-8, "Adam's eps")
    update: str = option(
        "alternating",
        "alternating: the generator's step sees the updated discriminator; simultaneous: both gradients from one pass",
        choices=("alternating", "simultaneous"),
    )
    fresh_latents: bool = option(False, "new latents for the generator's step (else it reuses the fakes)")
    real_target: float = option(1.0, "target of the discriminator for real images (one-sided label smoothing: 0.9)")
    seed: int = option(0, "seed of everything random")
    device: str = option("auto", "auto, cpu, cuda or cuda:N", resumable=True)
    log_every: int = option(25, "steps between rows of metrics.csv", resumable=True)
    sample_every: int = option(250, "steps between pictures of the fixed latents", resumable=True)
    checkpoint_every: int = option(500, "steps between checkpoints", resumable=True)

    def __post_init__(self) -> None:
        for name in ("batch_size", "latent_size", "log_every", "sample_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        for f in dataclasses.fields(self):
            choices, value = f.metadata["choices"], getattr(self, f.name)
            if choices and value not in choices:
                raise ValueError(f"unknown {f.name} {value!r}; known: {', '.join(choices)}")
        if self.steps < 0:
            raise ValueError(f"steps must be 0 or more, got {self.steps}")

    def replace(self, **changes: Any) -> Config:
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def load(cls, path: Path) -> Config:
        try:
            values = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not a configuration: {error}") from None
        return cls.from_dict(values, str(path))

    @classmethod
    def from_dict(cls, values: dict[str, Any], origin: str) -> Config:
        types = field_types()
        unknown = sorted(values.keys() - types.keys())
        if unknown:
            raise ValueError(f"{origin} has unknown settings {', '.join(unknown)}: made by another version?")
        for name, value in values.items():
            if not isinstance(value, (int, float) if types[name] is float else types[name]):
                raise ValueError(f"{origin}: {name} must be {types[name].__name__}, got {value!r}")
        return cls(**values)

    def differences(self, other: Config, *, resuming: bool = False) -> list[str]:
        """What differs between two configurations, as "name: this -> that"; resuming: only what must not change."""
        return [
            f"{f.name}: {getattr(self, f.name)!r} -> {getattr(other, f.name)!r}"
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != getattr(other, f.name) and not (resuming and f.metadata["resumable"])
        ]


def field_types() -> dict[str, type]:
    """Name and type of every setting (X | None counts as X)."""
    hints = typing.get_type_hints(Config)
    return {name: _plain(hint) for name, hint in hints.items()}


def _plain(hint: Any) -> type:
    if isinstance(hint, types.UnionType):
        (hint,) = [h for h in typing.get_args(hint) if h is not type(None)]
    return hint
