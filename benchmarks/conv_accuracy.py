"""The error of every convolution algorithm in float32, beside PyTorch's, against float64.

    pip install . -r benchmarks/requirements.txt
    python benchmarks/conv_accuracy.py

Error: the root mean square of the difference from the float64 result, divided by that of the result, in units of 1e-7
(float32 rounds to 0.6e-7); operands are standard normal. PyTorch computes in both memory layouts, and the smaller of
its two errors is what counts. "auto" is what minigan uses. The errors of PyTorch are kept in
tests/golden/conv_errors.json, where a test holds every algorithm to twice of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import records

from minigan.backend import default_threads
from minigan.kernels.cpu import CpuKernels
from minigan.kernels.geometry import Geometry
from minigan.kernels.plans import UnsuitableShape

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "conv_errors.json"
ALGORITHMS = ("auto", "im2col", "planes", "frequency", "winograd")
DERIVATIVES = ("conv2d", "conv_transpose2d", "conv2d_weight_grad")
# images, channels, outputs, image size, kernel, stride, padding: the layers of dcgan28, dcgan and dcgan64 (the
# transposed ones as the convolution whose input gradient they are), and a 3x3 one
LAYERS = [
    (128, 1, 64, 28, 5, 2, 2),
    (128, 64, 128, 14, 5, 2, 2),
    (128, 128, 256, 7, 5, 1, 2),
    (256, 64, 128, 14, 4, 2, 1),
    (32, 3, 64, 64, 4, 2, 1),
    (32, 64, 128, 32, 4, 2, 1),
    (32, 128, 256, 16, 4, 2, 1),
    (64, 32, 64, 14, 3, 1, 1),
]


def geometry_of(layer: list[int]) -> Geometry:
    _, _, _, size, kernel, stride, padding = layer
    output = (size + 2 * padding - kernel) // stride + 1
    return Geometry((size, size), (kernel, kernel), (output, output), (stride, stride), (padding, padding))


def operands(layer: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input, weight and cotangent, float32."""
    images, channels, outputs, size, kernel, *_ = layer
    rng = np.random.default_rng(0)
    shapes = (images, channels, size, size), (outputs, channels, kernel, kernel)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    y = rng.standard_normal((images, outputs, *geometry_of(layer).output_size)).astype(np.float32)
    return x, w, y


def derivatives(kernels: Any, geometry: Geometry, x: np.ndarray, w: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The three of DERIVATIVES."""
    return [
        kernels.conv2d(x, w, None, geometry),
        kernels.conv_transpose2d(y, w, None, geometry),
        kernels.conv2d_weight_grad(x, y, geometry),
    ]


def by_torch(layer: list[int], x: np.ndarray, w: np.ndarray, y: np.ndarray, memory_format: str) -> list[np.ndarray]:
    import torch

    *_, stride, padding = layer
    layout = getattr(torch, memory_format)
    input, weight, cotangent = (torch.from_numpy(a).contiguous(memory_format=layout) for a in (x, w, y))
    input.requires_grad_(), weight.requires_grad_()
    output = torch.nn.functional.conv2d(input, weight, stride=stride, padding=padding)
    output.backward(cotangent)
    return [output.detach().numpy(), input.grad.numpy(), weight.grad.numpy()]


def errors(found: list[np.ndarray], exact: list[np.ndarray]) -> list[float]:
    return [float(np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2))) for a, b in zip(found, exact, strict=True)]


def main() -> None:
    golden, lines = [], []
    for layer in LAYERS:
        arrays, geometry = operands(layer), geometry_of(layer)
        exact = derivatives(CpuKernels(1, "im2col"), geometry, *(a.astype(np.float64) for a in arrays))
        layouts = [
            errors(by_torch(layer, *arrays, memory_format), exact)
            for memory_format in ("contiguous_format", "channels_last")
        ]
        theirs = list(map(min, *layouts))
        golden.append({"layer": layer, "errors": theirs})
        ours = {}
        for name in ALGORITHMS:
            try:
                ours[name] = errors(derivatives(CpuKernels(default_threads(), name), geometry, *arrays), exact)
            except UnsuitableShape:
                ours[name] = [float("nan")] * 3
        _, channels, outputs, size, kernel, stride, _ = layer
        for i, derivative in enumerate(DERIVATIVES):
            cells = [f"{row[i] * 1e7:.1f}".replace("nan", "") for row in (theirs, *ours.values())]
            lines.append([f"{channels}x{size}x{size}, {outputs} of {kernel}x{kernel}/{stride}", derivative, *cells])
    GOLDEN.write_text("[\n" + ",\n".join(map(json.dumps, golden)) + "\n]\n")
    text = records.markdown(["layer", "derivative", "PyTorch", *ALGORITHMS], lines)
    (records.RESULTS / "conv_accuracy.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
