"""Convolution algorithms behind one interface, and the fixed rule that gives every shape its algorithm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from . import plans
from .bilinear import Bilinear
from .buffers import BufferPool
from .costs import cheapest
from .geometry import Geometry, KeptPair
from .im2col import Im2col
from .planes import Planes
from .reference import ReferenceKernels
from .threads import ThreadTeam


class Algorithm(Protocol):
    """The three partial derivatives of the trilinear form, with the signatures of the reference kernels."""

    def conv2d(self, x, weight, bias, geometry: Geometry, kept: KeptPair = None): ...
    def conv_transpose2d(self, y, weight, bias, geometry: Geometry, kept: KeptPair = None): ...
    def conv2d_weight_grad(self, x, y, geometry: Geometry, kept: KeptPair = None): ...


ALGORITHMS: dict[str, Callable[[ThreadTeam, BufferPool], Algorithm]] = {
    "reference": lambda team, pool: ReferenceKernels(np),
    "im2col": Im2col,
    "planes": Planes,
    "frequency": lambda team, pool: Bilinear(team, pool, plans.frequency),
    "winograd": lambda team, pool: Bilinear(team, pool, plans.winograd, plans.winograd_weight_grad),
}


class Convolutions:
    """The convolution kernels; `algorithm` is "auto" or the name of the one that every shape gets.

    All but "reference" and "im2col" let a value that is not finite, or is far greater than the others, reach outputs of
    the same image that do not see it.
    """

    def __init__(self, team: ThreadTeam, pool: BufferPool, algorithm: str = "auto"):
        self.algorithms = {name: make(team, pool) for name, make in ALGORITHMS.items()}
        if algorithm != "auto" and algorithm not in ALGORITHMS:
            names = ", ".join(["auto", *ALGORITHMS])
            raise ValueError(f"unknown convolution algorithm {algorithm!r}; known: {names}")
        self.team = team
        self.forced = algorithm

    def conv2d(self, x, weight, bias, geometry: Geometry, kept: KeptPair = None):
        return self.choose("conv2d", geometry, len(x), weight.shape).conv2d(x, weight, bias, geometry, kept)

    def conv_transpose2d(self, y, weight, bias, geometry: Geometry, kept: KeptPair = None):
        chosen = self.choose("conv_transpose2d", geometry, len(y), weight.shape)
        return chosen.conv_transpose2d(y, weight, bias, geometry, kept)

    def conv2d_weight_grad(self, x, y, geometry: Geometry, kept: KeptPair = None):
        if len(x) == 0:
            return np.zeros((y.shape[1], x.shape[1], *geometry.kernel_size), x.dtype)
        chosen = self.choose("conv2d_weight_grad", geometry, len(x), (y.shape[1], x.shape[1]))
        return chosen.conv2d_weight_grad(x, y, geometry, kept)

    def choose(self, kernel: str, geometry: Geometry, images: int, weight_shape) -> Algorithm:
        """The algorithm of a kernel for a batch of images and a weight (O, C, ...).

        From the first convolution on, dense products leave the threads of BLAS asleep.
        """
        self.team.keep_from_blas()
        name = cheapest(kernel, geometry, images, *weight_shape[:2]) if self.forced == "auto" else self.forced
        return self.algorithms[name]
