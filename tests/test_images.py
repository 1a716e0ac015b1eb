"""bnnjax.images and bnnjax.png against closed forms, hand-made files and stored TensorFlow."""

import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageCms, PngImagePlugin

from bnnjax import images, png

REFERENCE = np.load(Path(__file__).parent / "reference" / "zoo_resize.npz")
LEVEL = 1 / 255
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
ALPHA = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
ALPHA[0, :2] = 0, 255


def as_unit(pixels):
    return pixels.astype(np.float64) / np.iinfo(pixels.dtype).max


def grey(plane):
    return np.repeat(as_unit(plane)[..., None], 3, axis=-1)


def over_white(colour, alpha):
    a = as_unit(alpha)[..., None]
    return a * colour + (1 - a)


def through_file(picture, suffix, **options):
    buffer = io.BytesIO()
    picture.save(buffer, suffix, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


def assert_picture(image, expected, atol=1e-6):
    assert image.dtype == np.float32
    assert image.shape == expected.shape
    assert image.min() >= 0
    assert image.max() <= 1
    np.testing.assert_allclose(image, expected, rtol=0, atol=atol)


def one_line_error(call, *parts):
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (PIXELS, as_unit(PIXELS)),
        (PIXELS[..., 0], grey(PIXELS[..., 0])),
        (PIXELS[..., :1], grey(PIXELS[..., 0])),
        (np.dstack([PIXELS, ALPHA]), over_white(as_unit(PIXELS), ALPHA)),
        (DEEP, grey(DEEP)),
        (DEEP.astype(">u2"), grey(DEEP)),
        (as_unit(PIXELS), as_unit(PIXELS)),
        (PIXELS[:, ::-1], as_unit(PIXELS)[:, ::-1]),
    ],
)
def test_arrays_of_every_kind(array, expected):
    assert_picture(images.load(array), expected)


def test_half_floats_and_slack_are_clipped():
    image = images.load(np.array([[-5e-4, 0.5, 1.0005]], np.float16))
    assert_picture(image, np.repeat([[[0.0], [0.5], [1.0]]], 3, axis=-1))


def test_a_loaded_array_never_aliases_its_source():
    source = np.full((2, 3, 3), 0.5, np.float32)
    images.load(source)[:] = 0
    assert (source == 0.5).all()


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.full((2, 2, 3), 1.01), "1.01"),
        (np.full((2, 2, 3), -0.01), "-0.01"),
        (np.full((2, 2, 3), np.nan), "nan"),
        (np.full((2, 2, 3), np.inf), "inf"),
        (np.zeros((2, 2, 3), np.int32), "int32"),
        (np.zeros((2, 2, 3), bool), "bool"),
        (np.zeros((2, 2, 2)), "[2, 2, 2]"),
        (np.zeros((1, 2, 2, 3)), "[1, 2, 2, 3]"),
        (np.zeros(3), "[3]"),
        (np.zeros((0, 2, 3)), "[0, 2, 3]"),
        (None, "[]"),
    ],
)
def test_wrong_arrays_are_refused_with_what_was_received(array, part):
    one_line_error(lambda: images.load(array), "image:", part)


# --- modes ----------------------------------------------------------------------------------------


def palette_picture(mode="P"):
    picture = Image.new(mode, (7, 1))
    picture.putpalette(PIXELS[0].tobytes())
    picture.putdata([(i, int(ALPHA[0, i])) if mode == "PA" else i for i in range(7)])
    return picture


