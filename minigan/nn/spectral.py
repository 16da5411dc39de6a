"""Spectral normalisation: a layer that cannot stretch its input (Miyato et al. 2018, arXiv:1802.05957)."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor, no_grad
from ..backend import get_backend
from ..rng import Generator
from .layers import Conv2d, ConvTranspose2d, Linear
from .module import Module

EPS = 1e-12


class SpectralNorm(Module):
    """The layer with W / sigma for its weight, sigma = u' W v the estimated largest singular value of W (out, rest).

    Every forward pass in training improves the singular vectors by one power iteration,

        v = W'u / |W'u|,  u = W v / |W v|,

    which stand outside the graph: sigma is differentiated through W alone. u (out,) is a buffer; evaluation uses it
    as it is.
    """

    def __init__(self, layer: Any, *, rng: Generator | None = None):
        super().__init__()
        self.layer = layer
        backend = layer.weight.backend
        rng = get_backend("cpu").generator if rng is None else rng
        start = Tensor(backend.asarray(rng.normal((len(self.matrix()),))), backend)
        self.u: Tensor
        self.register_buffer("u", _unit(start))

    def matrix(self) -> Tensor:
        """W as (outputs, everything else)."""
        weight = self.layer.weight
        if isinstance(self.layer, ConvTranspose2d):  # the one layer whose outputs are not axis 0
            weight = weight.transpose(0, 1)
        return weight.reshape(weight.shape[0], -1)

    def sigma(self) -> Tensor:
        """The estimate of the largest singular value, a Tensor of one element; in training it first improves u."""
        matrix = self.matrix()
        with no_grad():
            u, v = self.u, _unit(self.u @ matrix)
            if self.training:
                u = _unit(matrix @ v)
                self.u.assign(u, writer="spectral norm in training")
        return (u.detach() * (matrix @ v)).sum()

    def forward(self, x: Tensor) -> Tensor:
        weight = self.layer.weight
        self.layer.weight = weight / self.sigma()
        try:
            return self.layer(x)
        finally:
            self.layer.weight = weight


def normalise(network: Module, *, rng: Generator | None = None) -> None:
    """Wrap every Linear, Conv2d and ConvTranspose2d inside a network, in place."""
    for _, module in list(network.named_modules()):
        for name, child in list(module.children()):
            if isinstance(child, Linear | Conv2d | ConvTranspose2d):
                setattr(module, name, SpectralNorm(child, rng=rng))


def _unit(vector: Tensor) -> Tensor:
    return vector / ((vector * vector).sum().sqrt() + EPS)
