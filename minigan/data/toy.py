"""Two-dimensional data on which mode collapse can be seen and counted: float32 (n, 2), points on the host."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .streams import TOY, stream


def ring(n: int, rng: np.random.Generator, modes: int = 8, radius: float = 1.0, std: float = 0.01) -> np.ndarray:
    """n points of a mixture of equally likely Gaussians N(centre, std^2 I), centres on a circle.

    L. Metz et al. 2017, arXiv:1611.02163.
    """
    return _mixture(n, rng, ring_centres(modes, radius), std)


def grid(n: int, rng: np.random.Generator, side: int = 5, spacing: float = 2.0, std: float = 0.05) -> np.ndarray:
    """n points of a mixture of equally likely Gaussians N(centre, std^2 I), centres on a side x side grid.

    A. Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761.
    """
    return _mixture(n, rng, grid_centres(side, spacing), std)


def swiss_roll(n: int, rng: np.random.Generator, std: float = 1 / 30) -> np.ndarray:
    """n points t (cos t, sin t) / 7.5 + N(0, std^2 I), t uniform in [1.5 pi, 4.5 pi]: radius .63 to 1.88.

    The scale and noise of I. Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028.
    """
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    spiral = (t / 7.5)[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)
    return (spiral + std * rng.standard_normal((n, 2))).astype(np.float32)


def ring_centres(modes: int = 8, radius: float = 1.0) -> np.ndarray:
    """The centres radius (cos a, sin a), a = 2 pi k / modes, k < modes: float32 (modes, 2), all distinct."""
    angle = np.linspace(0, 2 * np.pi, modes, endpoint=False)
    return (radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.float32)


def grid_centres(side: int = 5, spacing: float = 2.0) -> np.ndarray:
    """The centres of a side x side grid about the origin, row by row: float32 (side^2, 2)."""
    ticks = spacing * (np.arange(side) - (side - 1) / 2)
    return np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)


def _mixture(n: int, rng: np.random.Generator, centres: np.ndarray, std: float) -> np.ndarray:
    chosen = centres[rng.integers(len(centres), size=n)]  # (n, 2)
    return (chosen + std * rng.standard_normal((n, 2))).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Points:
    """Points without end: every training step draws its own.

    draw(n, rng) -> float32 (n, 2); all but few have both coordinates within +- reach; centres (K, 2) and std: of the
    mixture, None where there is none.
    """

    name: str
    draw: Callable[[int, np.random.Generator], np.ndarray]
    reach: float
    centres: np.ndarray | None = None
    std: float | None = None
    shape = (2,)
    labels = None

    @property
    def checksum(self) -> int:
        """As a data set of images has one: of the name alone, which says all."""
        return zlib.crc32(self.name.encode())

    def batches(
        self, batch_size: int, seed: int, asarray: Callable[[Any], Any] = np.asarray
    ) -> Callable[[int], tuple[Any, None]]:
        """A pure function of the step: its points float32 (batch_size, 2) as `asarray` makes them, and no labels."""
        return lambda step: (asarray(self.draw(batch_size, stream(seed, TOY, step))), None)


POINTS = {
    points.name: points
    for points in (
        Points("ring", ring, 1.5, ring_centres(), 0.01),
        Points("grid", grid, 5.0, grid_centres(), 0.05),
        Points("swiss-roll", swiss_roll, 2.5),
    )
}


def load_points(source: str) -> Points:
    """The points of that name: "ring", "grid" or "swiss-roll"."""
    if source not in POINTS:
        raise ValueError(f"unknown points {source!r}; known: {', '.join(POINTS)}")
    return POINTS[source]