RGBA = Image.fromarray(np.dstack([PIXELS, ALPHA]))
LA = Image.merge("LA", [Image.fromarray(PIXELS[..., 0]), Image.fromarray(ALPHA)])


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(PIXELS), as_unit(PIXELS)),
        (Image.fromarray(PIXELS[..., 0]), grey(PIXELS[..., 0])),
        (Image.fromarray(PIXELS[..., 0] > 99), np.repeat(PIXELS[..., :1] > 99, 3, axis=-1)),
        (RGBA, over_white(as_unit(PIXELS), ALPHA)),
        (LA, over_white(grey(PIXELS[..., 0]), ALPHA)),
        (palette_picture(), as_unit(PIXELS[:1])),
        (palette_picture("PA"), over_white(as_unit(PIXELS[:1]), ALPHA[:1])),
        (Image.fromarray(DEEP), grey(DEEP)),
        (Image.fromarray(DEEP.astype(">u2")), grey(DEEP)),
        (Image.fromarray(DEEP.astype(np.int32)), grey(DEEP)),
        (Image.fromarray(as_unit(DEEP).astype(np.float32)), grey(DEEP)),
        (Image.new("HSV", (1, 1), (0, 0, 77)), np.full((1, 1, 3), 77 / 255)),
        (Image.new("YCbCr", (1, 1), (77, 128, 128)), np.full((1, 1, 3), 77 / 255)),
        (Image.new("RGBX", (1, 1), (77, 78, 79, 5)), np.array([[[77, 78, 79]]]) / 255),
        (Image.new("CMYK", (1, 1), (255, 0, 0, 0)), np.array([[[0, 1, 1]]])),
        (Image.new("CMYK", (1, 1), (0, 0, 0, 255)), np.array([[[0, 0, 0]]])),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_modes_of_pil_images(picture, expected):
    assert_picture(images.load(picture), expected)


@pytest.mark.parametrize("picture", [RGBA, LA], ids=["RGBa", "La"])
def test_premultiplied_alpha(picture):
    # Premultiplying in 8 bits rounds colours, the more the less of them shows.
    assert_picture(
        images.load(picture.convert(picture.mode[:-1] + "a")), images.load(picture), LEVEL
    )


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("png", {}), ("tiff", {}), ("tiff", {"compression": "tiff_lzw"}), ("ppm", {})],
)
def test_sixteen_bit_grey_files(suffix, options):
    picture = through_file(Image.fromarray(DEEP), suffix, **options)
    assert picture.mode.startswith("I")
    assert_picture(images.load(picture), grey(DEEP))


def test_sixteen_bit_grey_file_of_the_other_byte_order():
    picture = through_file(Image.fromarray(DEEP.astype(">u2")), "tiff")
    assert picture.mode == "I;16B"
    assert_picture(images.load(picture), grey(DEEP))


def test_float_files_keep_their_precision():
    values = np.array([[0, 1e-5, 0.3, 1]], np.float32)
    image = images.load(through_file(Image.fromarray(values), "tiff"))
    assert (image == values[..., None]).all()


@pytest.mark.parametrize(
    ("picture", "part"),
    [
        (Image.fromarray(np.array([[0, 70000]], np.int32)), "70000"),
        (Image.fromarray(np.array([[-1, 7]], np.int32)), "-1"),
        (Image.new("L", (2, 2), 200).convert("F"), "200"),
        (Image.new("RGB", (0, 2)), "[2, 0, 3]"),
        (Image.new("F", (0, 2)), "[2, 0, 1]"),
        (Image.new("I", (0, 2)), "[2, 0, 1]"),
    ],
)
def test_pil_images_out_of_range_or_empty_are_refused(picture, part):
    one_line_error(lambda: images.load(picture), "PIL image", part)


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_alpha_survives_files(suffix):
    lossless = {"lossless": True, "exact": True} if suffix == "webp" else {}
    picture = through_file(RGBA, suffix, **lossless)
    assert_picture(images.load(picture), over_white(as_unit(PIXELS), ALPHA))


def test_palette_alpha_of_png():
    picture = through_file(palette_picture(), "png", transparency=ALPHA[0].tobytes())
    assert picture.mode == "P"
    assert_picture(images.load(picture), over_white(as_unit(PIXELS[:1]), ALPHA[:1]))


def test_transparent_palette_index_of_gif():
    expected = as_unit(PIXELS[:1])
    expected[0, 3] = 1
    assert_picture(images.load(through_file(palette_picture(), "gif", transparency=3)), expected)


