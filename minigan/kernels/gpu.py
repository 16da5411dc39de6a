"""The kernels on an NVIDIA GPU: the reference's names over CuPy arrays, with fused kernels from cuda/*.cu.

A launch costs the host several microseconds whatever it does, so what counts is how many there are. Images are
best NCHW by shape and channels-last in memory: convolutions make them so, and all kernels keep the memory order of
what they are given. Every sum has an order fixed by the shape (no atomics), so results are reproducible.
"""

from __future__ import annotations

import math
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import numpy as np

from .geometry import Geometry, KeptPair
from .gpu_layout import channel_axis, common_order, reordered, summed_channels
from .layout import Order, inverse, neighbours
from .reference import Array, ReferenceKernels

SOURCES = Path(__file__).parent / "cuda"
C_TYPES = {"f": "float", "d": "double"}
BLOCK = 256  # threads of a block
WARP = 32  # threads that read and write memory together
ROWS = 8  # rows that a thread of im2col writes, as in convolution.cu
CHUNK = 64  # positions that a thread of a reduction adds up, unless there are more than MAX_CHUNKS chunks
MAX_CHUNKS = 256
MAX_ELEMENTS = 2**31 - 1  # index arithmetic on the device is in 32 bits
WORD = 2**64 - 1
PIECES = np.dtype([("array", np.uint64, 32), ("end", np.int64, 32)])  # the struct of optimizers.cu
PRECISIONS = {"float32": "COMPUTE_TYPE_DEFAULT", "tf32": "COMPUTE_TYPE_TF32"}


def _real(kernel):
    """float32 and float64 take the CUDA kernel, everything else (complex, integers) its twin."""
    twin = getattr(ReferenceKernels, kernel.__name__)

    @wraps(twin)
    def choose(self, x, *args, **kwargs):
        return (kernel if x.dtype.char in C_TYPES else twin)(self, x, *args, **kwargs)

    return choose


def _in_memory_order(kernel):
    """CuPy writes C order whatever it reads. Shown the axes in memory order, it writes the order of its operands."""

    @wraps(kernel)
    def ordered(self, *operands):
        arrays = [operand for operand in operands if getattr(operand, "ndim", 0)]
        ndim = max((array.ndim for array in arrays), default=0)
        size = max((array.size for array in arrays), default=0)
        order = common_order([array for array in arrays if array.ndim == ndim and array.size == size])
        if order == tuple(range(ndim)):
            return kernel(self, *operands)
        shown = [
            operand.reshape((1,) * (ndim - operand.ndim) + operand.shape).transpose(order)
            if getattr(operand, "ndim", 0)
            else operand
            for operand in operands
        ]
        return kernel(self, *shown).transpose(inverse(order))

    return ordered


