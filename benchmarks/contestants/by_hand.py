"""The dense pair without an engine: NumPy's calls one after another, into arrays allocated once.

Nothing is recorded, dispatched or checked. So this is about what NumPy itself takes: minigan's distance to it is what
an autograd costs, and the frameworks' distance to it is what compiled loops gain. Samples are columns: BLAS is quicker
where the weight is its left matrix.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from threadpoolctl import threadpool_limits

from contestants import Unavailable, workloads
from contestants.workloads import Workload

Array = np.ndarray
Batch = tuple[Array, Array, Array]

BLOCK = 1 << 16  # numbers that Adam updates at a time: what lies between stays in the cache
ALL = slice(None)


class Player:
    """Linear layers with LeakyReLU between them, and tanh at the end of a generator; parameters in one flat array."""

    def __init__(self, name: str, layers: tuple[workloads.Layer, ...]):
        self.slope = next(np.float32(layer.slope) for layer in layers if isinstance(layer, workloads.LeakyReLU))
        self.tanh = isinstance(layers[-1], workloads.Tanh)
        self.linear = {index: layer for index, layer in enumerate(layers) if isinstance(layer, workloads.Linear)}
        size = sum(layer.inputs * layer.outputs + layer.outputs for layer in self.linear.values())
        self.values, self.gradients, self.m, self.v = (np.zeros(size, np.float32) for _ in range(4))
        self.change = np.empty(BLOCK, np.float32)
        self.parameters: dict[str, Array] = {}
        self.weights: list[tuple[Array, Array]] = []  # with their gradients
        self.biases: list[tuple[Array, Array]] = []
        start = 0
        for index, layer in self.linear.items():
            shapes = {"weight": (layer.outputs, layer.inputs), "bias": (layer.outputs, 1)}
            for (kind, shape), both in zip(shapes.items(), (self.weights, self.biases), strict=True):
                place = slice(start, start + math.prod(shape))
                both.append((self.values[place].reshape(shape), self.gradients[place].reshape(shape)))
                self.parameters[f"{name}.{index}.{kind}"] = both[-1][0]
                start = place.stop
        self.memory = cache(self._memory)

    def _memory(self, samples: int) -> tuple[list[Array], list[Array], list[Array], Array]:
        """For every layer its outputs, their slopes and the cotangent of its inputs; and a column of ones."""
        inputs, outputs = zip(*[(layer.inputs, layer.outputs) for layer in self.linear.values()], strict=True)
        arrays = [[np.empty((size, samples), np.float32) for size in sizes] for sizes in (outputs, outputs, inputs)]
        return arrays[0], arrays[1], arrays[2], np.ones((samples, 1), np.float32)

    def forward(self, x: Array) -> Array:
        """(inputs, samples) -> (outputs, samples)."""
        outputs, slopes, _, _ = self.memory(x.shape[1])
        self.x = y = x
        for i, ((weight, _), (bias, _)) in enumerate(zip(self.weights, self.biases, strict=True)):
            y = np.matmul(weight, y, out=outputs[i])
            np.add(y, bias, out=y)
            if i < len(self.weights) - 1:
                np.multiply(y, self.slope, out=slopes[i])
                np.maximum(y, slopes[i], out=y)
            elif self.tanh:
                np.tanh(y, out=y)
        return y

    def backward(self, cotangent: Array, some: slice = ALL, *, weights: bool = True, inputs: bool = False) -> Array:
        """Gradients of what the last forward pass did with some of its samples, as far as they are asked for."""
        one, last = np.float32(1), len(self.weights) - 1
        outputs, slopes, cotangents, ones = self.memory(self.x.shape[1])
        for i in range(last, -1, -1):
            y, slope, x = outputs[i][:, some], slopes[i][:, some], (outputs[i - 1] if i else self.x)[:, some]
            if i < last:
                np.greater(y, 0, out=slope)
                np.multiply(slope, one - self.slope, out=slope)
                np.add(slope, self.slope, out=slope)
                np.multiply(cotangent, slope, out=cotangent)
            elif self.tanh:
                np.multiply(y, y, out=slope)
                np.subtract(one, slope, out=slope)
                np.multiply(cotangent, slope, out=cotangent)
            if weights:
                np.matmul(cotangent, x.T, out=self.weights[i][1])
                np.matmul(cotangent, ones[some], out=self.biases[i][1])
            if i or inputs:
                cotangent = np.matmul(self.weights[i][0].T, cotangent, out=cotangents[i][:, some])
        return cotangent

    def adam(self, step: int) -> None:
        correction = math.sqrt(1 - workloads.BETA2**step)
        rate = np.float32(workloads.LEARNING_RATE * correction / (1 - workloads.BETA1**step))
        eps = np.float32(workloads.ADAM_EPS * correction)
        half, beta2, rest = np.float32(workloads.BETA1), np.float32(workloads.BETA2), np.float32(1 - workloads.BETA2)
        for start in range(0, self.values.size, BLOCK):
            p, g, m, v = (array[start : start + BLOCK] for array in (self.values, self.gradients, self.m, self.v))
            change = self.change[: p.size]
            np.add(m, g, out=m)
            np.multiply(m, half, out=m)
            np.multiply(g, g, out=change)
            np.multiply(change, rest, out=change)
            np.multiply(v, beta2, out=v)
            np.add(v, change, out=v)
            np.sqrt(v, out=change)
            np.add(change, eps, out=change)
            np.divide(m, change, out=change)
            np.multiply(change, rate, out=change)
            np.subtract(p, change, out=p)


def logistic(logits: Array, target: int) -> tuple[float, Array]:
    """Mean of BCE(logits, target), and its gradient."""
    sign = np.float32(1 - 2 * target)
    signed = sign * logits
    exponential = np.exp(-np.abs(signed))
    loss = np.maximum(signed, 0) + np.log1p(exponential)
    probability = np.where(signed > 0, np.float32(1), exponential) / (1 + exponential)
    return float(loss.sum()) / logits.size, sign / np.float32(logits.size) * probability


class ByHand:
    def __init__(self, workload: Workload, update: str, *, threads: int, device: str):
        if device != "cpu":
            raise Unavailable("is NumPy")
        if workload.convolutional:
            raise Unavailable("has dense layers only")
        threadpool_limits(threads, user_api="blas")
        self.n = workload.batch
        self.generator = Player("generator", workload.generator)
        self.discriminator = Player("discriminator", workload.discriminator)
        self.images = np.empty((math.prod(workload.image), 2 * self.n), np.float32)
        self.step = self._alternating if update == "alternating" else self._simultaneous

    def load(self, state: dict[str, Array]) -> None:
        self.steps = 0
        for player in (self.generator, self.discriminator):
            for name, array in player.parameters.items():
                array[...] = state[name].reshape(array.shape)
            player.m[...] = player.v[...] = 0

    def use_dropout(self, active: bool) -> None:
        """There is none."""

    def prepare(self, real: Array, latents: Array, fresh_latents: Array) -> Batch:
        return np.ascontiguousarray(real.T), np.ascontiguousarray(latents.T), np.ascontiguousarray(fresh_latents.T)

    def _discriminator_gradients(self, real: Array, latents: Array) -> tuple[float, Array]:
        """The discriminator's loss, and the logits of the fakes. Real and fake images are one batch."""
        n = self.n
        self.images[:, :n] = real
        self.images[:, n:] = self.generator.forward(latents)
        logits = self.discriminator.forward(self.images)
        real_loss, real_gradient = logistic(logits[:, :n], 1)
        fake_loss, fake_gradient = logistic(logits[:, n:], 0)
        self.discriminator.backward(np.concatenate([real_gradient, fake_gradient], axis=1))
        return real_loss + fake_loss, logits[:, n:]

    def _generator_gradients(self, logits: Array, some: slice = ALL) -> float:
        """The generator's loss; `some`: which samples of the discriminator's last pass are its own."""
        loss, gradient = logistic(logits, 1)
        self.generator.backward(self.discriminator.backward(gradient, some, weights=False, inputs=True))
        return loss

    def _alternating(self, batch: Batch) -> tuple[float, float]:
        real, latents, fresh_latents = batch
        self.steps += 1
        discriminator_loss, _ = self._discriminator_gradients(real, latents)
        self.discriminator.adam(self.steps)
        logits = self.discriminator.forward(self.generator.forward(fresh_latents))
        generator_loss = self._generator_gradients(logits)
        self.generator.adam(self.steps)
        return discriminator_loss, generator_loss

    def _simultaneous(self, batch: Batch) -> tuple[float, float]:
        real, latents, _ = batch
        self.steps += 1
        discriminator_loss, fake_logits = self._discriminator_gradients(real, latents)
        generator_loss = self._generator_gradients(fake_logits, slice(self.n, None))
        self.discriminator.adam(self.steps)
        self.generator.adam(self.steps)
        return discriminator_loss, generator_loss

    def read(self, losses: tuple[float, float]) -> tuple[float, float]:
        return losses

    def details(self) -> dict[str, str]:
        return {"numpy": np.__version__}