@pytest.mark.parametrize(
    ("picture", "transparent"),
    [
        (Image.fromarray(PIXELS), tuple(map(int, PIXELS[2, 4]))),
        (Image.fromarray(PIXELS[..., 0]), int(PIXELS[2, 4, 0])),
        (Image.fromarray(DEEP), int(DEEP[2, 4])),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_transparent_colour_of_png(picture, transparent):
    stored = np.asarray(picture)
    expected = images.load(picture).copy()
    hit = stored == np.array(transparent)
    expected[hit.all(-1) if stored.ndim == 3 else hit] = 1
    image = images.load(through_file(picture, "png", transparency=transparent))
    assert image[2, 4].tolist() == [1, 1, 1]
    assert_picture(image, expected)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_the_first_frame_of_an_animation(suffix):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if suffix == "webp" else {}
    animation = through_file(frames[0], suffix, save_all=True, append_images=frames[1:], **lossless)
    assert animation.n_frames == 3
    assert_picture(images.load(animation), np.broadcast_to([1.0, 0.0, 0.0], (3, 4, 3)))


def test_inverted_cmyk_of_adobe_jpeg():
    data = io.BytesIO()
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(data, "jpeg", quality=95)
    assert b"Adobe" in data.getvalue()
    red = np.broadcast_to([1.0, 0.0, 0.0], (16, 16, 3))
    assert_picture(images.load(Image.open(data)), red, 3 * LEVEL)


@pytest.mark.parametrize("picture", [Image.fromarray(PIXELS), palette_picture()])
@pytest.mark.parametrize("name", ["transparency", "icc_profile", "exif", "gamma"])
def test_png_text_cannot_pose_as_something_else(picture, name):
    info = PngImagePlugin.PngInfo()
    info.add_text(name, "1")
    assert_picture(images.load(through_file(picture, "png", pnginfo=info)), images.load(picture))


# --- EXIF orientation -----------------------------------------------------------------------------

# TIFF 6.0, tag 274: where the first row and the first column of the file belong in the scene.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def orientation_tag(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "jpeg"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_orientation_is_turned_upright(orientation, suffix, tmp_path):
    flat = np.kron(PIXELS[:2, :3], np.ones((8, 8, 1), np.uint8))  # blocks that JPEG keeps
    options = {"jpeg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}
    path = tmp_path / f"picture.{suffix}"
    exif = orientation_tag(orientation)
    Image.fromarray(flat).save(path, suffix, exif=exif, **options.get(suffix, {}))
    tolerance = 2 * LEVEL if suffix == "jpeg" else 1e-6
    assert_picture(images.load(path), as_unit(UPRIGHT[orientation](flat)), tolerance)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0nonsense", b"Exif\0\0"]
)
def test_damaged_exif_is_ignored(exif):
    picture = through_file(Image.fromarray(PIXELS), "png", exif=exif)
    assert_picture(images.load(picture), as_unit(PIXELS))


def test_unknown_orientation_is_ignored():
    picture = through_file(Image.fromarray(PIXELS), "png", exif=orientation_tag(9))
    assert_picture(images.load(picture), as_unit(PIXELS))


# --- colour profiles ------------------------------------------------------------------------------


def fixed(*values):
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def make_profile(space, connection, tags):
    """An ICC profile, version 2.4, from its colour spaces and tags (ICC.1:2001-04)."""
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x", start + len(body), 0x02400000, b"prtr", space, connection, b"acsp"
    )
    return (header + fixed(0.9642, 1, 0.8249)).ljust(128, b"\0") + table + body


def xyz(*values):
    return b"XYZ \0\0\0\0" + fixed(*values)


LINEAR = b"curv\0\0\0\0" + struct.pack(">I", 0)  # a curve of no entries is the identity
WHITE = xyz(0.9642, 1, 0.8249)
# Linear light and sRGB's primaries (D50), of which red and green have changed places.
SWAPPED = make_profile(
    b"RGB ",
    b"XYZ ",
    {
        b"wtpt": WHITE,
        b"rXYZ": xyz(0.38515, 0.71687, 0.09708),
        b"gXYZ": xyz(0.43607, 0.22249, 0.01392),
        b"bXYZ": xyz(0.14307, 0.06061, 0.71410),
        b"rTRC": LINEAR,
        b"gTRC": LINEAR,
        b"bTRC": LINEAR,
    },
)
GAMMA = 1.8
CURVE = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(GAMMA * 256))
GREY = make_profile(b"GRAY", b"XYZ ", {b"wtpt": WHITE, b"kTRC": CURVE})


