"""Every kernel in plain array code: the definition, and the text a reader reads.

One class, so that the same text runs on NumPy and on CuPy (`xp`), and so that a tuned kernel set is a subclass
that overrides some of these names. Kernels of analytic functions also take complex128 (no conjugation anywhere),
which is what the complex-step gradient test needs. No kernel changes its inputs unless its name ends in `_step`.
"""

from __future__ import annotations

import math
from typing import Any

from .geometry import Geometry, KeptPair

Array = Any  # numpy.ndarray or cupy.ndarray

PHILOX_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
PHILOX_INCREMENTS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
PHILOX_ROUNDS = 10


class ReferenceKernels:
    """The kernels over one array module."""

    name = "reference"

    def __init__(self, xp):
        self.xp = xp

    # ---------------------------------------------------------------- memory

    def empty(self, shape, dtype) -> Array:
        return self.xp.empty(shape, dtype)

    def reshape(self, x, shape) -> Array:
        return x.reshape(shape)

    def contiguous(self, x: Array) -> Array:
        """The same values in C order (itself where it already is)."""
        return self.xp.ascontiguousarray(x)

    def expect(self, convolutions: bool) -> None:
        """What a training step, which is about to begin, will hold: dense layers alone, or convolutions too."""

    # ----------------------------------------------------------- elementwise

    def add(self, a, b):
        return self.xp.add(a, b)

    def subtract(self, a, b):
        return self.xp.subtract(a, b)

    def multiply(self, a, b):
        return self.xp.multiply(a, b)

    def divide(self, a, b):
        return self.xp.divide(a, b)

    def negative(self, x):
        return self.xp.negative(x)

    def power(self, x, exponent: float):
        return self.xp.power(x, exponent)

    def exp(self, x):
        return self.xp.exp(x)

    def log(self, x):
        return self.xp.log(x)

    def sqrt(self, x):
        return self.xp.sqrt(x)

    def absolute(self, x):
        return self.xp.abs(x)

    def sign(self, x):
        return self.xp.sign(x)

    def tanh(self, x):
        return self.xp.tanh(x)

    def tanh_grad(self, cotangent, y):
        """cotangent * (1 - y^2), where y = tanh(x)."""
        return cotangent * (1 - y * y)

    def sigmoid(self, x):
        """1 / (1 + exp(-x)), written so that no x overflows and small values keep their digits."""
        xp = self.xp
        positive = x.real > 0
        e = xp.exp(xp.where(positive, -x, x))
        return xp.where(positive, 1, e) / (1 + e)

    def softplus(self, x):
        """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))."""
        xp = self.xp
        positive = x.real > 0
        return xp.where(positive, x, 0) + xp.log1p(xp.exp(xp.where(positive, -x, x)))

    def binary_cross_entropy(self, x, target: float):
        """mean of softplus(x) - target x = max(x, 0) - target x + log(1 + exp(-|x|)), with no digit lost to x."""
        xp = self.xp
        positive = x.real > 0
        terms = xp.where(positive, (1 - target) * x, -target * x) + xp.log1p(xp.exp(xp.where(positive, -x, x)))
        return terms.sum() / x.size

    def binary_cross_entropy_grad(self, cotangent, x, target: float):
        """cotangent (sigmoid(x) - target) / n for a cotangent of one element; sigmoid(x) - 1 = -sigmoid(-x)."""
        xp = self.xp
        positive = x.real > 0
        e = xp.exp(xp.where(positive, -x, x))
        difference = xp.where(positive, (1 - target) - target * e, (1 - target) * e - target) / (1 + e)
        return cotangent * (1 / x.size) * difference

    def leaky_relu(self, x, slope: float):
        """x where x > 0, slope * x elsewhere; a slope of 0 makes 0 of -inf too."""
        return self.xp.where(x > 0, x, x * slope) if slope else self.xp.maximum(x, 0)

    def leaky_relu_grad(self, cotangent, x, slope: float):
        """cotangent where x > 0, slope * cotangent elsewhere (at 0 too)."""
        return self.xp.where(x > 0, cotangent, cotangent * slope if slope else 0)

    def bias_leaky_relu(self, x, bias, slope: float):
        """leaky_relu(x + bias), x (N, C, ...) and bias (C,)."""
        (bias,) = per_channel(x, bias)
        return self.leaky_relu(x + bias, slope)

    def scaled_bytes(self, x):
        """uint8 from 0 to 255 -> float32 from -1 to 1."""
        return x.astype("float32") * (2 / 255) - 1

    def where(self, condition, a, b):
        return self.xp.where(condition, a, b)

    def mask_scale(self, x, mask, scale: float):
        """x * scale where mask, 0 elsewhere."""
        return x * mask * scale

    # ------------------------------------------------------------ reductions

    def sum(self, x, axes: tuple[int, ...], keepdims: bool):
        return self.xp.sum(x, axis=axes, keepdims=keepdims)

    def max(self, x, axes: tuple[int, ...], keepdims: bool):
        return self.xp.max(x, axis=axes, keepdims=keepdims)

    def min(self, x, axes: tuple[int, ...], keepdims: bool):
        return self.xp.min(x, axis=axes, keepdims=keepdims)

    # -------------------------------------------------------- linear algebra

    def matmul(self, a, b):
        return self.xp.matmul(a, b)

    def linear(self, x, weight, bias):
        """(N, I) x (O, I) -> (N, O): y = x weight' + bias (bias may be None)."""
        y = self.matmul(x, weight.T)
        return y if bias is None else y + bias

    def linear_weight_grad(self, x, y):
        """(N, I) x (N, O) -> (O, I): y' x."""
        return self.matmul(y.T, x)

    # ----------------------------------------------------------------- shape

    def pad(self, x, widths):
        """Zeros around x; widths is ((before, after), ...), one pair an axis."""
        return self.xp.pad(x, widths)

    def scatter_add(self, cotangent, index, shape):
        """The adjoint of x[index]: zeros of `shape`, with the cotangent added in at the index."""
        out = self.xp.zeros(shape, cotangent.dtype)
        self.xp.add.at(out, index, cotangent)
        return out

    # ----------------------------------------------------------- convolution
    # One trilinear form  T(x, w, y) = sum_{n,o,c,i,j,k,l} x[n,c,i*s+k*d-p,j*s+l*d-p] w[o,c,k,l] y[n,o,i,j]
    # and its three partial derivatives: with respect to y, to x, and to w. `kept` is for kernels that transform arrays.

    def im2col(self, x, geometry: Geometry) -> Array:
        """(N, C, H, W) -> (N, OH, OW, KH, KW, C): under every output pixel the patch of input that it sees."""
        n, c = x.shape[:2]
        top, bottom, left, right = geometry.padding
        height, width = geometry.input_size
        padded = self.pad(
            x[:, :, : height + min(bottom, 0), : width + min(right, 0)],
            ((0, 0), (0, 0), (top, max(bottom, 0)), (left, max(right, 0))),
        )
        columns = self.empty((n, *geometry.output_size, *geometry.kernel_size, c), x.dtype)
        for k, l, rows, cols in geometry.taps():
            columns[:, :, :, k, l] = padded[:, :, rows, cols].transpose(0, 2, 3, 1)
        return columns

    def col2im(self, columns, geometry: Geometry) -> Array:
        """The adjoint of im2col: every patch is added back to where it was read."""
        n, c = columns.shape[0], columns.shape[-1]
        top, _, left, _ = geometry.padding
        height, width = geometry.input_size
        rows, cols = (max(r, p + s) for r, p, s in zip(geometry.reach, (top, left), (height, width), strict=True))
        padded = self.xp.zeros((n, c, rows, cols), columns.dtype)
        for k, l, rows, cols in geometry.taps():
            padded[:, :, rows, cols] += columns[:, :, :, k, l].transpose(0, 3, 1, 2)
        return padded[:, :, top : top + height, left : left + width]

    def conv2d(self, x, weight, bias, geometry: Geometry, kept: KeptPair = None) -> Array:
        """dT/dy: (N, C, H, W) x (O, C, KH, KW) -> (N, O, OH, OW), plus a bias (O,) or None."""
        n, c = x.shape[:2]
        columns = self.im2col(x, geometry).reshape(-1, math.prod(geometry.kernel_size) * c)
        y = self.matmul(columns, _rows(weight).T)  # (N OH OW, KH KW C) x (KH KW C, O)
        if bias is not None:
            y = y + bias
        return y.reshape(n, *geometry.output_size, weight.shape[0]).transpose(0, 3, 1, 2)

    def conv_transpose2d(self, y, weight, bias, geometry: Geometry, kept: KeptPair = None) -> Array:
        """dT/dx: (N, O, OH, OW) x (O, C, KH, KW) -> (N, C, H, W), plus a bias (C,) or None."""
        n, o = y.shape[:2]
        c = weight.shape[1]
        columns = self.matmul(y.transpose(0, 2, 3, 1).reshape(-1, o), _rows(weight))  # (N OH OW, KH KW C)
        x = self.col2im(columns.reshape(n, *geometry.output_size, *geometry.kernel_size, c), geometry)
        return x if bias is None else x + bias.reshape(-1, 1, 1)

    def conv2d_weight_grad(self, x, y, geometry: Geometry, kept: KeptPair = None) -> Array:
        """dT/dw: (N, C, H, W) x (N, O, OH, OW) -> (O, C, KH, KW)."""
        c, o = x.shape[1], y.shape[1]
        columns = self.im2col(x, geometry).reshape(-1, math.prod(geometry.kernel_size) * c)
        rows = self.matmul(y.transpose(0, 2, 3, 1).reshape(-1, o).T, columns)  # (O, N OH OW) x (N OH OW, KH KW C)
        return rows.reshape(o, *geometry.kernel_size, c).transpose(0, 3, 1, 2)

    # ---------------------------------------------------- batch normalisation
    # Channels stand on axis 1; every other axis is averaged over. xhat = (x - mean) * inv_std.

    def batch_statistics(self, x) -> tuple[Array, Array]:
        """Mean and biased variance of every channel: two arrays of shape (C,)."""
        axes = other_axes(x)
        mean = x.mean(axis=axes, keepdims=True)
        centred = x - mean
        rest = centred.mean(axis=axes)  # what was rounded off the mean
        return mean.reshape(-1) + rest, (centred * centred).mean(axis=axes) - rest * rest

    def batch_norm(self, x, gamma, beta, mean, inv_std) -> Array:
        """gamma * xhat + beta."""
        gamma, beta, mean, inv_std = per_channel(x, gamma, beta, mean, inv_std)
        return (x - mean) * (inv_std * gamma) + beta

    def batch_norm_scale_grad(self, cotangent, x, mean, inv_std) -> Array:
        """sum of cotangent * xhat over each channel: the gradient in gamma, shape (C,)."""
        mean, inv_std = per_channel(x, mean, inv_std)
        return (cotangent * ((x - mean) * inv_std)).sum(axis=other_axes(x))

    def batch_norm_input_grad(self, cotangent, x, gamma, mean, inv_std, sum_cotangent, sum_product) -> Array:
        """gamma * inv_std * (cotangent - mean(cotangent) - xhat * mean(cotangent * xhat)).

        sum_cotangent and sum_product are the sums over each channel of cotangent and of cotangent * xhat.
        """
        count = x.size // x.shape[1]
        arrays = (gamma, mean, inv_std, sum_cotangent / count, sum_product / count)
        gamma, mean, inv_std, mean_cotangent, mean_product = per_channel(x, *arrays)
        xhat = (x - mean) * inv_std
        return (gamma * inv_std) * (cotangent - mean_cotangent - xhat * mean_product)

    # ---------------------------------------------------------------- random

    def random_bits(self, key: int, counter: int, count: int) -> Array:
        """`count` 64-bit words of the Philox-4x64-10 stream (Salmon et al. 2011) from block `counter` + 1 on.

        A block is four words, a pure function of (key, block number); NumPy's Philox gives the same stream.
        """
        xp = self.xp
        blocks = -(-count // 4)
        low = xp.arange(blocks, dtype=xp.uint64) + xp.uint64((counter + 1) & 0xFFFFFFFFFFFFFFFF)
        words = [low, xp.zeros_like(low), xp.zeros_like(low), xp.zeros_like(low)]
        keys = [key & 0xFFFFFFFFFFFFFFFF, key >> 64]
        for _ in range(PHILOX_ROUNDS):
            high0, low0 = _multiply_64(xp, words[0], PHILOX_MULTIPLIERS[0])
            high1, low1 = _multiply_64(xp, words[2], PHILOX_MULTIPLIERS[1])
            words = [high1 ^ words[1] ^ xp.uint64(keys[0]), low1, high0 ^ words[3] ^ xp.uint64(keys[1]), low0]
            keys = [(k + i) & 0xFFFFFFFFFFFFFFFF for k, i in zip(keys, PHILOX_INCREMENTS, strict=True)]
        return xp.stack(words, axis=1).reshape(-1)[:count]

    def random_uniform(self, key: int, counter: int, count: int, dtype) -> Array:
        """`count` uniform numbers in [0, 1), one word each: its top 53 bits (float64) or 24 bits (float32)."""
        bits = 24 if self.xp.dtype(dtype) == self.xp.float32 else 53
        words = self.random_bits(key, counter, count)
        return ((words >> self.xp.uint64(64 - bits)).astype(self.xp.float64) * 2.0**-bits).astype(dtype)

    def random_normal(self, key: int, counter: int, count: int, dtype) -> Array:
        """`count` standard normal numbers (Box and Muller 1958), in float64 inside: two from every word.

        u = (high half + 1) / 2^32, v = low half / 2^32:  sqrt(-2 log u) cos(2 pi v), then the same with sin.
        """
        xp = self.xp
        words = self.random_bits(key, counter, -(-count // 2))
        u = ((words >> xp.uint64(32)).astype(xp.float64) + 1.0) * 2.0**-32
        angle = (words & xp.uint64(0xFFFFFFFF)).astype(xp.float64) * (2.0**-32 * 2 * math.pi)
        radius = xp.sqrt(-2.0 * xp.log(u))
        pairs = xp.stack((radius * xp.cos(angle), radius * xp.sin(angle)), axis=1)
        return pairs.reshape(-1)[:count].astype(dtype)

    def dropout_mask(self, key: int, counter: int, shape, keep: float) -> Array:
        """Boolean array of `shape`, True with probability round(keep * 2^16) / 2^16.

        Element i takes the 16-bit digit i % 4, lowest first, of word i // 4: in the C order of the shape, but that
        images (N, C, H, W) count the channels fastest, as activations lie in memory.
        """
        xp = self.xp
        if len(shape) == 4:
            n, c, h, w = shape
            return self.dropout_mask(key, counter, (n * h * w * c,), keep).reshape(n, h, w, c).transpose(0, 3, 1, 2)
        count = math.prod(shape)
        words = self.random_bits(key, counter, -(-count // 4))
        shifts = xp.arange(0, 64, 16, dtype=xp.uint64)
        digits = (words[:, None] >> shifts) & xp.uint64(0xFFFF)
        return (digits.reshape(-1)[:count] < xp.uint64(round(keep * 2**16))).reshape(shape)

    # -------------------------------------------------- averages and optimizers
    # One-dimensional arrays, written in place; g is read only.

    def gathered(self, pieces: list[tuple[slice, Array]]) -> list[tuple[slice, Array]]:
        """Gradients and their places in a flat buffer, in order; where it saves time, neighbours are made one."""
        return pieces

    def average_step(self, average, value, rate: float) -> None:
        """average += rate (value - average), of any shape, in place."""
        average += rate * (value - average)

    def sgd_step(self, p, g, velocity, *, lr, momentum, nesterov, weight_decay) -> None:
        """v = momentum v + g;  p -= lr v  (Nesterov: p -= lr (g + momentum v)); velocity None: no momentum."""
        if weight_decay:
            g = g + weight_decay * p
        if velocity is not None:
            velocity *= momentum
            velocity += g
            g = g + momentum * velocity if nesterov else velocity
        p -= lr * g

    def rmsprop_step(self, p, g, square, *, lr, alpha, eps, weight_decay) -> None:
        """s = alpha s + (1 - alpha) g^2;  p -= lr g / (sqrt(s) + eps)."""
        if weight_decay:
            g = g + weight_decay * p
        square *= alpha
        square += (1 - alpha) * (g * g)
        p -= lr * g / (self.xp.sqrt(square) + eps)

    def adam_step(self, p, g, m, v, *, lr, beta1, beta2, eps, step, weight_decay, decoupled) -> None:
        """m, v: moving means of g and g^2;  p -= lr mhat / (sqrt(vhat) + eps), mhat = m / (1 - beta1^step).

        weight_decay is added to g (Adam), or shrinks p directly when decoupled (AdamW).
        """
        if weight_decay and decoupled:
            p *= 1 - lr * weight_decay
        elif weight_decay:
            g = g + weight_decay * p
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * (g * g)
        correction = math.sqrt(1 - beta2**step)
        p -= (lr * correction / (1 - beta1**step)) * m / (self.xp.sqrt(v) + eps * correction)


def other_axes(x) -> tuple[int, ...]:
    """All axes but the channels'."""
    return (0, *range(2, x.ndim))


def per_channel(x, *arrays):
    """Arrays of shape (C,) shaped to broadcast against x (N, C, ...)."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return [array.reshape(shape) for array in arrays]


def _rows(weight):
    """(O, C, KH, KW) -> (O, KH KW C): a copy, unless the memory is channels-last already."""
    return weight.transpose(0, 2, 3, 1).reshape(weight.shape[0], -1)


def _multiply_64(xp, a, b: int):
    """High and low 64 bits of the 128-bit products a * b, by 32-bit halves."""
    mask, half = xp.uint64(0xFFFFFFFF), xp.uint64(32)
    a0, a1 = a & mask, a >> half
    b0, b1 = xp.uint64(b & 0xFFFFFFFF), xp.uint64(b >> 32)
    middle = a0 * b1 + ((a0 * b0) >> half)
    cross = a1 * b0 + (middle & mask)
    return a1 * b1 + (middle >> half) + (cross >> half), a * xp.uint64(b)
