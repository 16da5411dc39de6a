"""TensorFlow: one tf.function a step, images as NHWC, TensorFlow's own kernels for batch norm and Adam.

With stride 2 and a 5x5 kernel TensorFlow's "same" padding is one pixel before and two after, where the
other contestants' padding of 2 comes to two before and one after: the mirror image. So this contestant
lives in a mirrored world. Weights and images are flipped in height and width when they are loaded, before
the clock starts; then every loss and gradient is the same number as everywhere else, and every convolution
is TensorFlow's native one.

Choices that measured fastest: tf.raw_ops.ResourceApplyAdam (Keras' Adam is many small operations), and
real and fake images through a dense discriminator as one batch.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before the import: errors only

import numpy as np
import tensorflow as tf
from tensorflow import Tensor, Variable

from contestants import Unavailable, workloads
from contestants.workloads import Workload

Batch = tuple[Tensor, Tensor, Tensor]


def mirrored_order(shape: tuple[int, int, int]) -> np.ndarray:
    """For each feature of a flattened, mirrored (H, W, C) image, its place in the flattened (C, H, W) one."""
    index = np.arange(np.prod(shape)).reshape(shape)
    return index[:, ::-1, ::-1].transpose(1, 2, 0).ravel()


def bce(logits: Tensor, target: float) -> Tensor:
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(logits.shape, target), logits))


class Network:
    """A player: parameters keyed as in the state ("0.weight"), Adam's moments, and the forward pass."""

    def __init__(self, layers: tuple[workloads.Layer, ...]) -> None:
        self.layers = layers
        self.parameters: dict[str, Variable] = {}
        self.running: dict[int, tuple[Variable, Variable]] = {}  # batch norm's mean and variance, by layer
        for index, layer in enumerate(layers):
            match layer:
                case workloads.Linear(inputs, outputs, bias):
                    self._add(index, (inputs, outputs), outputs if bias else None)
                case workloads.Conv(inputs, outputs, kernel):
                    self._add(index, (kernel, kernel, inputs, outputs), outputs if layer.bias else None)
                case workloads.ConvTranspose(inputs, outputs, kernel):
                    self._add(index, (kernel, kernel, outputs, inputs), outputs if layer.bias else None)
                case workloads.BatchNorm(features):
                    self._add(index, (features,), features)
                    self.running[index] = (Variable(tf.zeros(features)), Variable(tf.ones(features)))
        self.moments = [(Variable(tf.zeros_like(p)), Variable(tf.zeros_like(p))) for p in self.trained()]

    def _add(self, index: int, shape: tuple[int, ...], biases: int | None) -> None:
        self.parameters[f"{index}.weight"] = Variable(tf.zeros(shape))
        if biases is not None:
            self.parameters[f"{index}.bias"] = Variable(tf.zeros(biases))

    def trained(self) -> list[Variable]:
        return list(self.parameters.values())

    def native(self, name: str, value: np.ndarray) -> np.ndarray:
        """A parameter, given in PyTorch's layout, in this one: transposed and mirrored."""
        if value.ndim == 4:  # (O, I, H, W), transposed convolution (I, O, H, W) -> (H, W, I, O), (H, W, O, I)
            return value[:, :, ::-1, ::-1].transpose(2, 3, 1, 0)
        index = int(name.split(".")[0])
        for layer in self.layers[:index]:
            if isinstance(layer, workloads.Flatten) and value.ndim == 2:
                value = value[:, mirrored_order(layer.shape)]
        for layer in self.layers[index:]:
            if isinstance(layer, workloads.Unflatten):
                value = value[mirrored_order(layer.shape)]
        return value.T

    def __call__(self, x: Tensor, dropout: bool) -> Tensor:
        for index, layer in enumerate(self.layers):
            weight = self.parameters.get(f"{index}.weight")
            bias = self.parameters.get(f"{index}.bias")
            match layer:
                case workloads.Linear():
                    x = tf.matmul(x, weight)
                case workloads.Conv():
                    x = tf.nn.conv2d(x, weight, layer.stride, "SAME")
                case workloads.ConvTranspose():
                    batch, height, width, _ = x.shape
                    size = (batch, layer.stride * height, layer.stride * width, layer.outputs)
                    x = tf.nn.conv2d_transpose(x, weight, size, layer.stride, "SAME")
                case workloads.BatchNorm():
                    x = self._batch_norm(x, index)
                case workloads.LeakyReLU(slope):
                    x = tf.nn.leaky_relu(x, slope)
                case workloads.Dropout(probability):
                    x = tf.nn.dropout(x, probability) if dropout else x
                case workloads.Unflatten((channels, height, width)):
                    x = tf.reshape(x, (-1, height, width, channels))
                case workloads.Flatten():
                    x = tf.reshape(x, (x.shape[0], -1))
                case workloads.Tanh():
                    x = tf.tanh(x)
                case _:
                    raise TypeError(f"no TensorFlow operation for {layer}")
            if bias is not None and not isinstance(layer, workloads.BatchNorm):
                x = tf.nn.bias_add(x, bias)
        return x

    def _batch_norm(self, x: Tensor, index: int) -> Tensor:
        mean, variance = self.running[index]
        y, new_mean, new_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x if x.shape.rank == 4 else x[:, None, None, :],
            scale=self.parameters[f"{index}.weight"],
            offset=self.parameters[f"{index}.bias"],
            mean=mean,
            variance=variance,
            epsilon=workloads.BATCH_NORM_EPS,
            exponential_avg_factor=workloads.BATCH_NORM_MOMENTUM,
        )
        mean.assign(new_mean)
        variance.assign(new_variance)
        return tf.reshape(y, x.shape)