def black_ink_profile():
    """CMYK whose lightness is L* = 100 (1 − K) and whose other inks are water."""
    ramp = bytes(range(256))
    nodes = b"".join(bytes([0 if node & 1 else 255, 128, 128]) for node in range(16))
    matrix = fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + 4 * ramp + nodes + 3 * ramp
    return make_profile(b"CMYK", b"Lab ", {b"wtpt": WHITE, b"A2B0": table})


def encode(linear):
    """IEC 61966-2-1: light to sRGB."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def grey_of_lightness(lightness):
    """CIE 15: L* to luminance, then to sRGB."""
    root = (lightness + 16) / 116
    return encode(np.where(root > 6 / 29, root**3, 3 * (6 / 29) ** 2 * (root - 4 / 29)))


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_matrix_profile(suffix):
    lossless = {"lossless": True} if suffix == "webp" else {}
    picture = through_file(Image.fromarray(PIXELS), suffix, icc_profile=SWAPPED, **lossless)
    assert_picture(images.load(picture), encode(as_unit(PIXELS))[..., [1, 0, 2]], 1.5 * LEVEL)


def test_profile_under_alpha():
    picture = through_file(RGBA, "png", icc_profile=SWAPPED)
    expected = over_white(encode(as_unit(PIXELS))[..., [1, 0, 2]], ALPHA)
    assert_picture(images.load(picture), expected, 1.5 * LEVEL)


def test_profile_of_a_palette():
    picture = through_file(palette_picture(), "png", icc_profile=SWAPPED)
    assert picture.mode == "P"
    assert_picture(images.load(picture), encode(as_unit(PIXELS[:1]))[..., [1, 0, 2]], 1.5 * LEVEL)


def test_profile_and_orientation_together():
    exif = orientation_tag(6)
    picture = through_file(Image.fromarray(PIXELS), "png", icc_profile=SWAPPED, exif=exif)
    expected = encode(as_unit(UPRIGHT[6](PIXELS)))[..., [1, 0, 2]]
    assert_picture(images.load(picture), expected, 1.5 * LEVEL)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(PIXELS[..., 0]), encode(grey(PIXELS[..., 0]) ** GAMMA)),
        (LA, over_white(encode(grey(PIXELS[..., 0]) ** GAMMA), ALPHA)),
        (Image.fromarray(DEEP), encode(grey(DEEP) ** GAMMA)),
    ],
    ids=["L", "LA", "I;16"],
)
def test_grey_profile(picture, expected):
    image = images.load(through_file(picture, "png", icc_profile=GREY))
    assert_picture(image, expected, 2 * LEVEL)


def test_sixteen_bits_keep_their_steps_under_an_unfitting_profile():
    ramp = np.arange(30000, 30100, dtype=np.uint16)[None]
    image = images.load(through_file(Image.fromarray(ramp), "png", icc_profile=SWAPPED))
    assert_picture(image, grey(ramp))


def test_cmyk_profile():
    inks = np.zeros((1, 256, 4), np.uint8)
    inks[..., 0], inks[..., 3] = 255, np.arange(256)
    picture = Image.frombytes("CMYK", (256, 1), inks.tobytes())
    image = images.load(through_file(picture, "tiff", icc_profile=black_ink_profile()))
    expected = grey_of_lightness(100 * (1 - np.arange(256) / 255))
    assert_picture(image, np.repeat(expected[None, :, None], 3, axis=-1), 2 * LEVEL)


@pytest.mark.parametrize("embedded", [True, False])
def test_lab_pictures(embedded):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes() if embedded else None
    lightness = np.arange(0, 256, 5, dtype=np.uint8)
    bands = [Image.fromarray(band[None]) for band in (lightness, *[0 * lightness + 128] * 2)]
    image = images.load(through_file(Image.merge("LAB", bands), "tiff", icc_profile=lab))
    expected = grey_of_lightness(lightness / 2.55)
    assert_picture(image, np.repeat(expected[None, :, None], 3, axis=-1), 2 * LEVEL)


def test_srgb_profile_changes_next_to_nothing():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = through_file(Image.fromarray(PIXELS), "png", icc_profile=srgb)
    assert_picture(images.load(picture), as_unit(PIXELS), 1.01 * LEVEL)


@pytest.mark.parametrize(
    "profile",
    [
        b"nonsense",
        SWAPPED[:140],
        SWAPPED[:128] + bytes(200),
        GREY,
        black_ink_profile(),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes(),
    ],
    ids=["nonsense", "cut", "zeros", "grey", "cmyk", "xyz"],
)
def test_a_broken_or_unfitting_profile_is_ignored(profile):
    picture = through_file(Image.fromarray(PIXELS), "png", icc_profile=profile)
    assert_picture(images.load(picture), as_unit(PIXELS))


# --- files and their errors -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_paths(kind, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "böse 画.png")
    assert_picture(images.load(kind(tmp_path / "böse 画.png")), as_unit(PIXELS))


def test_loading_leaves_a_pil_image_as_it_was():
    picture = through_file(RGBA, "png", icc_profile=SWAPPED, exif=orientation_tag(6))
    info = dict(picture.info)
    first = images.load(picture)
    assert picture.size == RGBA.size
    assert picture.info == info
    assert (images.load(picture) == first).all()


def test_missing_folder_and_foreign_files(tmp_path):
    (tmp_path / "notes.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    one_line_error(lambda: images.load(tmp_path / "none.png"), "none.png", "No such file")
    one_line_error(lambda: images.load(tmp_path), str(tmp_path), "directory")
    one_line_error(lambda: images.load(tmp_path / "notes.png"), "notes.png", "cannot identify")
    one_line_error(lambda: images.load(tmp_path / "empty.png"), "empty.png", "cannot identify")
    one_line_error(lambda: images.load("a\0b.png"), "a\0b.png")


@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "tiff", "bmp", "ppm", "gif"])
def test_truncated_files(suffix, tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(path, suffix)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    one_line_error(lambda: images.load(path), str(path))


def test_decompression_bombs(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    one_line_error(lambda: images.load(tmp_path / "bomb.png"), "bomb.png", "bomb")


FILES = [
    (suffix, through_file(RGBA.convert(mode), suffix, **options).fp.getvalue())
    for suffix, mode, options in (
        ("png", "RGBA", {"icc_profile": SWAPPED, "exif": orientation_tag(6)}),
        ("jpeg", "RGB", {"icc_profile": SWAPPED, "exif": orientation_tag(6)}),
        ("tiff", "RGB", {"icc_profile": SWAPPED, "exif": orientation_tag(6)}),
        ("gif", "P", {"transparency": 3}),
        ("webp", "RGBA", {"lossless": True}),
    )
]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    file=st.sampled_from(FILES),
    damage=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
)
@pytest.mark.filterwarnings("ignore")
def test_damage_anywhere_gives_a_picture_or_one_line(file, damage, tmp_path):
    suffix, data = file[0], bytearray(file[1])
    for position, value in damage:
        data[position % len(data)] = value
    path = tmp_path / f"damaged.{suffix}"
    path.write_bytes(data)
    try:
        image = images.load(path)
    except ValueError as error:
        good = str(error).startswith(str(path)) and "\n" not in str(error)
    else:
        good = image.shape[2] == 3 and ((image >= 0) & (image <= 1)).all()
    assert good


# --- sizes ----------------------------------------------------------------------------------------


def resampling(length, size, kernel, support):
    """[size, length]: a kernel at pixel centres, widened to antialias, normalised."""
    scale = length / size
    centre = (np.arange(size)[:, None] + 0.5) * scale
    x = (np.arange(length) + 0.5 - centre) / max(scale, 1)
    weight = np.where(np.abs(x) < support, kernel(x), 0)
    return weight / weight.sum(1, keepdims=True)


def lanczos(x):
    return np.sinc(x) * np.sinc(x / 3)


def keys(x):
    x = np.abs(x)
    return np.where(x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)


def separable(image, height, width, kernel, support):
    rows = resampling(image.shape[0], height, kernel, support)
    columns = resampling(image.shape[1], width, kernel, support)
    return np.einsum("yh,hwc,xw->yxc", rows, image, columns)


@pytest.mark.parametrize(("height", "width"), [(9, 5), (40, 61), (23, 31), (23, 5), (1, 1)])
def test_resize_is_antialiased_lanczos(height, width):
    image = np.random.default_rng(2).uniform(size=(23, 31, 3)).astype(np.float32)
    expected = np.clip(separable(image, height, width, lanczos, 3), 0, 1)
    assert_picture(images.resize(image, height=height, width=width), expected, 2e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_fit_gives_the_shorter_side_and_keeps_the_ratio(height, width, size):
    fitted = images.fit(np.full((height, width, 3), 0.25, np.float32), size=size)
    long_side = size * max(height, width) / min(height, width)
    sides = fitted.shape[:2]
    assert min(sides) == size
    assert abs(max(sides) - long_side) <= 0.5
    assert (height <= width) == (sides[0] <= sides[1]) or sides[0] == sides[1]
    np.testing.assert_allclose(fitted, 0.25, atol=1e-6)


def test_fit_to_its_own_size_changes_nothing():
    image = images.load(PIXELS)
    assert (images.fit(image, size=5) == image).all()


@pytest.mark.parametrize(("size", "top", "left"), [(5, 0, 1), (4, 0, 1), (3, 1, 2), (1, 2, 3)])
def test_center_crop(size, top, left):
    image = images.load(PIXELS)
    cropped = images.center_crop(image, size=size)
    assert (cropped == image[top : top + size, left : left + size]).all()
    cropped[:] = 0
    assert (image == images.load(PIXELS)).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda image: images.resize(image, height=0, width=3),
        lambda image: images.fit(image, size=0),
        lambda image: images.center_crop(image, size=6),
        lambda image: images.center_crop(image, size=0),
        lambda image: images.zoo_crop_resize(image, size=0),
        lambda image: images.zoo_crop_resize(image[:1]),
        lambda image: images.pillow_crop_resize(image, size=-32),
        lambda image: images.fit(PIXELS, size=3),
        lambda image: images.fit(image[..., :2], size=3),
        lambda image: images.fit(image[None], size=3),
        lambda image: images.fit(image[:0], size=3),
        lambda image: images.zoo_crop_resize(image[..., 0]),
    ],
)
def test_wrong_sizes_and_arrays_are_refused(call):
    one_line_error(lambda: call(images.load(PIXELS)), "image: ")


# --- the zoo's preprocessing ----------------------------------------------------------------------


@pytest.mark.parametrize("case", range(len(REFERENCE["cases"])))
def test_zoo_crop_resize_equals_tensorflow(case):
    height, width, size, stride = (int(n) for n in REFERENCE["cases"][case])
    drawn = np.random.default_rng(case).uniform(0, 255, (height, width, 3)).astype(np.float32)
    image = images.zoo_crop_resize(drawn, size=size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.float32
    expected = REFERENCE[f"output_{case}"]
    np.testing.assert_allclose(image[::stride, ::stride], expected, rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 300), st.integers(2, 300))
def test_zoo_crop_is_seven_eighths_and_an_odd_margin_is_above(height, width):
    """At 224, seen from the first pixel, which lies on a pixel of the crop."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack([rows, columns, 0 * rows], axis=-1)
    side = 7 * min(height, width) // 8
    corner = [math.ceil((height - side) / 2), math.ceil((width - side) / 2)]
    resized = images.zoo_crop_resize(image)
    np.testing.assert_allclose(resized[0, 0, :2], corner, atol=1e-4)
    if side == 224:
        assert (resized == image[corner[0] :, corner[1] :][:224, :224]).all()


