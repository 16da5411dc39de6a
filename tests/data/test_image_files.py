import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from minigan.data.images import load_image_folder, load_npz, resize, to_gray


def load_one(folder, image, name="image.png", size=8, channels=3, **options):
    image.save(folder / name, **options)
    (loaded,) = load_image_folder(folder, size, channels)
    return loaded


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_is_read_in_the_order_of_its_paths_subfolders_included(tmp_path, channels):
    (tmp_path / "b").mkdir()
    for level, name in enumerate(["a.png", "b/x.bmp", "c.PNG"]):
        Image.new("L", (8, 8), 10 * level).save(tmp_path / name)
    (tmp_path / "readme.txt").write_text("not an image")
    (tmp_path / "._a.png").write_bytes(b"what some systems leave beside every file")
    images = load_image_folder(tmp_path, 8, channels)
    assert images.shape == (3, channels, 8, 8)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert images[:, 0, 0, 0].tolist() == [0, 10, 20]


def test_an_image_is_made_to_fit_and_cropped_at_the_centre(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = (10, 200, 30)
    image = load_one(tmp_path, Image.fromarray(wide), size=10)
    assert (image == np.array([10, 200, 30]).reshape(3, 1, 1)).mean() > 0.75  # all but the blended edges
    assert (image[:, :, 2:-2] == np.array([10, 200, 30]).reshape(3, 1, 1)).all()


@pytest.mark.parametrize(
    "mode, name, colour",
    [
        ("1", "x.png", 1),
        ("L", "x.png", 255),
        ("LA", "x.png", (255, 255)),
        ("RGB", "x.jpg", (255, 255, 255)),
        ("RGBA", "x.png", (255, 255, 255, 255)),
        ("RGBA", "x.webp", (7, 7, 7, 0)),  # transparent: white, whatever the hidden colour
        ("CMYK", "x.jpg", (0, 0, 0, 0)),
        ("I;16", "x.png", 65535),
        ("I", "x.tiff", 65535),
        ("I;16", "x.tiff", 65535),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_white_is_white_in_every_mode(tmp_path, mode, name, colour, channels):
    image = load_one(tmp_path, Image.new(mode, (9, 7), colour), name, channels=channels)
    assert image.shape == (channels, 8, 8)
    assert (image == 255).all()


def test_sixteen_bits_keep_their_proportions(tmp_path):
    gray = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    image = load_one(tmp_path, Image.fromarray(gray), channels=1)
    assert abs(image[0] / 255 - gray / 65535).max() < 1 / 255


def test_a_transparent_palette_colour_becomes_white(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([9, 9, 9, 0, 0, 255])
    image.putpixel((0, 0), 1)
    loaded = load_one(tmp_path, image, transparency=0)
    assert loaded[:, 0, 0].tolist() == [0, 0, 255]
    assert (loaded[:, 1:] == 255).all()


def test_a_photograph_is_turned_upright(tmp_path):
    image = Image.new("L", (8, 8))
    image.paste(255, (0, 0, 8, 4))  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    loaded = load_one(tmp_path, image, "x.png", channels=1, exif=exif)
    assert (loaded[0, :4] == 0).all()
    assert (loaded[0, 4:] == 255).all()


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(ValueError, match=r"has no image files: expected some of \.bmp .*\.png"):
        load_image_folder(tmp_path, 8, 3)


def damaged(folder):
    path = folder / "x.png"
    Image.fromarray(np.random.default_rng(0).integers(256, size=(64, 64), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])


def unidentified(folder):
    (folder / "x.png").write_bytes(b"GIF? No.")


def float_pixels(folder):
    Image.new("F", (8, 8), 0.5).save(folder / "x.tiff")


def enormous(folder):
    Image.new("1", (20_000, 20_000)).save(folder / "x.png")


@pytest.mark.parametrize("make", [damaged, unidentified, float_pixels, enormous])
def test_an_unreadable_image_is_refused_by_name(tmp_path, make):
    make(tmp_path)
    with pytest.raises(ValueError, match=r"x\.(png|tiff) cannot be read as an image \(.+\): repair or remove it"):
        load_image_folder(tmp_path, 8, 3)


# .npz


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npz")

    def save(**arrays):
        np.savez(folder / "x.npz", **arrays)
        return folder / "x.npz"

    return save


@given(
    pixels=hnp.arrays(np.uint8, st.sampled_from([(2, 1, 5, 4), (2, 3, 5, 4), (0, 3, 5, 4)])),
    dtype=st.sampled_from(["uint8", "float16", "float32", "float64", ">f4"]),
    signed=st.booleans(),
    last=st.booleans(),
)
def test_an_npz_is_read_back_to_the_pixel(npz, pixels, dtype, signed, last):
    if dtype == "uint8":
        stored = pixels
    elif signed and (pixels < 127.5).any():  # without a negative value floats are taken to be in [0, 1]
        stored = (pixels / 127.5 - 1).astype(dtype)
    else:
        stored = (pixels / 255).astype(dtype)
    images, labels = load_npz(npz(images=stored.transpose(0, 2, 3, 1) if last else stored))
    np.testing.assert_array_equal(images, pixels)
    assert images.dtype == np.uint8
    assert labels is None


def test_gray_images_need_no_channel_axis_and_labels_come_along(npz):
    images, labels = load_npz(npz(images=np.ones((3, 5, 4), np.uint8), labels=np.array([4, 5, 6], np.uint8)))
    assert images.shape == (3, 1, 5, 4)
    assert labels.dtype == np.int64
    assert labels.tolist() == [4, 5, 6]


ONES = np.ones((2, 4, 4), np.float32)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"pictures": ONES}, "has no array `images`: it has pictures"),
        ({}, "has no array `images`: it has no arrays"),
        ({"images": np.where(np.eye(4), np.nan, ONES)}, "8 of 32 pixels are NaN or infinite"),
        ({"images": ONES * np.inf}, "32 of 32 pixels are NaN or infinite"),
        ({"images": ONES * 255}, r"floats from 255 to 255, expected them in \[0, 1\] or \[-1, 1\]"),
        ({"images": ONES * -1.5}, "floats from -1.5 to -1.5"),
        ({"images": ONES.astype(np.int64)}, "`images` is int64, expected uint8 or floats"),
        ({"images": ONES[0]}, r"shape \(4, 4\), expected \(N, H, W\)"),
        ({"images": np.ones((2, 4, 4, 4))}, r"shape \(2, 4, 4, 4\), expected .* 1 or 3 channels"),
        ({"images": np.ones((2, 3, 4, 3))}, r"shape \(2, 3, 4, 3\), expected .* 1 or 3 channels"),
        ({"images": np.array([None])}, "cannot be read as an .npz without pickled objects"),
        ({"images": ONES, "labels": np.zeros(3, int)}, r"`labels` is int64 of shape \(3,\), .* shape \(2,\)"),
        ({"images": ONES, "labels": np.zeros(2)}, "`labels` is float64"),
        ({"images": ONES, "labels": np.array([0, -1])}, "none negative"),
    ],
)
def test_a_bad_npz_is_refused_with_the_reason(npz, arrays, message):
    with pytest.raises(ValueError, match=rf"x\.npz.*{message}"):
        load_npz(npz(**arrays))


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no more", b"some text"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz cannot be read as an \.npz"):
        load_npz(path)


# Sizes and channels


def test_resizing_is_bilinear_and_keeps_what_fits():
    images = np.arange(2 * 3 * 6 * 6, dtype=np.uint8).reshape(2, 3, 6, 6)
    assert resize(images, 6) is images
    large = resize(images, 12)
    assert large.shape == (2, 3, 12, 12)
    expected = Image.fromarray(images[1, 2]).resize((12, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(large[1, 2], np.asarray(expected))


def test_gray_is_the_luma_of_rgb():
    rgb = np.zeros((3, 3, 2, 2), np.uint8)
    for channel in range(3):
        rgb[channel, channel] = 255
    assert to_gray(rgb)[:, 0, 0, 0].tolist() == [76, 150, 29]
