"""Everything that a run depends on, in one flat record: a `config.json` is enough to run it again."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ..kernels.convolutions import ALGORITHMS
from ..kernels.gpu import PRECISIONS
from ..optim import schedules
from . import objectives, penalties

DEFAULT_PRESET = "cgan"


def option(
    default: Any,
    help: str,
    *,
    group: str,
    choices: tuple[str, ...] = (),
    least: float = -math.inf,
    below: float = math.inf,
    resumable: bool = False,
) -> Any:
    """A field of the configuration and an option of the command line, in a group of its --help.

    choices: the names it may be; least, below: a number must be at least and less than these; resumable: a resumed
    run may change it (its bits depend on it only through the device and the arithmetic).
    """
    return field(
        default=default,
        metadata={
            "help": help, "group": group, "choices": choices, "least": least, "below": below, "resumable": resumable,
        },
    )  # fmt: skip


model = partial(option, group="model and data")
learning = partial(option, group="learning")
players = partial(option, group="the two players")
stabiliser = partial(option, group="stabilisers (0 is off)")
run = partial(option, group="the run")


@dataclass(frozen=True)
class Config:
    """The configuration of a run. Presets set most of it (minigan.gan.presets)."""

    preset: str = model(DEFAULT_PRESET, "networks and settings; `minigan info` lists them")
    data: str = model(
        "mnist",
        "mnist, mnist-rgb, coloured-mnist, stacked-mnist, a folder of IDX files or images, or an .npz with the arrays "
        "images (N, H, W), (N, 3, H, W) or (N, H, W, 3), uint8 or floats, and perhaps labels (N,); for points: ring, "
        "grid, swiss-roll",
    )
    objective: str = model(
        "non_saturating", f"what the players minimise: {', '.join(objectives.ALL)}", choices=tuple(objectives.ALL)
    )
    latent_size: int = model(100, "numbers in a latent vector z ~ N(0, I)", least=1)
    classes: int = model(0, "classes of a conditional preset", least=0)

    steps: int = learning(1000, "training steps in all", least=0, resumable=True)
    batch_size: int = learning(64, "real samples for one update", least=1)
    optimizer: str = learning("adam", "of both players: adam, rmsprop, sgd", choices=("adam", "rmsprop", "sgd"))
    lr_generator: float = learning(2e-4, "learning rate of the generator", least=0)
    lr_discriminator: float = learning(2e-4, "learning rate of the discriminator", least=0)
    lr_schedule: str = learning(
        "constant",
        "of both learning rates: constant, linear or cosine (0 once all steps are done), step (times lr_decay every "
        "lr_decay_every steps)",
        choices=tuple(schedules.ALL),
    )
    lr_decay: float = learning(0.1, "factor of the schedule `step`", least=0)
    lr_decay_every: int = learning(1000, "steps between decays of the schedule `step`", least=1)
    beta1: float = learning(0.5, "Adam's beta1", least=0, below=1)
    beta2: float = learning(0.999, "Adam's beta2", least=0, below=1)
    adam_eps: float = learning(1e-8, "Adam's eps", least=0)
    momentum: float = learning(0.0, "momentum of sgd", least=0, below=1)

    update: str = players(
        "alternating",
        "alternating: the generator's step sees the updated discriminator; simultaneous: both gradients from one pass",
        choices=("alternating", "simultaneous"),
    )
    discriminator_steps: int = players(
        1, "updates of the discriminator in a step, each on real samples of its own", least=1
    )
    fresh_latents: bool = players(False, "new latents for the generator's step (else it reuses the fakes)")
    real_target: float = players(
        1.0, "target of the discriminator for real samples (one-sided label smoothing: 0.9)", least=0
    )

    penalty: str = stabiliser(
        "none",
        f"gradient penalty of the discriminator: none, {', '.join(penalties.ALL)}",
        choices=("none", *penalties.ALL),
    )
    penalty_weight: float = stabiliser(10.0, "factor of the gradient penalty (R1 and R2: gamma)", least=0)
    weight_clip: float = stabiliser(0.0, "the discriminator's weights stay in [-X, X]", least=0)
    spectral_norm: bool = stabiliser(False, "every layer of the discriminator divided by its largest singular value")
    dropout: float = stabiliser(0.0, "dropout behind the discriminator's hidden layers", least=0, below=1)
    instance_noise: float = stabiliser(
        0.0, "standard deviation of noise on all the discriminator sees, falling linearly to 0 at the end", least=0
    )
    packing: int = stabiliser(
        1, "samples that the discriminator judges together: batch_size / packing logits an update (1 is off)", least=1
    )
    ema: float = stabiliser(
        0.0, "decay of a moving average of the generator, from which samples are then drawn (0.999)", least=0, below=1
    )
    clip_norm: float = stabiliser(0.0, "greatest norm of a player's gradient", least=0)
    clip_value: float = stabiliser(0.0, "greatest element of a player's gradient", least=0)
    l1: float = stabiliser(0.0, "factor of sum |w| in the loss", least=0)
    l2: float = stabiliser(0.0, "factor of sum w^2 in the loss", least=0)
    regularised: str = stabiliser(
        "both",
        "whose weights l1 and l2 are for: generator, discriminator, both",
        choices=("generator", "discriminator", "both"),
    )

    seed: int = run(0, "seed of everything random", least=0)
    device: str = run("auto", "auto, cpu, cuda or cuda:N", resumable=True)
    conv_algorithm: str = run(
        "auto",
        f"of convolutions on the CPU: {', '.join(ALGORITHMS)}, or auto: for every shape the one that is cheapest there",
        choices=("auto", *ALGORITHMS),
        resumable=True,
    )
    precision: str = run(
        "float32",
        "of matrix products on a GPU: float32, or tf32 (faster, an error of about 1e-3)",
        choices=tuple(PRECISIONS),
        resumable=True,
    )
    cuda_graph: bool = run(False, "record the training step on a GPU once, and launch it as a whole", resumable=True)
    log_every: int = run(25, "steps between rows of metrics.csv", least=1, resumable=True)
    sample_every: int = run(250, "steps between pictures of the fixed latents", least=1, resumable=True)
    checkpoint_every: int = run(500, "steps between checkpoints", least=1, resumable=True)
    evaluate_every: int = run(
        0, "steps between scores in metrics.csv (at the next row), as `minigan evaluate` gives them (0: none)", least=0
    )

    def __post_init__(self) -> None:
        types = field_types()
        for f in dataclasses.fields(self):
            value, limits, kind = getattr(self, f.name), f.metadata, types[f.name]
            if not _is(value, kind):
                raise ValueError(f"{f.name} must be {kind.__name__}, got {value!r}")
            if limits["choices"] and value not in limits["choices"]:
                raise ValueError(f"unknown {f.name} {value!r}; known: {', '.join(limits['choices'])}")
            if value == math.inf:
                raise ValueError(f"{f.name} must be finite, got {value}")
            if isinstance(value, int | float) and not limits["least"] <= value < limits["below"]:
                raise ValueError(f"{f.name} must be {_range(limits['least'], limits['below'])}, got {value}")
        if self.real_target > 1:
            raise ValueError(f"real_target must be from 0 to 1, got {self.real_target}")
        if self.batch_size % self.packing:
            raise ValueError(f"batch_size must be a multiple of packing {self.packing}, got {self.batch_size}")
        if self.packing > 1 and self.classes:
            raise ValueError(
                f"the preset {self.preset} is conditional, and packing mixes classes: leave packing out, "
                "or take another preset, such as dcgan"
            )
        if self.update == "simultaneous" and self.discriminator_steps > 1:
            raise ValueError(
                "simultaneous updates take both gradients from one pass: "
                f"discriminator_steps must be 1, got {self.discriminator_steps}"
            )
        if self.real_target != 1.0 and not objectives.get(self.objective).has_target:
            raise ValueError(
                f"the objective {self.objective} has no target to smooth: real_target must be 1, got {self.real_target}"
            )

    @property
    def images_per_step(self) -> int:
        """Real samples that the discriminator is shown in a step."""
        return self.batch_size * self.discriminator_steps

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
        if not isinstance(values, dict):
            raise ValueError(f"{path} is not a configuration: expected settings by name, got {values!r}")
        return cls.from_dict(values, str(path))

    @classmethod
    def from_dict(cls, values: dict[str, Any], origin: str) -> Config:
        unknown = sorted(values.keys() - field_types().keys())
        if unknown:
            raise ValueError(f"{origin} has unknown settings {', '.join(unknown)}: made by another version?")
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{origin}: {error}") from None

    def differences(self, other: Config, *, resuming: bool = False) -> list[str]:
        """What differs between two configurations, as "name: this -> that"; resuming: only what must not change."""
        return [
            f"{f.name}: {getattr(self, f.name)!r} -> {getattr(other, f.name)!r}"
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != getattr(other, f.name) and not (resuming and self._resumable(f))
        ]

    def _resumable(self, f: dataclasses.Field) -> bool:
        if f.name == "steps" and (self.lr_schedule in ("linear", "cosine") or self.instance_noise > 0):
            return False  # what ends with the run depends on where its end is
        return f.metadata["resumable"]


def _is(value: Any, kind: type) -> bool:
    """Whether a setting may have that value: a whole number is a float too, but no switch is a number."""
    return isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))


def _range(least: float, below: float) -> str:
    if below == math.inf:
        return f"{least} or more"
    return f"at least {least} and less than {below}"


@lru_cache
def field_types() -> dict[str, type]:
    """Name and type of every setting."""
    return typing.get_type_hints(Config)