def test_zoo_resize_between_pixels():
    """Twice the size: every other pixel lies halfway, where a = −0.75 weighs −3, 19, 19, −3."""
    image = np.random.default_rng(3).uniform(size=(32, 32, 3)).astype(np.float32)
    resized = images.zoo_crop_resize(image, size=32)
    crop = image[8:24, 8:24].astype(np.float64)
    np.testing.assert_array_equal(resized[::2, ::2], crop)
    padded = np.pad(crop, ((0, 0), (1, 2), (0, 0)), mode="edge")
    halves = sum(w * padded[:, k : k + 16] for k, w in enumerate((-3, 19, 19, -3))) / 32
    np.testing.assert_allclose(resized[::2, 1::2], halves, atol=1e-6)


def test_pillow_crop_resize():
    image = np.random.default_rng(4).uniform(size=(70, 50, 3)).astype(np.float32)
    crop = image[22:47, 12:37]  # 32 / 64 of 50
    expected = separable(crop, 32, 32, keys, 2)
    resized = images.pillow_crop_resize(image, size=32)
    np.testing.assert_allclose(resized, expected, atol=2e-6)
    assert resized.min() < 0 or resized.max() > 1


# --- PNG ------------------------------------------------------------------------------------------


def chunks(path):
    """(type, content) of every chunk, checksums verified (PNG specification, 5.3)."""
    data = Path(path).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, found = 8, []
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        assert checksum == zlib.crc32(kind + body)
        found.append((kind, body))
        position += 12 + length
    return found


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9).map(lambda s: (*s, 3))))
def test_bytes_loaded_saved_and_loaded_are_the_same(tmp_path, pixels):
    loaded = images.load(pixels)
    png.save_png(tmp_path / "a.png", loaded, overwrite=True)
    assert (np.asarray(Image.open(tmp_path / "a.png")) == pixels).all()
    assert (images.load(tmp_path / "a.png") == loaded).all()


