"""Images of your own: a folder of image files, or an .npz; and how images are brought to a model's size.

Whatever comes in leaves as uint8 (N, C, H, W), C being 1 (gray) or 3 (RGB).
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
MODES = {1: "L", 3: "RGB"}


def load_image_folder(folder: str | Path, size: int, channels: int) -> np.ndarray:
    """All images in a folder and its subfolders, ordered by path: uint8 (N, channels, size, size).

    Each is turned upright (EXIF), resized until its shorter side fits, cropped at the centre and converted to
    gray (channels 1) or RGB (3). Transparent pixels become white; of an animation the first frame is taken.
    Raises ValueError for a folder without images and for a file that cannot be read.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.rglob("[!.]*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise ValueError(f"{folder} has no image files: expected some of {' '.join(sorted(SUFFIXES))}")
    images = np.empty((len(paths), size, size, channels), np.uint8)
    for path, target in zip(paths, images, strict=True):
        try:
            with Image.open(path) as image:
                fitted = _fit(_opaque(ImageOps.exif_transpose(image)).convert(MODES[channels]), size)
        # Pillow raises SyntaxError and others for damaged files, and an error of its own for enormous ones.
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path} cannot be read as an image ({error}): repair or remove it") from error
        target[:] = np.asarray(fitted).reshape(target.shape)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def load_npz(path: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Images uint8 (N, C, H, W) and labels int64 (N,) or None: the arrays `images` and `labels` of an .npz.

    `images` has the shape (N, H, W), (N, C, H, W) or (N, H, W, C) with C 1 or 3, and holds uint8, or floats:
    in [-1, 1] if any is negative, otherwise in [0, 1]. Raises ValueError for anything else, NaN included.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("images", "labels") if name in archive}
            names = list(archive)
    except OSError:
        raise
    except Exception as error:  # a damaged archive makes np.load raise almost anything
        raise ValueError(f"{path} cannot be read as an .npz without pickled objects ({error})") from error
    if "images" not in arrays:
        raise ValueError(f"{path} has no array `images`: it has {', '.join(names) or 'no arrays'}")
    images = _channels_first(path, _as_uint8(path, arrays["images"]))
    if "labels" not in arrays:
        return images, None
    labels = arrays["labels"]
    if labels.shape != (len(images),) or labels.dtype.kind not in "ui" or (labels < 0).any():
        raise ValueError(
            f"{path}: `labels` is {labels.dtype} of shape {labels.shape}, "
            f"expected integers of shape ({len(images)},), none negative"
        )
    return images, labels.astype(np.int64)


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 (N, C, H, W) -> (N, C, size, size): the shorter side made to fit (bilinear), the centre kept."""
    n, c, h, w = images.shape
    if h == w == size:
        return images
    resized = np.empty((n, c, size, size), np.uint8)
    for plane, target in zip(images.reshape(-1, h, w), resized.reshape(-1, size, size), strict=True):
        target[:] = np.asarray(_fit(Image.fromarray(plane), size))
    return resized


def to_gray(images: np.ndarray) -> np.ndarray:
    """uint8 (N, 3, H, W) -> (N, 1, H, W): luma .299 R + .587 G + .114 B."""
    rgb = images.transpose(0, 2, 3, 1)
    return np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in rgb])[:, None]


def _fit(image: Image.Image, size: int) -> Image.Image:
    return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


def _opaque(image: Image.Image) -> Image.Image:
    """An image in a mode that converts to gray and RGB without loss of range."""
    if image.mode in ("F", "I") or image.mode.startswith("I;"):
        pixels = np.asarray(image)
        if image.mode == "F" or pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError(f"pixels of mode {image.mode} have no known range")
        return Image.fromarray((pixels // 257).astype(np.uint8))  # 16 bits a pixel, whichever way Pillow keeps them
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image


def _as_uint8(path: Path, images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8 or images.size == 0:
        return images.astype(np.uint8)
    if images.dtype.kind != "f":
        raise ValueError(f"{path}: `images` is {images.dtype}, expected uint8 or floats in [0, 1] or [-1, 1]")
    if not np.isfinite(images).all():
        count = np.count_nonzero(~np.isfinite(images))
        raise ValueError(f"{path}: {count} of {images.size} pixels are NaN or infinite, expected finite floats")
    low, high = images.min(), images.max()
    if low < -1 or high > 1:
        raise ValueError(f"{path}: floats from {low:g} to {high:g}, expected them in [0, 1] or [-1, 1] (or uint8)")
    images = images.astype(np.float32)
    return np.rint((images + 1) * 127.5 if low < 0 else images * 255).astype(np.uint8)


def _channels_first(path: Path, images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        return images[:, None]
    first, last = (images.ndim == 4 and images.shape[axis] in MODES for axis in (1, 3))
    if first == last:
        raise ValueError(
            f"{path}: `images` has shape {images.shape}, expected (N, H, W), or (N, C, H, W) or (N, H, W, C) "
            "with 1 or 3 channels C"
        )
    return np.ascontiguousarray(images if first else images.transpose(0, 3, 1, 2))
