"""Which tiles and which scheme a geometry gets: the frequency domain, or evaluation at points (Winograd)."""

from __future__ import annotations

from functools import lru_cache

from .bilinear import Plan
from .geometry import Geometry, Pair
from .schemes import POINTS, both_axes, fourier, toom_cook
from .tiles import Tiles

LONGEST = 9  # circular length of a tile in the frequency domain, at most: its matrices are dense


class UnsuitableShape(ValueError):
    """A convolution algorithm was forced on a shape that it does not take."""


@lru_cache(maxsize=256)
def frequency(geometry: Geometry) -> Plan:
    """Tiles of one circular convolution each; the whole image is one tile where that is not too large."""
    taps = taps_of(geometry)
    if max(geometry.dilation) > 1 or max(taps) > LONGEST or min(_unused(geometry)) < 0:
        raise _unsuitable("frequency", f"kernels of size stride to {LONGEST} * stride", geometry)
    axes = [_circular(geometry, axis, taps[axis]) for axis in (0, 1)]
    lengths, counts, outputs, positions = zip(*axes, strict=True)
    return _plan(geometry, taps, counts, outputs, positions, fourier(lengths, positions, taps, outputs))


@lru_cache(maxsize=256)
def winograd(geometry: Geometry) -> Plan:
    """Tiles of 2x2 outputs: one multiplication for every pair of points, over rows and over columns."""
    return _winograd(geometry, 2)


@lru_cache(maxsize=256)
def winograd_weight_grad(geometry: Geometry) -> Plan:
    """Tiles of 4x4 outputs where a phase has 2x2 taps: sums over all images and tiles bear its larger errors."""
    large = set(taps_of(geometry)) == {2} and min(geometry.output_size) > 2
    return _winograd(geometry, 4) if large else winograd(geometry)


def _winograd(geometry: Geometry, outputs: int) -> Plan:
    taps = taps_of(geometry)
    if max(geometry.dilation) > 1 or not {(r, outputs) for r in taps} <= POINTS.keys() or min(_unused(geometry)) < 0:
        raise _unsuitable("winograd", "kernels of size stride + 1 to 3 * stride", geometry)
    rows, columns = (toom_cook(r, outputs) for r in taps)
    counts = tuple(-(-n // outputs) for n in geometry.output_size)
    positions = tuple(range(r + outputs - 1) for r in taps)
    return _plan(geometry, taps, counts, (outputs, outputs), positions, both_axes(rows, columns))


def taps_of(geometry: Geometry) -> Pair:
    """Kernel taps of one phase, along each axis."""
    rows, columns = (-(-k // s) for k, s in zip(geometry.kernel_size, geometry.stride, strict=True))
    return rows, columns


def _unused(geometry: Geometry) -> Pair:
    """Kernel size less stride: negative where phases of the input meet no tap at all."""
    rows, columns = (k - s for k, s in zip(geometry.kernel_size, geometry.stride, strict=True))
    return rows, columns


def _circular(geometry: Geometry, axis: int, taps: int) -> tuple[int, int, int, range]:
    """Circular length, number of tiles, outputs of a tile, and the positions of its input that can differ from zero."""
    size, stride, corner = geometry.input_size[axis], geometry.stride[axis], geometry.corner[axis]
    outputs = geometry.output_size[axis]
    first = corner // stride
    stop = min((size - 1 + corner) // stride + 1, outputs + taps - 1)
    length = max(stop, outputs + taps - 1 - first)  # what is wrapped around meets nothing but padding
    if length <= LONGEST and first < stop:
        return length, 1, outputs, range(first, stop)
    count = -(-outputs // (LONGEST + 1 - taps))
    outputs = -(-outputs // count)
    return outputs + taps - 1, count, outputs, range(outputs + taps - 1)


def _plan(geometry: Geometry, taps, counts, outputs, positions, scheme) -> Plan:
    stride = geometry.stride
    rows, columns = (p.start * s - c for p, s, c in zip(positions, stride, geometry.corner, strict=True))
    lengths = (len(positions[0]), len(positions[1]))
    return Plan(
        Tiles(geometry.input_size, (rows, columns), counts, outputs, lengths, stride),
        Tiles(geometry.kernel_size, (0, 0), (1, 1), taps, taps, stride),
        Tiles(geometry.output_size, (0, 0), counts, outputs, outputs),
        scheme,
    )


def _unsuitable(name: str, kernels: str, geometry: Geometry) -> UnsuitableShape:
    return UnsuitableShape(
        f"convolution algorithm {name!r} takes {kernels} and dilation 1; got kernel {geometry.kernel_size}, "
        f"stride {geometry.stride}, dilation {geometry.dilation}: use 'im2col' or 'auto'"
    )
