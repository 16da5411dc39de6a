"""Catalog of ops/fused.py."""

from __future__ import annotations

import numpy as np

from ...ops import fused
from ..draw import Draw
from .entry import Entry, Sample
from .oracles import channels


def _bias_leaky_relu(draw: Draw) -> Sample:
    slope, shape = draw.choice((0.0, 0.2, 1.5)), draw.choice(((3, 2), (2, 3, 2), (2, 2, 2, 3)))
    sums, bias = draw.nonzero(shape), draw.real(shape[1:2])

    def oracle(x: np.ndarray, b: np.ndarray) -> np.ndarray:
        z = x + channels(b, x)
        return np.maximum(z, 0) + slope * np.minimum(z, 0)

    return Sample(lambda x, b: fused.bias_leaky_relu(x, b, slope), [sums - channels(bias, sums), bias], oracle)


ENTRIES = [Entry("BiasLeakyReLU", fused.BiasLeakyReLU, _bias_leaky_relu, "x + b != 0", analytic=False)]
