"""A vector to learn for every class."""

from __future__ import annotations

from ..autograd import Tensor
from ..rng import Generator
from . import init
from .functional import check_labels
from .layers import _parameter
from .module import Module


class Embedding(Module):
    """Row `label` of a table weight (num_embeddings, embedding_dim): integers (N,) -> (N, embedding_dim); N(0, 1)."""

    def __init__(self, num_embeddings: int, embedding_dim: int, *, rng: Generator | None = None):
        super().__init__()
        self.weight = _parameter((num_embeddings, embedding_dim))
        init.normal_(self.weight, rng=rng)

    def forward(self, labels: Tensor) -> Tensor:
        check_labels("an embedding", labels, len(self.weight))
        return self.weight[labels]

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.weight.shape))
