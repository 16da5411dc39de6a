"""The AC-GAN: a discriminator that also tells the class."""

from __future__ import annotations

from ..autograd import Tensor
from ..nn.functional import cross_entropy
from .algorithm import GAN
from .base import Losses
from .batch import Batch
from .report import Verdict


class ACGAN(GAN):
    """GAN whose discriminator's outputs (N, 1 + classes) are its logit and one for every class.

    Both players also minimise the cross-entropy of the class, the discriminator on real and generated samples, the
    generator on its own (Odena et al. 2017, arXiv:1610.09585).
    """

    def outputs(self, batch: Batch) -> Tensor:
        return self.discriminator(batch.images)

    def discriminator_losses(self, verdict: Verdict) -> Losses:
        real = _class_loss(verdict.real_outputs, verdict.real.labels)
        fake = _class_loss(verdict.fake_outputs, verdict.fake.labels)
        return {**super().discriminator_losses(verdict), "d_class_loss": real + fake}

    def generator_losses(self, verdict: Verdict) -> Losses:
        fake = _class_loss(verdict.fake_outputs, verdict.fake.labels)
        return {**super().generator_losses(verdict), "g_class_loss": fake}


def _class_loss(outputs: Tensor, labels: Tensor | None) -> Tensor:
    if labels is None:
        raise ValueError("an AC-GAN learns from labelled samples: the batch has no labels")
    return cross_entropy(outputs[:, 1:], labels)
