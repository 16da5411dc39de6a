"""The IDX format of the MNIST files: 0, 0, a type code, the number of dimensions, their sizes, the values.

The first four are a byte each; a size is an unsigned 32-bit integer. All numbers are big-endian.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_DIMENSIONS = 32


def read_idx(path: str | Path) -> np.ndarray:
    """The array in an IDX file, raw or gzipped (told apart by content), in the machine's byte order.

    Raises ValueError for a file that is not IDX, is truncated, has trailing bytes or is broken gzip.
    """
    path = Path(path)
    content = _uncompressed(path)
    if len(content) < 4:
        raise ValueError(f"{path} is truncated: {len(content)} bytes, an IDX file begins with 4")
    zero, code, dimensions = content[:2], content[2], content[3]
    if zero != b"\0\0" or code not in TYPES or dimensions > MAX_DIMENSIONS:
        raise ValueError(
            f"{path} is not an IDX file: magic number 0x{content[:4].hex()}, expected 0x0000TTDD, "
            f"TT one of {', '.join(f'{known:02x}' for known in TYPES)}, DD at most {MAX_DIMENSIONS:02x}"
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError(
            f"{path} is truncated: {len(content)} bytes, the sizes of {dimensions} dimensions end at {start}"
        )
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    dtype = np.dtype(TYPES[code])
    native = dtype.newbyteorder("=")
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        fault = "is truncated" if len(content) < expected else "has trailing bytes"
        raise ValueError(f"{path} {fault}: {len(content)} bytes, expected {expected} for {native} of shape {shape}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(native)


def _uncompressed(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is broken gzip ({error}), expected an intact file: copy it again") from error
