"""Catalog of ops/norm.py: batch normalisation and its derivatives, channel by channel."""

from __future__ import annotations

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...ops import norm
from ..draw import Draw, Shape
from .entry import Entry, Sample
from .oracles import channels, standardized


def _shape(draw: Draw) -> Shape:
    """(N, C), (N, C, L) or (N, C, H, W), with at least three values a channel."""
    return draw.choice(((3, 2), (4, 3), (3, 2, 1), (2, 2, 3), (2, 1, 2, 2), (1, 3, 2, 3), (2, 2, 3, 2)))


def _eps(draw: Draw) -> float:
    return draw.choice((1e-5, 1e-3, 0.5))


def _batch_norm(draw: Draw) -> Sample:
    shape, eps = _shape(draw), _eps(draw)

    def oracle(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return channels(gamma, x) * standardized(x, eps)[0] + channels(beta, x)

    arrays = [draw.real(shape), draw.nonzero(shape[1:2]), draw.real(shape[1:2])]
    return Sample(lambda x, gamma, beta: ops.batch_norm(x, gamma, beta, eps=eps), arrays, oracle)


def _frozen(draw: Draw) -> Sample:
    """Evaluation mode: an affine function of x by the running statistics, which are inputs here."""
    shape, eps = _shape(draw), _eps(draw)
    size = shape[1:2]

    def call(x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return ops.batch_norm(x, gamma, beta, mean, var, training=False, eps=eps)

    def oracle(x, gamma, beta, mean, var) -> np.ndarray:
        y = np.empty(shape)
        for c in range(shape[1]):
            y[:, c] = gamma[c] * (x[:, c] - mean[c]) / np.sqrt(var[c] + eps) + beta[c]
        return y

    arrays = [draw.real(shape), draw.nonzero(size), draw.real(size), draw.real(size), draw.positive(size)]
    return Sample(call, arrays, oracle)


def _scale_grad(draw: Draw) -> Sample:
    shape, eps = _shape(draw), _eps(draw)

    def call(g: Tensor, x: Tensor) -> Tensor:
        return norm.BatchNormScaleGrad(norm.Statistics(x.backend.kernels, x.data, eps))(g, x)

    def oracle(g: np.ndarray, x: np.ndarray) -> np.ndarray:
        product = g * standardized(x, eps)[0]
        return np.array([product[:, c].sum() for c in range(shape[1])])

    return Sample(call, [draw.real(shape), draw.real(shape)], oracle)


def _input_grad(draw: Draw) -> Sample:
    shape, eps = _shape(draw), _eps(draw)
    others = (0, *range(2, len(shape)))

    def call(g: Tensor, x: Tensor, gamma: Tensor) -> Tensor:
        kernels = x.backend.kernels
        statistics = norm.Statistics(kernels, x.data, eps)
        product = kernels.batch_norm_scale_grad(g.data, x.data, statistics.mean, statistics.inv_std)
        return norm.BatchNormInputGrad(statistics, (kernels.sum(g.data, others, False), product))(g, x, gamma)

    def oracle(g: np.ndarray, x: np.ndarray, gamma: np.ndarray) -> np.ndarray:
        """g through the Jacobian of every channel, written out: gamma s (I - 1 1' / m - xhat xhat' / m)."""
        xhat, scale = standardized(x, eps)
        y = np.empty(shape)
        for c in range(shape[1]):
            z = xhat[:, c].reshape(-1, 1)
            jacobian = gamma[c] * scale[c] * (np.eye(len(z)) - 1 / len(z) - z @ z.T / len(z))
            y[:, c] = (jacobian @ g[:, c].reshape(-1)).reshape(y[:, c].shape)
        return y

    return Sample(call, [draw.real(shape), draw.real(shape), draw.nonzero(shape[1:2])], oracle)


ENTRIES = [
    Entry("BatchNorm", norm.BatchNorm, _batch_norm, linear=((1, 2),), public=("batch_norm",)),
    Entry("BatchNormScaleGrad", norm.BatchNormScaleGrad, _scale_grad, linear=((0,),)),
    Entry("BatchNormInputGrad", norm.BatchNormInputGrad, _input_grad, linear=((0,), (2,))),
    Entry("batch_norm_frozen", None, _frozen, "running variance > 0", linear=((1, 2),)),
]
