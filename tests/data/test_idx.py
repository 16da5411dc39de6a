import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigan.data import read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.str[1:]], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("idx")


@given(
    array=st.sampled_from(sorted(CODES)).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    ),
    zipped=st.booleans(),
)
def test_every_array_is_read_back_raw_and_gzipped(folder, array, zipped):
    path = folder / "misleading.gz.raw"
    path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    read = read_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.flags.writeable
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()


SMALL = idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3))  # 4 + 2 * 4 + 6 = 18 bytes


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "truncated: 0 bytes"),
        (SMALL[:3], "truncated: 3 bytes"),
        (SMALL[:11], "truncated: 11 bytes, the sizes of 2 dimensions end at 12"),
        (SMALL[:-1], r"truncated: 17 bytes, expected 18 for uint8 of shape \(2, 3\)"),
        (SMALL + b"!", "trailing bytes: 19 bytes, expected 18"),
        (b"\x01" + SMALL[1:], "not an IDX file: magic number 0x01000802"),
        (b"\0\0\x0a" + SMALL[3:], "not an IDX file: magic number 0x00000a02"),
        (b"\0\0\x08\xff" + SMALL[4:], "not an IDX file: magic number 0x000008ff"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file: magic number 0x89504e47"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "truncated: 16 bytes"),
        (gzip.compress(SMALL)[:-9], "broken gzip"),
        (gzip.compress(SMALL)[:-8] + bytes(8), "broken gzip"),
        (gzip.compress(SMALL)[:10] + b"\xff" * 9, "broken gzip"),
        (gzip.compress(SMALL[:-1]), "truncated: 17 bytes"),
    ],
)
def test_a_bad_file_is_refused_by_name_with_the_reason(tmp_path, content, message):
    path = tmp_path / "some-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"some-images-idx3-ubyte .*{message}"):
        read_idx(path)


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_idx(tmp_path / "absent")
