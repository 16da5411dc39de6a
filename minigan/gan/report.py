"""What a step of a GAN leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

from ..autograd import Tensor
from .base import Losses
from .batch import Batch


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

    def numbers(self, probability: bool = True) -> dict[str, float]:
        """The losses, and what the discriminator says of x, and of G(z) before and after its step.

        That is the mean D = s(C), or the mean output C where the objective makes no probability of it.
        """
        outputs = {
            "d_real": self.real_logits,
            "d_fake_before": self.fake_logits,
            "d_fake_after": self.updated_fake_logits,
        }
        return {
            **{name: loss.item() for name, loss in self.losses.items()},
            **{name: (c.sigmoid() if probability else c).mean().item() for name, c in outputs.items()},
        }
