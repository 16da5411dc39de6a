"""Convolution algorithms behind one interface, and the fixed rule that gives every shape its algorithm."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .buffers import BufferPool
from .geometry import Geometry
from .im2col import Im2col
from .reference import ReferenceKernels
from .threads import ThreadTeam


class Algorithm(Protocol):
    """The three partial derivatives of the trilinear form, with the signatures of the reference kernels."""

    def conv2d(self, x, weight, bias, geometry: Geometry): ...
    def conv_transpose2d(self, y, weight, bias, geometry: Geometry): ...
    def conv2d_weight_grad(self, x, y, geometry: Geometry): ...


class Convolutions:
    """The convolution kernels; `algorithm` is "auto" or the name of one."""

    def __init__(self, team: ThreadTeam, pool: BufferPool, algorithm: str = "auto"):
        self.algorithms: dict[str, Algorithm] = {
            "reference": ReferenceKernels(np),
            "im2col": Im2col(team, pool),
        }
        if algorithm != "auto" and algorithm not in self.algorithms:
            names = ", ".join(["auto", *self.algorithms])
            raise ValueError(f"unknown convolution algorithm {algorithm!r}; known: {names}")
        self.forced = algorithm

    def conv2d(self, x, weight, bias, geometry: Geometry):
        return self.choose(geometry, weight.shape).conv2d(x, weight, bias, geometry)

    def conv_transpose2d(self, y, weight, bias, geometry: Geometry):
        return self.choose(geometry, weight.shape).conv_transpose2d(y, weight, bias, geometry)

    def conv2d_weight_grad(self, x, y, geometry: Geometry):
        shape = (y.shape[1], x.shape[1], *geometry.kernel_size)
        return self.choose(geometry, shape).conv2d_weight_grad(x, y, geometry)

    def choose(self, geometry: Geometry, weight_shape: tuple[int, ...]) -> Algorithm:
        """The algorithm for a geometry and the weight's (O, C, KH, KW)."""
        return self.algorithms["im2col" if self.forced == "auto" else self.forced]
