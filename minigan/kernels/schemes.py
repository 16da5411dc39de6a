"""Bilinear algorithms for a small correlation: fewer multiplications, by evaluation at points or by frequencies.

A scheme is three matrices, one row a multiplication, with

    sum_{i,k} x[i + k] w[k] y[i]  =  sum_p (X x)_p (W w)_p (Y y)_p        (i, k and i + k are pairs: rows, columns)

The form is the same in all three, so the derivative in any of them is the product of the other two, carried back by a
transposed matrix: one scheme serves the convolution and both its gradients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# By (taps, outputs), beside infinity; these magnify rounding errors least, among simple fractions.
POINTS = {(2, 2): (3 / 4, -3 / 4), (3, 2): (0, 1, -1), (2, 4): (5 / 4, -5 / 4, 3 / 8, -3 / 8)}


class Scheme(NamedTuple):
    """The matrices: x (P, positions of x), w (P, taps), y (P, outputs), two-dimensional positions in C order."""

    x: np.ndarray
    w: np.ndarray
    y: np.ndarray


def toom_cook(taps: int, outputs: int) -> Scheme:
    """One axis: one multiplication for each of taps + outputs - 1 points (Winograd 1980, F(outputs, taps)).

    The polynomial y(t) w(t) is the product of the two values at every point; x is dual to its coefficients.
    """

    def values(coefficients: int) -> np.ndarray:
        at_infinity = np.eye(coefficients)[-1:]
        return np.concatenate([np.vander(POINTS[taps, outputs], coefficients, increasing=True), at_infinity])

    return Scheme(np.linalg.inv(values(taps + outputs - 1)).T, values(taps), values(outputs))


def both_axes(rows: Scheme, columns: Scheme) -> Scheme:
    """The two-dimensional scheme made of two one-dimensional ones."""
    return Scheme(*[np.kron(a, b) for a, b in zip(rows, columns, strict=True)])


def fourier(
    lengths: tuple[int, int], positions: tuple[range, range], taps: tuple[int, int], outputs: tuple[int, int]
) -> Scheme:
    """Circular correlation of the given lengths, with x at the given positions only.

    At frequency f the three transforms are multiplied. Of two conjugate frequencies one is enough, and the complex
    product takes three real ones: with x = a + bi, w = c + di, y = e + gi

        Re(x w y) = (a + b) c (e - g)  -  a (d - c) g  -  b (c + d) e
    """
    rows, columns = lengths
    x, w, y = [], [], []
    for f in range(rows):
        for g in range(columns):
            mirror = (-f % rows, -g % columns)
            if (f, g) > mirror:
                continue
            a, b = _wave(lengths, (f, g), positions)
            c, d = _wave(lengths, (-f, -g), (range(taps[0]), range(taps[1])))
            e, h = _wave(lengths, (-f, -g), (range(outputs[0]), range(outputs[1])))
            if (f, g) == mirror:
                x += [a]
                w += [c]
                y += [e]
            else:
                x += [a + b, a, b]
                w += [c, d - c, c + d]
                y += [2 * (e - h), -2 * h, -2 * e]
    return Scheme(np.array(x), np.array(w), np.array(y) / (rows * columns))


def _wave(lengths: tuple[int, int], frequency: tuple[int, int], positions: tuple[range, range]):
    """cos and sin of the angle at every position."""
    rows, columns = (f * np.array(p) / n for f, p, n in zip(frequency, positions, lengths, strict=True))
    angle = 2 * np.pi * np.add.outer(rows, columns).reshape(-1)
    return np.cos(angle), np.sin(angle)
