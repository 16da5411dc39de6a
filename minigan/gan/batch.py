"""What a training step is given."""

from __future__ import annotations

from dataclasses import dataclass

from ..autograd import Tensor
from ..ops import concatenate


@dataclass(frozen=True)
class Batch:
    """Samples: images (N, C, H, W) in [-1, 1] or points (N, 2), and for conditional models their labels (N,)."""

    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def detach(self) -> Batch:
        """The batch as constants."""
        return Batch(self.images.detach(), self.labels)

    def followed_by(self, other: Batch) -> Batch:
        """Both batches as one."""
        images = concatenate([self.images, other.images])
        if self.labels is None or other.labels is None:
            return Batch(images)
        return Batch(images, concatenate([self.labels, other.labels]))

    def split(self, parts: int) -> list[Batch]:
        """The batch in equal parts, one after another."""
        if parts == 1:
            return [self]
        size, rest = divmod(len(self), parts)
        if rest:
            raise ValueError(f"a batch of {len(self)} cannot be split into {parts} equal parts")
        cuts = [slice(i * size, (i + 1) * size) for i in range(parts)]
        return [Batch(self.images[cut], None if self.labels is None else self.labels[cut]) for cut in cuts]

    def packed(self, m: int) -> Batch:
        """m samples one after another as one, stacked on the channel axis: (N, C, ...) -> (N/m, mC, ...).

        Lin et al. 2018 (PacGAN), arXiv:1712.04086, whose own batch size counts packs.
        """
        if m == 1:
            return self
        n, channels, *rest = self.images.shape
        return Batch(self.images.reshape(n // m, m * channels, *rest), self.labels)