class GpuKernels(ReferenceKernels):
    """The kernels over CuPy. precision: "float32", or "tf32" for matrix products of float32 in TF32 (about 1e-3)."""

    name = "gpu"

    def __init__(self, cupy: Any, precision: str = "float32"):
        if precision not in PRECISIONS:
            raise ValueError(f"precision is 'float32' or 'tf32', got {precision!r}")
        if precision == "tf32" and int(cupy.cuda.Device().compute_capability) < 80:
            raise ValueError("TF32 needs a GPU of compute capability 8.0 or more; use precision='float32' on this one")
        super().__init__(cupy)
        self.precision = precision
        self._compute_type = getattr(cupy._core._routines_linalg, PRECISIONS[precision])
        self.products: Any = None  # a Cublas, while a CUDA graph is recorded
        self._functions: dict[tuple[str, str], Any] = {}

    # ----------------------------------------------------------- elementwise

    add = _in_memory_order(ReferenceKernels.add)
    subtract = _in_memory_order(ReferenceKernels.subtract)
    multiply = _in_memory_order(ReferenceKernels.multiply)
    divide = _in_memory_order(ReferenceKernels.divide)
    negative = _in_memory_order(ReferenceKernels.negative)
    power = _in_memory_order(ReferenceKernels.power)
    exp = _in_memory_order(ReferenceKernels.exp)
    log = _in_memory_order(ReferenceKernels.log)
    sqrt = _in_memory_order(ReferenceKernels.sqrt)
    absolute = _in_memory_order(ReferenceKernels.absolute)
    sign = _in_memory_order(ReferenceKernels.sign)
    tanh = _in_memory_order(ReferenceKernels.tanh)
    where = _in_memory_order(ReferenceKernels.where)

    @_real
    def tanh_grad(self, cotangent, y):
        return self._map("tanh_grad", (cotangent, y))

    @_real
    def sigmoid(self, x):
        return self._map("sigmoid", (x,))

    @_real
    def softplus(self, x):
        return self._map("softplus", (x,))

    @_real
    def leaky_relu(self, x, slope: float):
        return self._map("leaky_relu", (x,), float(slope))

    @_real
    def leaky_relu_grad(self, cotangent, x, slope: float):
        return self._map("leaky_relu_grad", (cotangent, x), float(slope))

    @_real
    def mask_scale(self, x, mask, scale: float):
        return self._map("mask_scale", (x, mask), float(scale))

    @_real
    def binary_cross_entropy(self, x, target: float):
        _, (x,) = self._aligned(x)
        return self._reduce("binary_cross_entropy", (x,), 1, 1, float(target), 1 / x.size).reshape(())

    @_real
    def binary_cross_entropy_grad(self, cotangent, x, target: float):
        order, (x,) = self._aligned(x)
        out = self.empty(x.shape, x.dtype)
        numbers = (float(target), 1 / max(x.size, 1))
        self._launch("elementwise", "binary_cross_entropy_grad", x.dtype, x.size, cotangent, x, out, x.size, *numbers)
        return reordered(out, inverse(order))

    def scaled_bytes(self, x):
        order, (x,) = self._aligned(x)
        out = self.empty(x.shape, np.dtype(np.float32))
        self._launch("elementwise", "scaled_bytes", out.dtype, out.size, x, out, out.size)
        return reordered(out, inverse(order))

    def _map(self, name: str, arrays: tuple[Array, ...], *scalars: float) -> Array:
        """One launch of an element-wise kernel; the result has the first array's shape and dtype."""
        order, arrays = self._aligned(*arrays)
        out = self.empty(arrays[0].shape, arrays[0].dtype)
        self._launch("elementwise", name, out.dtype, out.size, *arrays, out, out.size, *scalars)
        return reordered(out, inverse(order))

    # ------------------------------------------------------------ reductions

    @_real
    def sum(self, x, axes: tuple[int, ...], keepdims: bool):
        """As the twin; own kernels where the axes that lie outermost in memory are summed over, at least."""
        order = common_order([x])
        sizes = summed_channels(x.shape, axes, order)
        if sizes is None:
            return super().sum(x, axes, keepdims)
        total = self._reduce("channel_sums", (self.contiguous(reordered(x, order)),), *sizes)
        total = reordered(total.reshape([1 if axis in axes else x.shape[axis] for axis in order]), inverse(order))
        return total if keepdims else total.reshape([n for axis, n in enumerate(x.shape) if axis not in axes])

    def _reduce(self, name: str, arrays: tuple[Array, ...], channels: int, inner: int, *scalars: float) -> Array:
        """Sums over every channel of memory (outer, channels, inner): one launch, or two where there is much to sum."""
        positions = arrays[0].size // channels
        shape, chunk, chunks = _reduction(channels, inner, positions)
        sums = self.empty((chunks, channels), arrays[0].dtype)
        sizes = (channels, inner, positions, chunk)
        self._launch("normalisation", name, sums.dtype, shape, *arrays, sums, *sizes, *scalars)
        return sums[0] if chunks == 1 else self._reduce("channel_sums", (sums,), channels, 1)

    # -------------------------------------------------------- linear algebra
    # Two-dimensional products take transposed operands without a copy.

    def matmul(self, a, b):
        if self.products is not None:
            return self.products.matmul(a, b)
        core = self.xp._core  # the precision holds for this product, not for other users of CuPy
        before = core.get_compute_type("float32")
        core.set_compute_type("float32", self._compute_type)
        try:
            return self.xp.matmul(a, b)
        finally:
            core.set_compute_type("float32", before)

    def linear(self, x, weight, bias):
        y = self.matmul(x, weight.T)
        return y if bias is None else self.xp.add(y, bias, out=y)

    # ----------------------------------------------------------------- shape

    @_real
    def scatter_add(self, cotangent, index, shape):
        """As the twin; whole rows (an embedding's) are added in their order, where add.at leaves it to chance."""
        rows = index[0] if len(index) == 1 else None
        if rows is None or rows.ndim != 1 or rows.dtype.kind not in "iu":
            return super().scatter_add(cotangent, index, shape)
        out = self.empty(shape, cotangent.dtype)
        operands = (self.contiguous(cotangent), self.contiguous(rows.astype(np.int64, copy=False)), out)
        sizes = (out.size, shape[0], math.prod(shape[1:]), rows.size)
        self._launch("elementwise", "scatter_rows", out.dtype, out.size, *operands, *sizes)
        return out

    # ----------------------------------------------------------- convolution

    @_real
    def im2col(self, x, geometry: Geometry) -> Array:
        n, c = x.shape[:2]
        columns = self.empty((n, *geometry.output_size, *geometry.kernel_size, c), x.dtype)
        rows, width = n * math.prod(geometry.output_size), c * math.prod(geometry.kernel_size)
        across = min(max(_power_of_two(width), WARP), BLOCK)
        down = BLOCK // across
        grid = (-(-rows // (down * ROWS)), -(-width // across))
        strides = [stride // x.itemsize for stride in x.strides]
        self._launch(
            "convolution", "im2col", x.dtype, (grid, (across, down)), x, columns, _packed(geometry), rows, c, *strides
        )
        return columns

    @_real
    def col2im(self, columns, geometry: Geometry) -> Array:
        return self._gather(columns, None, geometry)

    def _gather(self, columns, bias, geometry: Geometry) -> Array:
        """col2im, plus a bias (C,) or None, channels-last in memory."""
        n, c = columns.shape[0], columns.shape[-1]
        x = self.empty((n, *geometry.input_size, c), columns.dtype)
        periods = [s // math.gcd(s, d) for s, d in zip(geometry.stride, geometry.dilation, strict=True)]
        bias = 0 if bias is None else self.contiguous(bias)
        arrays = (self.contiguous(columns), bias, x)
        self._launch("convolution", "col2im", x.dtype, x.size, *arrays, _packed(geometry), x.size, c, *periods)
        return x.transpose(0, 3, 1, 2)

    @_real
    def conv2d(self, x, weight, bias, geometry: Geometry, kept: KeptPair = None) -> Array:
        y = super().conv2d(x, weight, None, geometry)
        if bias is not None:
            rows = y.transpose(0, 2, 3, 1)  # as it lies in memory
            self.xp.add(rows, bias, out=rows)
        return y

    @_real
    def conv_transpose2d(self, y, weight, bias, geometry: Geometry, kept: KeptPair = None) -> Array:
        n, o = y.shape[:2]
        rows = y.transpose(0, 2, 3, 1).reshape(-1, o)  # (N OH OW, O) x (O, KH KW C)
        columns = self.matmul(rows, weight.transpose(0, 2, 3, 1).reshape(o, -1))
        columns = columns.reshape(n, *geometry.output_size, *geometry.kernel_size, -1)
        return self._gather(columns, bias, geometry)

    # ---------------------------------------------------- batch normalisation

    @_real
    def batch_statistics(self, x) -> tuple[Array, Array]:
        order, (x,) = self._aligned(x)
        channels, inner = channel_axis(x.shape, order)
        positions = x.size // channels
        shape, chunk, chunks = _reduction(channels, inner, positions)
        means, variances = self.empty((chunks, channels), x.dtype), self.empty((chunks, channels), x.dtype)
        sizes = (channels, inner, positions, chunk)
        self._launch("normalisation", "channel_moments", x.dtype, shape, x, means, variances, *sizes)
        if chunks == 1:
            return means[0], variances[0]
        mean, variance = self.empty((channels,), x.dtype), self.empty((channels,), x.dtype)
        arrays = (means, variances, mean, variance)
        self._launch("normalisation", "merge_moments", x.dtype, channels, *arrays, channels, positions, chunk)
        return mean, variance

    @_real
    def batch_norm(self, x, gamma, beta, mean, inv_std) -> Array:
        return self._normalise("batch_norm", (x,), (gamma, beta, mean, inv_std))

    @_real
    def batch_norm_scale_grad(self, cotangent, x, mean, inv_std) -> Array:
        order, (cotangent, x) = self._aligned(cotangent, x)
        arrays = (cotangent, x, self.contiguous(mean), self.contiguous(inv_std))
        return self._reduce("batch_norm_scale_grad", arrays, *channel_axis(x.shape, order))

    @_real
    def batch_norm_input_grad(self, cotangent, x, gamma, mean, inv_std, sum_cotangent, sum_product) -> Array:
        per_channel = (gamma, mean, inv_std, sum_cotangent, sum_product)
        return self._normalise("batch_norm_input_grad", (cotangent, x), per_channel)

    @_real
    def bias_leaky_relu(self, x, bias, slope: float) -> Array:
        return self._normalise("bias_leaky_relu", (x,), (bias,), float(slope))

    def _normalise(
        self, name: str, arrays: tuple[Array, ...], per_channel: tuple[Array, ...], *scalars: float
    ) -> Array:
        """One launch over arrays (N, C, ...) and arrays (C,)."""
        order, arrays = self._aligned(*arrays)
        x = arrays[0]
        out = self.empty(x.shape, x.dtype)
        operands = (*arrays, *[self.contiguous(array) for array in per_channel], out)
        sizes = (x.size, *channel_axis(x.shape, order))
        self._launch("normalisation", name, x.dtype, x.size, *operands, *sizes, *scalars)
        return reordered(out, inverse(order))

    # ---------------------------------------------------------------- random
    # `counter` may also be a device array of one uint64: a recorded launch then reads the place in the stream anew.

    def random_bits(self, key: int, counter, count: int) -> Array:
        return self._random("random_bits", self.empty((count,), np.uint64), 4, key, counter)

    def random_uniform(self, key: int, counter, count: int, dtype) -> Array:
        return self._random("random_uniform", self.empty((count,), dtype), 4, key, counter)

    def random_normal(self, key: int, counter, count: int, dtype) -> Array:
        return self._random("random_normal", self.empty((count,), dtype), 8, key, counter)

    def dropout_mask(self, key: int, counter, shape, keep: float) -> Array:
        if len(shape) == 4:
            return super().dropout_mask(key, counter, shape, keep)
        return self._random("dropout_mask", self.empty(shape, np.bool_), 16, key, counter, round(keep * 2**16))

    def _random(self, name: str, out: Array, per_thread: int, key: int, counter, *args: int) -> Array:
        start, moved = (0, counter) if _recorded(counter) else (int(counter), 0)
        words = [np.uint64(word & WORD) for word in (key, key >> 64, start)]
        threads = -(-out.size // per_thread)
        dtype = out.dtype if out.dtype.char in C_TYPES else np.dtype(np.float32)
        self._launch("random", name, dtype, threads, out, out.size, *words, moved, *args)
        return out

    # ------------------------------------------------------------ optimizers
    # `rate` and `lr` may also be a device array (Adam's: of `adam_numbers`): a recorded launch then reads it anew.

    def gathered(self, pieces: list[tuple[slice, Array]]) -> list[tuple[slice, Array]]:
        """As the twin: one launch makes one array of up to 32, for which the optimizer's step is one launch."""
        most = PIECES["end"].shape[0]
        runs = neighbours(pieces, lambda run, piece: len(run) < most and piece[1].dtype.char in C_TYPES)
        return [self._gather_pieces(run) if len(run) > 1 else run[0] for run in runs]

    def _gather_pieces(self, run: list[tuple[slice, Array]]) -> tuple[slice, Array]:
        arrays = [self.contiguous(array) for _, array in run]
        start, stop = run[0][0].start, run[-1][0].stop
        out, table = self.empty((stop - start,), arrays[0].dtype), np.zeros(1, PIECES)
        table["array"][0, : len(run)] = [array.data.ptr for array in arrays]
        table["end"][0, : len(run)] = [place.stop - start for place, _ in run]
        self._launch("optimizers", "gather", out.dtype, out.size, table, out, out.size)
        return slice(start, stop), out

    @_real
    def average_step(self, average, value, rate) -> None:
        order = common_order((average, value))
        self._step("average_step", (reordered(average, order), reordered(value, order)), _numbers(rate))

    @_real
    def sgd_step(self, p, g, velocity, *, lr, momentum, nesterov, weight_decay) -> None:
        if velocity is None:
            self._step("sgd_step", (p, g), _numbers(lr), weight_decay)
        else:
            self._step("sgd_momentum_step", (p, g, velocity), _numbers(lr), momentum, nesterov, weight_decay)

    @_real
    def rmsprop_step(self, p, g, square, *, lr, alpha, eps, weight_decay) -> None:
        self._step("rmsprop_step", (p, g, square), _numbers(lr), alpha, eps, weight_decay)

    @_real
    def adam_step(self, p, g, m, v, *, lr, beta1, beta2, eps, step, weight_decay, decoupled) -> None:
        numbers = lr if _recorded(lr) else adam_numbers(lr, beta1, beta2, eps, step, weight_decay, decoupled)
        self._step("adam_step", (p, g, m, v), numbers, beta1, beta2, 0.0 if decoupled else weight_decay)

    def _step(self, name: str, arrays: tuple[Array, ...], changing: Any, *constants: float) -> None:
        """changing: the kernel's first numbers, or a device array of them; constants: its others."""
        p, g, *state = arrays
        if not all(array.flags.c_contiguous for array in (p, *state)):
            raise ValueError(f"{name} writes in place and needs arrays without gaps; give it whole buffers")
        recorded, given = (changing, (0.0,) * changing.size) if _recorded(changing) else (0, changing)
        numbers = [float(number) for number in (*given, *constants)]
        self._launch("optimizers", name, p.dtype, p.size, p, self.contiguous(g), *state, p.size, *numbers, recorded)

    # ---------------------------------------------------------------- launch

    def _launch(self, source: str, name: str, dtype, threads, *args) -> None:
        """Launch a kernel for arrays of dtype: as many threads as there are elements, or (grid, block) as given."""
        if any(getattr(argument, "size", 0) > MAX_ELEMENTS for argument in args):
            raise ValueError(f"{name}: an array of more than 2^31 - 1 elements; use a smaller batch")
        if threads == 0:
            return
        function = self._functions.get((name, dtype.char))
        if function is None:
            code = (SOURCES / f"{source}.cu").read_text()
            module = self.xp.RawModule(code=code, options=(f"-DREAL={C_TYPES[dtype.char]}",))
            function = self._functions[name, dtype.char] = module.get_function(name)
        grid, block = threads if isinstance(threads, tuple) else ((-(-threads // BLOCK),), (BLOCK,))
        function(grid, block, args)

    def _aligned(self, *arrays: Array) -> tuple[Order, tuple[Array, ...]]:
        """A common memory order, and the arrays C-contiguous in it: one that lies otherwise is copied.

        All take the shape of the first.
        """
        shape = arrays[0].shape
        arrays = tuple([x if x.shape == shape else self.xp.broadcast_to(x, shape) for x in arrays])
        order = common_order(arrays)
        return order, tuple([self.contiguous(reordered(array, order)) for array in arrays])


def _recorded(number: Any) -> bool:
    """Whether this is a device array in the place of a number."""
    return getattr(number, "ndim", 0) == 1


def _numbers(number: Any) -> Any:
    """(number,), or the device array in its place."""
    return number if _recorded(number) else (number,)


def adam_numbers(lr, beta1, beta2, eps, step, weight_decay, decoupled) -> tuple[float, float, float]:
    """rate, eps and keep of optimizers.cu: what changes from step to step."""
    correction = math.sqrt(1 - beta2**step)
    return lr * correction / (1 - beta1**step), eps * correction, 1 - lr * weight_decay if decoupled else 1.0


def _reduction(channels: int, inner: int, positions: int) -> tuple[tuple, int, int]:
    """((grid, block), chunk, chunks) of a sum over `positions` positions of each channel: fixed by the shape alone."""
    lanes = min(_power_of_two(channels), WARP) if inner == 1 else 1
    rows = BLOCK // lanes
    chunk = max(CHUNK * rows, -(-positions // MAX_CHUNKS))
    chunks = -(-positions // chunk)
    return ((-(-channels // lanes), chunks), (lanes, rows)), chunk, chunks


def _power_of_two(n: int) -> int:
    """The smallest power of two that is not below n."""
    return 1 << (n - 1).bit_length()


@lru_cache(maxsize=256)
def _packed(g: Geometry) -> np.ndarray:
    """The struct of convolution.cu: an array of one element is passed to a kernel by value."""
    pairs = (g.input_size, g.kernel_size, g.output_size, g.stride, g.corner, g.dilation)
    return np.array(pairs, np.int32).reshape(-1).view("V48")
