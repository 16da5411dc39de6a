"""Batches of images as pictures: grids, animations, two grids side by side; written whole or not at all."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .files import replacing


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1], or uint8 as it is -> uint8 in [0, 255]; beyond [-1, 1] is clipped.

    Raises ValueError for NaN and for other dtypes.
    """
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise ValueError(f"images are {images.dtype}, expected uint8 or floats in [-1, 1]")
    if np.isnan(images).any():
        raise ValueError(f"{np.isnan(images).sum()} of {images.size} pixels are NaN, expected floats in [-1, 1]")
    return np.rint((images.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def grid(images: np.ndarray, columns: int | None = None, padding: int = 2) -> Image.Image:
    """Images (N, C, H, W), as `to_uint8` takes them, row by row on black; C is 1 (gray) or 3 (RGB).

    `columns` defaults to the square root of N, rounded up; `padding` pixels are around every image.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise ValueError(f"images of shape {images.shape}, expected (N, C, H, W) with 1 or 3 channels C")
    n, c, h, w = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    cells = np.zeros((rows * columns, h + padding, w + padding, c), np.uint8)
    cells[:n, padding:, padding:] = to_uint8(images).transpose(0, 2, 3, 1)
    canvas = cells.reshape(rows, columns, h + padding, w + padding, c).swapaxes(1, 2)
    canvas = canvas.reshape(rows * (h + padding), columns * (w + padding), c)
    canvas = np.pad(canvas, ((0, padding), (0, padding), (0, 0)))
    return Image.fromarray(canvas[..., 0] if c == 1 else canvas)


def scatter(points: np.ndarray, reach: float, size: int = 400) -> Image.Image:
    """Points (N, 2) as dots on white, the origin in the middle, x to the right and y up, the edges at +- reach.

    Raises ValueError for other shapes and for coordinates that are not finite.
    """
    if points.ndim != 2 or points.shape[1] != 2 or 0 in points.shape:
        raise ValueError(f"points of shape {points.shape}, expected (N, 2)")
    if not np.isfinite(points).all():
        raise ValueError(f"{(~np.isfinite(points)).sum()} of {points.size} coordinates are NaN or infinite")
    canvas = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(canvas, "RGBA")
    middle = size / 2
    pen.line([(0, middle), (size, middle)], fill=(0, 0, 0, 40))
    pen.line([(middle, 0), (middle, size)], fill=(0, 0, 0, 40))
    for x, y in middle + points.clip(-2 * reach, 2 * reach) * (middle / reach) * (1, -1):
        pen.ellipse([x - 1.5, y - 1.5, x + 1.5, y + 1.5], fill=(31, 78, 160, 90))
    pen.text((4, size - 14), f"edges: ±{reach:g}", fill="black")
    return canvas


def side_by_side(left: Image.Image, right: Image.Image, titles: tuple[str, str]) -> Image.Image:
    """Two pictures on white, a title above each."""
    margin, font = 8, ImageFont.load_default()
    top = margin + math.ceil(max(font.getbbox(title)[3] for title in titles)) + margin
    mode = "RGB" if "RGB" in (left.mode, right.mode) else "L"
    size = (left.width + right.width + 3 * margin, max(left.height, right.height) + top + margin)
    canvas = Image.new(mode, size, "white")
    draw = ImageDraw.Draw(canvas)
    for x, picture, title in zip((margin, left.width + 2 * margin), (left, right), titles, strict=True):
        draw.text((x, margin), title, fill="black", font=font)
        canvas.paste(picture, (x, top))
    return canvas


def save_png(image: Image.Image, path: str | Path) -> None:
    """Write a PNG, whole or not at all."""
    with replacing(path) as file:
        image.save(file, "PNG")


def save_gif(frames: Sequence[Image.Image], path: str | Path, duration: int = 100, hold: int = 2000) -> None:
    """Write an endless animation, whole or not at all: `duration` ms a frame, `hold` ms the last.

    All frames share the 64 colours that the first, the middle and the last use most: small, and no flicker.
    """
    kinds = {(frame.mode, frame.size) for frame in frames}
    if len(kinds) != 1:
        raise ValueError(f"frames of {sorted(kinds)}, expected at least one, all of one mode and size")
    chosen = [np.asarray(frames[index]) for index in (0, len(frames) // 2, -1)]
    palette = Image.fromarray(np.concatenate(chosen)).quantize(64)
    first, *others = (frame.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    durations = [duration] * len(others) + [hold]
    with replacing(path) as file:
        first.save(file, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