def test_the_file_is_eight_bit_srgb_with_international_text(tmp_path):
    png.save_png(tmp_path / "a.png", images.load(PIXELS), metadata={"Title": "Woge 波"})
    found = chunks(tmp_path / "a.png")
    assert found[0] == (b"IHDR", struct.pack(">IIBBBBB", 7, 5, 8, 2, 0, 0, 0))
    assert (b"sRGB", b"\0") in found
    assert (b"iTXt", b"Title\0\0\0\0\0" + "Woge 波".encode()) in found
    assert found[-1] == (b"IEND", b"")


def test_values_are_rounded_to_the_nearest(tmp_path):
    levels = np.repeat(np.array([[0, 0.49, 0.51, 254.49, 254.51, 255]]) / 255, 3).reshape(1, 6, 3)
    png.save_png(tmp_path / "a.png", levels)
    stored = np.asarray(Image.open(tmp_path / "a.png"))[0, :, 0]
    assert stored.tolist() == [0, 0, 1, 254, 255, 255]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.text("abcXYZ-_é§", min_size=1, max_size=79),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        max_size=4,
    )
)
def test_metadata_comes_back(tmp_path, metadata):
    png.save_png(tmp_path / "a.png", images.load(PIXELS), metadata=metadata, overwrite=True)
    back = png.read_metadata(tmp_path / "a.png")
    assert back == metadata
    assert all(type(text) is str for text in back.values())
    assert (images.load(tmp_path / "a.png") == images.load(PIXELS)).all()


