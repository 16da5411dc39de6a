"""Single operations, in the sizes they have in the middle of a DCGAN for 28x28 images.

forward: without a graph. backward: the gradients in all inputs, of a graph that stands. second order: the gradients,
in all inputs and in the cotangent, of <v, first gradient in x>, v fixed, through a graph that stands.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from ..autograd import Tensor, grad, no_grad
from ..backend import Backend, get_backend
from ..nn import Linear, ReLU, Sequential
from ..nn import functional as F
from ..optim import Adam
from ..rng import Generator
from .workload import Arrays, Trial, Workload

Shapes = Callable[[int], list[tuple[int, ...]]]  # of x and the parameters, for a batch size

SEED = 0


def _operation(name: str, summary: str, shapes: Shapes, apply: Callable[..., Tensor]) -> Workload:
    return Workload(name, summary, lambda backend, batch: _trial(backend, shapes(batch), apply))


def _trial(backend: Backend, shapes: list[tuple[int, ...]], apply: Callable[..., Tensor]) -> Trial:
    host = Generator(SEED, get_backend("cpu"))  # every device starts from the same numbers

    def draw(shape: tuple[int, ...]) -> Tensor:
        return Tensor(backend.asarray(host.normal(shape)), backend)

    inputs = [draw(shape) for shape in shapes]
    for t in inputs:
        t.requires_grad = True
    y = apply(*inputs)
    cotangent, v = draw(y.shape), draw(shapes[0])
    cotangent.requires_grad = True
    (gradient,) = grad(y, inputs[0], cotangent, create_graph=True)
    behind = _behind(gradient, [*inputs, cotangent])

    def forward() -> Tensor:
        with no_grad():
            return apply(*inputs)

    def backward() -> tuple[Tensor, ...]:
        return grad(y, inputs, cotangent, retain_graph=True)

    def second_order() -> tuple[Tensor, ...]:
        return grad(gradient, behind, v, retain_graph=True)

    def evidence() -> Arrays:
        results = {"the output": [forward()], "gradient": backward(), "second-order gradient": second_order()}
        return {f"{name} {i}": t.numpy() for name, tensors in results.items() for i, t in enumerate(tensors)}

    return Trial({"forward": forward, "backward": backward, "second order": second_order}, evidence)


def _behind(output: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Those leaves that the output depends on."""
    seen, stack = set(), [output]
    while stack:
        t = stack.pop()
        if t not in seen:
            seen.add(t)
            stack += t.creator.inputs if t.creator is not None else ()
    return [t for t in leaves if t in seen]


def _adam(backend: Backend, batch: int) -> Trial:
    """One update of 567,041 parameters, those of the dense discriminator."""
    host = Generator(SEED, get_backend("cpu"))
    widths = (784, 512, 256, 128, 1)
    layers: list[Any] = [Linear(i, o, rng=host) for i, o in pairwise(widths)]
    network = Sequential(*[module for layer in layers for module in (layer, ReLU())])
    network.to(backend)
    optimizer = Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for parameter in optimizer.parameters:
        parameter.grad = Tensor(backend.asarray(host.normal(parameter.shape)), backend)

    def evidence() -> Arrays:
        before = backend.to_host(optimizer.flat)
        for _ in range(3):
            optimizer.step()
        return {"the change of 3 steps": backend.to_host(optimizer.flat) - before}

    return Trial({"step": optimizer.step}, evidence)


OPERATIONS = [
    _operation("dense", "784 to 512", lambda n: [(n, 784), (512, 784), (512,)], F.linear),
    _operation(
        "conv",
        "5x5, stride 2, 64 to 128 channels, 14x14 to 7x7",
        lambda n: [(n, 64, 14, 14), (128, 64, 5, 5), (128,)],
        lambda x, weight, bias: F.conv2d(x, weight, bias, stride=2, padding=2),
    ),
    _operation(
        "conv_transpose",
        "5x5, stride 2, 128 to 64 channels, 7x7 to 14x14",
        lambda n: [(n, 128, 7, 7), (128, 64, 5, 5), (64,)],
        lambda x, weight, bias: F.conv_transpose2d(x, weight, bias, stride=2, padding=2, output_padding=1),
    ),
    _operation("batch_norm", "64 channels, 14x14", lambda n: [(n, 64, 14, 14), (64,), (64,)], F.batch_norm),
    Workload("adam", "567,041 parameters", _adam, batched=False),
]
