"""The tuned kernels for NumPy: few passes over memory, in blocks that stay in the cache, on all threads.

Small arrays go straight to the plain NumPy call. Large ones are cut by rules that look at shapes alone, never at the
number of threads, and partial sums are added in a fixed order, so every number of threads gives the same bits; but
for dense products until the first convolution, which BLAS cuts for its own threads (within rounding). A training step
says what it holds (`expect`), so that its bits do not depend on what ran before it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np

from .blas import Blas
from .blockwise import Blockwise
from .buffers import BufferPool
from .channels import ChannelView
from .convolutions import Convolutions
from .layout import inverse, long_rows, memory_order, neighbours, shares, slices
from .reference import ReferenceKernels, per_channel
from .threads import ThreadTeam

LARGE = 1 << 16  # elements: from here on, outputs come from the pool
# To wake a thread, and to wait for one that holds the interpreter, takes some 20 microseconds: what a thread gets to do
# at a time should take longer.
PASS_BLOCK = 1 << 20  # elements of a block for a single operation
BLOCK = 1 << 18  # elements of a block for a chain of operations
SUM_BLOCK = 1 << 19  # elements of a block for sums over all but the channels
ADAM_BLOCK = 1 << 16  # elements of a block for the longest chain, on one thread
ADAM_ALONE = 1 << 20  # elements of a parameter below which one thread is as quick as two beside the threads of BLAS
PRODUCT = 1 << 23  # multiplications of a piece of a matrix product
SHORT = 1 << 10  # numbers that BLAS may add up one after another
TURNED = 1 << 18  # elements of a product, up to which its rows stay fastest in memory
WORDS = 1 << 16  # random words that one thread makes at a time
NORMALS = 1 << 14  # random words made normal numbers at a time: what lies between stays in the cache


class CpuKernels(ReferenceKernels):
    """Kernels on NumPy with `threads` threads; `conv_algorithm` forces one algorithm on every convolution."""

    name = "cpu"

    def __init__(self, threads: int, conv_algorithm: str = "auto"):
        super().__init__(np)
        self.threads = threads
        self.team = ThreadTeam(threads)
        self.blas = Blas(self.team.blas)
        self.pool = BufferPool()
        self.blocks = Blockwise(self.team, self.pool)
        self.convolutions = Convolutions(self.team, self.pool, conv_algorithm)

    def expect(self, convolutions: bool) -> None:
        """Dense layers alone have the threads of BLAS, whatever ran between two steps."""
        self.team.keep_from_blas(convolutions)

    # ---------------------------------------------------------------- memory

    def empty(self, shape, dtype):
        return self.pool.empty(shape, dtype)

    def reshape(self, x, shape):
        if x.size < LARGE or x.flags.c_contiguous:
            return x.reshape(shape)
        try:
            return x.reshape(shape, copy=False)
        except TypeError:  # NumPy 2.0 cannot say whether it would copy
            return x.reshape(shape)
        except ValueError:
            return self.contiguous(x).reshape(shape)

    def contiguous(self, x):
        if x.size < LARGE or x.flags.c_contiguous:
            return np.ascontiguousarray(x)
        out = self.pool.empty(x.shape, x.dtype)
        self.blocks.fill(np.copyto, [out, x], BLOCK)
        return out

    # ----------------------------------------------------------- elementwise

    def _one_pass(self, ufunc, *operands):
        """ufunc(*operands): an array operation of a single pass."""
        if max([np.size(x) for x in operands]) < LARGE or np.result_type(*operands).kind not in "fc":
            return ufunc(*operands)
        return self.blocks.map(lambda out, *blocks: ufunc(*blocks, out=out), operands, PASS_BLOCK)

    def _chain(self, chain, *operands):
        """The array that chain(out, *operands) fills, operands of one shape: several passes over each block."""
        if operands[0].size < LARGE:
            out = np.empty_like(operands[0])
            chain(out, *operands)
            return out
        return self.blocks.map(chain, operands, BLOCK)

    def add(self, a, b):
        return self._one_pass(np.add, a, b)

    def subtract(self, a, b):
        return self._one_pass(np.subtract, a, b)

    def multiply(self, a, b):
        return self._one_pass(np.multiply, a, b)

    def divide(self, a, b):
        return self._one_pass(np.divide, a, b)

    def negative(self, x):
        return self._one_pass(np.negative, x)

    def power(self, x, exponent: float):
        return self._one_pass(np.power, x, exponent)

    def exp(self, x):
        return self._one_pass(np.exp, x)

    def log(self, x):
        return self._one_pass(np.log, x)

    def sqrt(self, x):
        return self._one_pass(np.sqrt, x)

    def sign(self, x):
        return self._one_pass(np.sign, x)

    def tanh(self, x):
        return self._one_pass(np.tanh, x)

    def tanh_grad(self, cotangent, y):
        def chain(out, cotangent, y):
            np.multiply(y, y, out=out)
            np.subtract(1, out, out=out)
            np.multiply(out, cotangent, out=out)

        return self._chain(chain, cotangent, y)

    def sigmoid(self, x):
        if x.dtype.kind == "c":
            return super().sigmoid(x)

        def chain(out, x):
            np.abs(x, out=out)
            np.negative(out, out=out)
            np.exp(out, out=out)
            total = out + 1
            np.maximum(out, np.greater(x, 0, out=self.blocks.empty_like(x, bool)), out=out)
            np.divide(out, total, out=out)

        return self._chain(chain, x)

    def softplus(self, x):
        if x.dtype.kind == "c":
            return super().softplus(x)

        def chain(out, x):
            np.abs(x, out=out)
            np.negative(out, out=out)
            np.exp(out, out=out)
            np.log1p(out, out=out)
            np.add(out, np.maximum(x, 0), out=out)

        return self._chain(chain, x)

    def leaky_relu(self, x, slope: float):
        if not 0 <= slope <= 1 or x.dtype.kind == "c":
            return super().leaky_relu(x, slope)

        def chain(out, x):
            np.multiply(x, slope, out=out)
            np.maximum(x, out, out=out)

        def chain_of_zero(out, x):
            np.clip(x, 0, np.inf, out=out)

        return self._chain(chain if slope else chain_of_zero, x)

    def leaky_relu_grad(self, cotangent, x, slope: float):
        if not 0 <= slope <= 1 or x.dtype.kind == "c":
            return super().leaky_relu_grad(cotangent, x, slope)

        def chain(out, cotangent, x):  # where() and masked copies stumble over every change of sign
            np.greater(x, 0, out=out)
            np.multiply(out, 1 - slope, out=out)
            np.add(out, slope, out=out)  # (1 - slope) + slope rounds to 1
            np.multiply(out, cotangent, out=out)

        def chain_of_zero(out, cotangent, x):  # the bits of the cotangent, or none
            integers = f"i{out.itemsize}"
            bits = np.greater(x, 0, out=out.view(integers))
            np.negative(bits, out=bits)
            np.bitwise_and(bits, cotangent.view(integers), out=bits)

        return self._chain(chain if slope else chain_of_zero, cotangent, x)

    def mask_scale(self, x, mask, scale: float):
        def chain(out, x, mask):
            np.copyto(out, mask)
            np.multiply(out, x, out=out)
            np.multiply(out, scale, out=out)

        return self._chain(chain, x, mask)

    # ------------------------------------------------------------ reductions

    def sum(self, x, axes: tuple[int, ...], keepdims: bool):
        """Blocks along the slowest axis; their sums are added in order. A product with ones is quicker than a sum."""
        if x.ndim == 2 and axes == (0,) and len(x) <= SHORT and x.flags.forc and x.dtype.char in "fd":
            total = np.ones(len(x), x.dtype) @ x
            return total[None] if keepdims else total
        order = memory_order(x)
        if x.size < LARGE or order is None or x.dtype.kind != "f":
            return x.sum(axis=axes, keepdims=keepdims)
        memory = x.transpose(order)
        reduced = tuple(order.index(axis) for axis in axes)
        kept = [1 if axis in reduced else length for axis, length in enumerate(memory.shape)]
        count = len(reduced)
        if sorted(reduced) == list(range(count)):
            total = self._column_sums(memory.reshape(math.prod(memory.shape[:count]), -1))
        else:
            parts = shares(len(memory), x.size / PASS_BLOCK)
            sums = self.team.run(lambda part: np.sum(memory[part], axis=reduced, keepdims=True), parts)
            total = np.sum(sums, axis=0) if 0 in reduced else np.concatenate(sums)
        total = total.reshape(kept).transpose(inverse(order))
        return total if keepdims else total.squeeze(axes)

    def _column_sums(self, x):
        """(R, C) -> (C,)."""
        rows = long_rows(x)
        parts = shares(len(rows), x.size / PASS_BLOCK)
        ones = np.ones(parts[0].stop, x.dtype)
        sums = self.team.run(lambda part: ones[: part.stop - part.start] @ rows[part], parts)
        return np.sum(np.reshape(sums, (-1, x.shape[1])), axis=0)

    # -------------------------------------------------------- linear algebra

    # The activations of dense layers lie with the batch fastest: BLAS is quicker where the weight is its left matrix.

    def matmul(self, a, b):
        if a.ndim != 2 or b.ndim != 2 or a.dtype != b.dtype:
            return np.matmul(a, b)
        turn = a.flags.f_contiguous and len(a) * b.shape[1] <= TURNED
        return self._product(b.T, a.T).T if turn else self._product(a, b)

    def linear(self, x, weight, bias):
        turn = len(x) * len(weight) <= TURNED
        y = self._product(weight, x.T).T if turn else self._product(x, weight.T)
        return y if bias is None else np.add(y, bias, out=y)

    def linear_weight_grad(self, x, y):
        return self._product(y.T, x)

    def _product(self, a, b):
        """a b, in C order, by the threads of BLAS, which cut it best, or by the team where it must be alone."""
        out = self.pool.empty((len(a), b.shape[1]), a.dtype)
        if len(b) == 1:  # (M, 1) x (1, N), which BLAS is slow at
            return np.multiply(a, b, out=out)
        if not self.team.alone:
            return np.matmul(a, b, out=out)
        left, right, turned = (a, b, out) if len(a) >= b.shape[1] else (b.T, a.T, out.T)
        pieces = shares(len(left), out.size * len(b) / PRODUCT)
        self.team.run(lambda rows: np.matmul(left[rows], right, out=turned[rows]), pieces)
        return out

    # ----------------------------------------------------------- convolution

    def conv2d(self, x, weight, bias, geometry, kept=None):
        return self.convolutions.conv2d(x, weight, bias, geometry, kept)

    def conv_transpose2d(self, y, weight, bias, geometry, kept=None):
        return self.convolutions.conv_transpose2d(y, weight, bias, geometry, kept)

    def conv2d_weight_grad(self, x, y, geometry, kept=None):
        return self.convolutions.conv2d_weight_grad(x, y, geometry, kept)

    # ---------------------------------------------------- batch normalisation

    def batch_statistics(self, x):
        """Every block's moments about its own mean, combined in float64 (Chan, Golub and LeVeque 1979)."""
        if x.size < LARGE or x.dtype.kind == "c":
            return super().batch_statistics(x)
        view = ChannelView(x)
        blocks, count = view.of(x), x.size // x.shape[1]

        def moments(part):
            block = blocks[part]
            mean = view.sum(block)
            size = block.size // mean.size
            np.divide(mean, size, out=mean)
            centred = self.pool.empty(block.shape, block.dtype)
            np.subtract(block, view.spread(mean), out=centred)
            rest = view.sum(centred).astype(np.float64) / size  # what float32 rounded off the mean
            np.multiply(centred, centred, out=centred)
            return np.stack([mean + rest, view.sum(centred) - size * rest**2, np.full(rest.shape, size)])

        means, squares, sizes = np.moveaxis(view.run(self.team, SUM_BLOCK, moments), 1, 0)
        mean = np.sum(sizes * means, axis=0) / count
        variance = np.sum(squares + sizes * (means - mean) ** 2, axis=0) / count
        return mean.astype(x.dtype), variance.astype(x.dtype)

    def batch_norm(self, x, gamma, beta, mean, inv_std):
        def chain(out, x, mean, scale, beta):
            np.subtract(x, mean, out=out)
            np.multiply(out, scale, out=out)
            np.add(out, beta, out=out)

        return self._chain(chain, x, *per_channel(x, mean, inv_std * gamma, beta))

    def batch_norm_scale_grad(self, cotangent, x, mean, inv_std):
        if x.size < LARGE or x.dtype.kind == "c":
            return super().batch_norm_scale_grad(cotangent, x, mean, inv_std)
        view = ChannelView(x)
        blocks, cotangents, mean = view.of(x), view.of(cotangent), view.spread(mean)

        def products(part):
            block = blocks[part]
            centred = self.pool.empty(block.shape, block.dtype)
            np.subtract(block, mean[part[1]], out=centred)
            np.multiply(centred, cotangents[part], out=centred)
            return view.sum(centred)

        return np.sum(view.run(self.team, SUM_BLOCK, products), axis=0) * inv_std

    def batch_norm_input_grad(self, cotangent, x, gamma, mean, inv_std, sum_cotangent, sum_product):
        count = x.size // x.shape[1]

        def chain(out, x, cotangent, mean, slope, mean_cotangent, scale):
            np.subtract(x, mean, out=out)
            np.multiply(out, slope, out=out)
            np.subtract(cotangent, out, out=out)
            np.subtract(out, mean_cotangent, out=out)
            np.multiply(out, scale, out=out)

        vectors = (mean, inv_std * sum_product / count, sum_cotangent / count, gamma * inv_std)
        return self._chain(chain, x, cotangent, *per_channel(x, *vectors))

    # ---------------------------------------------------------------- random

    def random_bits(self, key: int, counter: int, count: int):
        out = self.pool.empty((count,), np.uint64)
        self._draw(key, counter, count, lambda part, words: np.copyto(out[part], words))
        return out

    def _draw(self, key: int, counter: int, count: int, take: Callable[[slice, np.ndarray], object]) -> None:
        """take(part, words) for all parts of the words that random_bits gives."""

        def draw(blocks: slice) -> None:
            part = slice(4 * blocks.start, min(4 * blocks.stop, count))
            take(part, np.random.Philox(key=key, counter=counter + blocks.start).random_raw(part.stop - part.start))

        self.team.run(draw, shares(-(-count // 4), count / WORDS))

    def random_normal(self, key: int, counter: int, count: int, dtype):
        """For float32, angles are float32, where NumPy has fast sines: within 2e-6 of the plain twin."""
        if np.dtype(dtype) != np.float32 or sys.byteorder != "little":
            return super().random_normal(key, counter, count, dtype)
        words = self.random_bits(key, counter, -(-count // 2))
        out = self.pool.empty((words.size, 2), np.float32)

        def pairs(part: slice) -> None:
            low, high = words[part].view(np.int32).reshape(-1, 2).T
            angle = low.astype(np.float32) * np.float32(2**-32 * 2 * math.pi)  # from -pi to pi
            u = (high.view(np.uint32) + 1.0) * 2.0**-32
            radius = np.sqrt(-2.0 * np.log(u)).astype(np.float32)
            np.multiply(radius, np.cos(angle), out=out[part, 0])
            np.multiply(radius, np.sin(angle), out=out[part, 1])

        self.team.run(pairs, slices(words.size, NORMALS))
        return out.reshape(-1)[:count]

    def dropout_mask(self, key: int, counter: int, shape, keep: float):
        if len(shape) == 4 or sys.byteorder != "little":
            return super().dropout_mask(key, counter, shape, keep)
        count = math.prod(shape)
        kept = self.pool.empty((count,), bool)

        def compare(part: slice, words: np.ndarray) -> None:
            place = kept[4 * part.start : 4 * part.stop]
            np.less(words.view(np.uint16)[: len(place)], round(keep * 2**16), out=place)

        self._draw(key, counter, -(-count // 4), compare)
        return kept.reshape(shape)

    # ------------------------------------------------------------ optimizers

    def gathered(self, pieces):
        """As the twin: an optimizer's step for a few numbers costs its calls, so small neighbours are made one."""
        runs = neighbours(pieces, lambda run, piece: piece[0].stop - run[0][0].start <= LARGE)
        return [_joined(run) if len(run) > 1 else run[0] for run in runs]

    def sgd_step(self, p, g, velocity, **options):
        step = super().sgd_step
        operands = [p, g] if velocity is None else [p, g, velocity]
        self.blocks.fill(lambda p, g, velocity=None: step(p, g, velocity, **options), operands, BLOCK)

    def rmsprop_step(self, p, g, square, **options):
        step = super().rmsprop_step
        self.blocks.fill(lambda p, g, square: step(p, g, square, **options), [p, g, square], BLOCK)

    def adam_step(self, p, g, m, v, *, lr, beta1, beta2, eps, step, weight_decay, decoupled):
        correction = math.sqrt(1 - beta2**step)
        rate = lr * correction / (1 - beta1**step)

        def chain(p, g, m, v, change=None):
            if change is None:
                change = self.pool.empty(g.shape, g.dtype)
            if weight_decay and decoupled:
                np.multiply(p, 1 - lr * weight_decay, out=p)
            elif weight_decay:
                g = g + weight_decay * p
            self.blas.axpby(1 - beta1, g, beta1, m)
            np.multiply(g, g, out=change)
            self.blas.axpby(1 - beta2, change, beta2, v)
            np.sqrt(v, out=change)
            np.add(change, eps * correction, out=change)
            np.divide(m, change, out=change)
            self.blas.axpby(-rate, change, 1, p)

        if p.size >= (BLOCK if self.team.alone else ADAM_ALONE):
            self.blocks.fill(chain, [p, g, m, v], BLOCK)
        else:
            change = self.pool.empty((min(p.size, ADAM_BLOCK),), p.dtype)
            for part in slices(p.size, ADAM_BLOCK):
                chain(p[part], g[part], m[part], v[part], change[: part.stop - part.start])


def _joined(run: list) -> tuple[slice, np.ndarray]:
    """Neighbouring pieces as one."""
    places, gradients = zip(*run, strict=True)
    return slice(places[0].start, places[-1].stop), np.concatenate(gradients)