def test_metadata_of_other_programs(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "plain é")
    info.add_text("Packed", "long " * 99, zip=True)
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=info)
    assert png.read_metadata(tmp_path / "a.png") == {"Comment": "plain é", "Packed": "long " * 99}


@pytest.mark.parametrize(
    "metadata",
    [{key: "x"} for key in ("", "k" * 80, " a", "a  b", "画", "a\n", "bbox", "interlace")]
    + [{"a": 1}, {"a": "x\0y"}],
)
def test_metadata_that_png_cannot_hold(metadata, tmp_path):
    path = tmp_path / "a.png"
    one_line_error(lambda: png.save_png(path, images.load(PIXELS), metadata=metadata), str(path))
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_replaced_only_on_demand(tmp_path):
    path = tmp_path / "a.png"
    png.save_png(path, np.zeros((2, 2, 3)))
    one_line_error(lambda: png.save_png(path, np.ones((2, 2, 3))), str(path), "exists")
    assert images.load(path).max() == 0
    png.save_png(path, np.ones((2, 2, 3)), overwrite=True)
    assert images.load(path).min() == 1
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_failed_write_leaves_everything_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    png.save_png(path, np.zeros((2, 2, 3)))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    save = lambda: png.save_png(path, np.ones((2, 2, 3)), overwrite=True)  # noqa: E731
    one_line_error(save, str(path), "No space left")
    assert images.load(path).max() == 0
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_saved_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "other").touch()
    png.save_png(tmp_path / "a.png", np.zeros((2, 2, 3)))
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_where_no_png_can_be_written_or_read(tmp_path):
    black = np.zeros((2, 2, 3))
    (tmp_path / "folder.png").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    one_line_error(lambda: png.save_png(tmp_path / "a.gif", black), "a.gif", ".png")
    one_line_error(lambda: png.save_png(tmp_path / "no" / "a.png", black), "a.png", "No such")
    replace = lambda: png.save_png(tmp_path / "folder.png", black, overwrite=True)  # noqa: E731
    one_line_error(replace, "folder.png", "directory")
    one_line_error(lambda: png.save_png(tmp_path / "b.png", black + 2), "values in [0, 1]")
    one_line_error(lambda: png.read_metadata(tmp_path / "none.png"), "none.png", "No such file")
    one_line_error(lambda: png.read_metadata(tmp_path / "a.jpg"), "a.jpg", "PNG")
    assert sorted(os.listdir(tmp_path)) == ["a.jpg", "folder.png"]


