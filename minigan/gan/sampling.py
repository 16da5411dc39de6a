"""Images from a trained generator."""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from ..rng import Generator
from .algorithm import GAN

SAMPLES = 101  # random stream of the latents that users ask for
ROW = 8  # images in a row of an interpolation
BATCH = 256


def draw(algorithm: GAN, count: int, seed: int, *, interpolate: bool = False) -> np.ndarray:
    """`count` images (count, C, H, W) in [-1, 1] by the running statistics; the same for the same seed.

    interpolate: rows of 8 images, each from one latent to another along the sphere (count is rounded up to rows).
    """
    rng = Generator(seed, algorithm.backend, stream=SAMPLES)
    if interpolate:
        rows = -(-count // ROW)
        latents = slerp(algorithm, algorithm.latents(rows, rng), algorithm.latents(rows, rng))
    else:
        latents = algorithm.latents(count, rng)
    parts = [algorithm.sample(latents[i : i + BATCH]).numpy() for i in range(0, len(latents), BATCH)]
    return np.concatenate(parts)


def slerp(algorithm: GAN, start: Tensor, end: Tensor) -> Tensor:
    """ROW latents from each row of `start` to that of `end`, at a constant angle to each other (Shoemake 1985)."""
    a, b = start.numpy().astype(np.float64), end.numpy().astype(np.float64)
    cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    angle = np.arccos(cosine.clip(-1, 1))[:, None, None]
    t = np.linspace(0, 1, ROW)[None, :, None]
    path = (np.sin((1 - t) * angle) * a[:, None] + np.sin(t * angle) * b[:, None]) / np.sin(angle)
    return Tensor(algorithm.backend.asarray(path.reshape(-1, a.shape[1]).astype(np.float32)), algorithm.backend)
