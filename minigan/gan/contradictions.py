"""Settings that work against each other: what is wrong with them, and what to choose instead."""

from __future__ import annotations

from .. import nn
from . import presets
from .config import Config


class ConfigWarning(UserWarning):
    """A configuration that will train, but hardly as intended."""


def mixes_batch(network: nn.Module) -> bool:
    """Whether one sample's output depends on the other samples of its batch."""
    return any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for _, module in network.named_modules())


def contradictions(config: Config, discriminator: nn.Module) -> list[str]:
    """One message for every contradiction."""
    c = config
    checks = (
        (
            c.penalty != "none" and mixes_batch(discriminator),
            f"the penalty {c.penalty} is on every sample's own gradient, but batch norm makes a logit depend on the "
            "whole batch: choose a preset without batch norm in the discriminator, such as wgan-gp",
        ),
        (
            c.spectral_norm and mixes_batch(discriminator),
            "spectral norm bounds how far each layer stretches its input, and batch norm behind it stretches that "
            "again without a bound: choose a preset without batch norm in the discriminator, such as sngan",
        ),
        (
            c.weight_clip > 0 and c.objective != "wasserstein",
            f"weight clipping bounds the slope of a Wasserstein critic; the objective {c.objective} needs no such "
            "bound, and the discriminator only gets weaker: add --objective wasserstein or leave --weight-clip out",
        ),
        (
            c.objective == "wasserstein" and not (c.weight_clip or c.spectral_norm or c.penalty != "none"),
            "nothing bounds the slope of this Wasserstein critic, whose loss then falls without end: "
            "add --penalty wgan_gp, --spectral-norm or --weight-clip 0.01",
        ),
        (
            c.weight_clip > 0 and c.spectral_norm,
            "spectral norm divides every weight by its size, which undoes weight clipping: choose one of them",
        ),
        (
            c.weight_clip > 0 and c.penalty != "none",
            f"weight clipping and the penalty {c.penalty} both bound the critic's slope, to different values: "
            "choose one of them",
        ),
        (
            c.weight_clip > 0 and {"adam": c.beta1, "sgd": c.momentum, "rmsprop": 0}[c.optimizer] > 0,
            "a critic with clipped weights is unstable under an optimizer with momentum (Arjovsky et al. 2017): "
            "add --optimizer rmsprop, or --beta1 0 (of adam) or --momentum 0 (of sgd)",
        ),
        (
            c.update == "simultaneous" and c.fresh_latents,
            "simultaneous updates take both gradients from one set of fakes, so fresh_latents has no effect",
        ),
    )
    return [message for applies, message in checks if applies] + _idle(config)


def _idle(config: Config) -> list[str]:
    """One message for every setting, other than the preset's, of something that is not in use."""
    c, preset = config, presets.configure(config.preset)
    adam, step = (c.optimizer == "adam", "--optimizer adam"), (c.lr_schedule == "step", "--lr-schedule step")
    owners = {
        "beta1": adam,
        "beta2": adam,
        "adam_eps": adam,
        "momentum": (c.optimizer == "sgd", "--optimizer sgd"),
        "lr_decay": step,
        "lr_decay_every": step,
        "penalty_weight": (c.penalty != "none", "--penalty"),
        "regularised": (c.l1 > 0 or c.l2 > 0, "--l1 or --l2"),
    }
    return [
        f"{name} {getattr(c, name)} has no effect without {owner}: add that, or leave it out"
        for name, (used, owner) in owners.items()
        if not used and getattr(c, name) != getattr(preset, name)
    ]