# --- contact sheets -------------------------------------------------------------------------------


def flat(height, width, value):
    return np.full((height, width, 3), value, np.float32)


def test_pictures_lie_whole_and_centred_in_their_cells():
    rows = [[flat(10, 20, 0.2), flat(30, 15, 0.4)], [flat(8, 8, 0.6)]]
    sheet = png.contact_sheet(rows, cell=40)
    assert sheet.shape == (8 + 2 * 48, 8 + 2 * 48, 3)
    expected = np.ones_like(sheet)
    expected[8 + 10 : 8 + 30, 8:48] = 0.2
    expected[8:48, 56 + 10 : 56 + 30] = 0.4
    expected[56:96, 8:48] = 0.6
    assert_picture(sheet, expected)


def test_labels_are_written_under_their_pictures():
    rows = [[flat(4, 4, 1.0), flat(4, 4, 1.0)], [flat(4, 4, 1.0)]]
    sheet = png.contact_sheet(rows, labels=[["left", ""], ["a name much too long to fit"]], cell=50)
    assert sheet.shape == (8 + 2 * 78, 8 + 2 * 58, 3)
    ink = sheet.min(-1) < 0.5
    assert ink[58:78, 8:58].any()
    assert ink[136:156, 8:58].any()
    ink[58:78, 8:58] = ink[136:156, 8:58] = False
    assert not ink.any()


def caption(text, cell):
    return png.contact_sheet([[flat(4, 4, 1.0)]], labels=[[text]], cell=cell)[-28:-8, 8:-8]


def test_a_label_that_fits_is_written_whole_and_others_are_cut():
    np.testing.assert_allclose(caption("landscape", 200)[:, 50:150], caption("landscape", 100))
    cut = caption("landscape with waves", 100)
    prefixes = ["landscape with waves"[:n] + "…" for n in range(8, 18)]
    assert sum(bool((caption(prefix, 100) == cut).all()) for prefix in prefixes) >= 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: png.contact_sheet([]),
        lambda: png.contact_sheet([[], []]),
        lambda: png.contact_sheet([[flat(2, 2, 1.0)]], cell=0),
        lambda: png.contact_sheet([[flat(2, 2, 1.0)]], labels=[[]]),
        lambda: png.contact_sheet([[flat(2, 2, 1.0)]], labels=[["a"], ["b"]]),
    ],
)
def test_impossible_sheets(call):
    one_line_error(call, "contact sheet")
