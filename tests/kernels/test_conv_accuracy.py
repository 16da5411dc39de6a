"""No speed for accuracy: in float32 every convolution algorithm errs at most twice as much as PyTorch does."""

import json
from pathlib import Path

import numpy as np
import pytest

from minigan.kernels.cpu import CpuKernels
from minigan.kernels.geometry import Geometry
from minigan.kernels.plans import UnsuitableShape

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "conv_errors.json").read_text())
FEWEST_CHANNELS = {"frequency": 4}  # with fewer it errs more, and is never chosen


@pytest.mark.parametrize("record", GOLDEN, ids=lambda record: "-".join(map(str, record["layer"])))
def test_error_beside_pytorchs(record):
    images, channels, outputs, size, kernel, stride, padding = record["layer"]
    output = (size + 2 * padding - kernel) // stride + 1
    geometry = Geometry((size, size), (kernel, kernel), (output, output), (stride, stride), (padding, padding))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, channels, size, size)).astype(np.float32)
    w = rng.standard_normal((outputs, channels, kernel, kernel)).astype(np.float32)
    y = rng.standard_normal((images, outputs, output, output)).astype(np.float32)

    def derivatives(algorithm, dtype):
        kernels = CpuKernels(2, algorithm)
        args = [a.astype(dtype) for a in (x, w, y)]
        yield kernels.conv2d(args[0], args[1], None, geometry)
        yield kernels.conv_transpose2d(args[2], args[1], None, geometry)
        yield kernels.conv2d_weight_grad(args[0], args[2], geometry)

    exact = list(derivatives("im2col", np.float64))
    for algorithm in ("auto", "im2col", "planes", "frequency", "winograd"):
        try:
            found = list(derivatives(algorithm, np.float32))
        except UnsuitableShape:
            continue
        if channels >= FEWEST_CHANNELS.get(algorithm, 0):
            for a, b, theirs in zip(found, exact, record["errors"], strict=True):
                assert np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)) <= 2 * theirs, algorithm