class TensorFlow:
    def __init__(self, workload: Workload, update: str, *, threads: int, device: str) -> None:
        if device != "cpu":
            raise Unavailable("runs on the CPU only")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.workload = workload
        self.generator, self.discriminator = Network(workload.generator), Network(workload.discriminator)
        self.steps_taken = Variable(0.0)
        self.dropout = True
        step = self._alternating if update == "alternating" else self._simultaneous
        self.compiled_step = tf.function(step, autograph=False)

    def load(self, state: dict[str, np.ndarray]) -> None:
        for player in ("generator", "discriminator"):
            network: Network = getattr(self, player)
            for name, variable in network.parameters.items():
                variable.assign(network.native(name, state[f"{player}.{name}"]))
            for pair in network.moments:
                for moment in pair:
                    moment.assign(tf.zeros_like(moment))
        self.steps_taken.assign(0.0)

    def use_dropout(self, active: bool) -> None:
        self.dropout = active

    def prepare(self, real: np.ndarray, latents: np.ndarray, fresh_latents: np.ndarray) -> Batch:
        if self.workload.convolutional:
            real = real[:, :, ::-1, ::-1].transpose(0, 2, 3, 1)  # (N, C, H, W) -> mirrored (N, H, W, C)
        return tf.constant(real), tf.constant(latents), tf.constant(fresh_latents)

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.compiled_step(*batch, self.dropout)

    def _discriminator_loss(self, real: Tensor, fake: Tensor, dropout: bool) -> tuple[Tensor, Tensor]:
        """The loss, and the logits of the fakes."""
        if self.workload.convolutional:
            real_logits, fake_logits = self.discriminator(real, dropout), self.discriminator(fake, dropout)
        else:
            real_logits, fake_logits = tf.split(self.discriminator(tf.concat([real, fake], 0), dropout), 2)
        return bce(real_logits, 1.0) + bce(fake_logits, 0.0), fake_logits

    def _alternating(
        self, real: Tensor, latents: Tensor, fresh_latents: Tensor, dropout: bool
    ) -> tuple[Tensor, Tensor]:
        self.steps_taken.assign_add(1.0)
        fake = self.generator(latents, dropout)
        discriminator_loss, _ = self._discriminator_loss(real, tf.stop_gradient(fake), dropout)
        self._adam(self.discriminator, tf.gradients(discriminator_loss, self.discriminator.trained()))
        if self.workload.fresh_latents:
            fake = self.generator(fresh_latents, dropout)
        generator_loss = bce(self.discriminator(fake, dropout), 1.0)
        self._adam(self.generator, tf.gradients(generator_loss, self.generator.trained()))
        return discriminator_loss, generator_loss

    def _simultaneous(
        self, real: Tensor, latents: Tensor, fresh_latents: Tensor, dropout: bool
    ) -> tuple[Tensor, Tensor]:
        self.steps_taken.assign_add(1.0)
        fake = self.generator(latents, dropout)
        discriminator_loss, fake_logits = self._discriminator_loss(real, fake, dropout)
        generator_loss = bce(fake_logits, 1.0)
        discriminator_gradients = tf.gradients(discriminator_loss, self.discriminator.trained())
        generator_gradients = tf.gradients(generator_loss, self.generator.trained())
        self._adam(self.discriminator, discriminator_gradients)
        self._adam(self.generator, generator_gradients)
        return discriminator_loss, generator_loss

    def _adam(self, network: Network, gradients: list[Tensor]) -> None:
        beta1_power = workloads.BETA1**self.steps_taken
        beta2_power = workloads.BETA2**self.steps_taken
        for parameter, (m, v), gradient in zip(network.trained(), network.moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=parameter.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=beta1_power,
                beta2_power=beta2_power,
                lr=workloads.LEARNING_RATE,
                beta1=workloads.BETA1,
                beta2=workloads.BETA2,
                epsilon=workloads.ADAM_EPS * tf.sqrt(1 - beta2_power),  # added to the uncorrected root here
                grad=gradient,
            )

    def read(self, losses: tuple[Tensor, Tensor]) -> tuple[float, float]:
        return float(losses[0]), float(losses[1])

    def details(self) -> dict[str, str]:
        return {"tensorflow": tf.__version__}
