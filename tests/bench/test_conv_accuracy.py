"""No speed for accuracy: in float32 every convolution algorithm errs at most twice as much as PyTorch does."""

import json

import numpy as np
import pytest
from bench_scripts import BENCHMARKS, load

from minigan.kernels.costs import alone
from minigan.kernels.cpu import CpuKernels
from minigan.kernels.plans import UnsuitableShape

GOLDEN = json.loads((BENCHMARKS.parent / "tests" / "golden" / "conv_errors.json").read_text())


@pytest.fixture(scope="module")
def accuracy():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)  # for what the programs share
        yield load("conv_accuracy")


@pytest.mark.parametrize("record", GOLDEN, ids=lambda record: "-".join(map(str, record["layer"])))
def test_error_beside_pytorchs(accuracy, record):
    layer = record["layer"]
    geometry, arrays = accuracy.geometry_of(layer), accuracy.operands(layer)
    exact = accuracy.derivatives(CpuKernels(2, "im2col"), geometry, *(a.astype(np.float64) for a in arrays))
    for algorithm in accuracy.ALGORITHMS:
        try:
            found = accuracy.derivatives(CpuKernels(2, algorithm), geometry, *arrays)
        except UnsuitableShape:
            continue
        if algorithm != "frequency" or not frequency_is_never_chosen(accuracy, layer):
            for error, theirs in zip(accuracy.errors(found, exact), record["errors"], strict=True):
                assert error <= 2 * theirs, algorithm


def frequency_is_never_chosen(accuracy, layer):
    """It errs more with few channels, or few taps in a phase."""
    images, channels, outputs, *_ = layer
    return alone("conv2d", accuracy.geometry_of(layer), images, outputs, channels)["frequency"] == np.inf


def test_the_layers_are_the_measured_ones(accuracy):
    assert [record["layer"] for record in GOLDEN] == [list(layer) for layer in accuracy.LAYERS]
