"""bnnjax.images.decode against closed forms and hand-made files."""

import io
import struct
import sys
import zlib
from collections import namedtuple
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from bnnjax import images
from bnnjax.images import decode
from tests.damage import damaged, reads_or_refuses

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
        (jnp.asarray(PIXELS), as_unit(PIXELS)),
        (as_unit(PIXELS).tolist(), as_unit(PIXELS)),
    ],
)
def test_arrays_of_every_kind(array, expected, assert_picture):
    assert_picture(images.load(array), expected)


@pytest.mark.parametrize(
    ("of", "dtype"),
    [(np.asarray, "float64")]
    + [(of, dtype) for of in (np.asarray, jnp.asarray) for dtype in ("float16", "bfloat16")],
)
def test_floats_of_other_widths_are_taken_at_their_value(of, dtype, assert_picture):
    values = np.array([[0, 0.5, 0.75, 1]])  # which all of them hold
    image = images.load(of(values, jnp.dtype(dtype)))
    assert_picture(image, np.repeat(values[..., None], 3, axis=-1), 0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_values_slightly_out_of_range_are_clipped(dtype, assert_picture):
    image = images.load(np.array([[-5e-4, 0.5, 1.0005]], jnp.dtype(dtype)))
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
        (np.full((2, 2, 3), 2.0, jnp.bfloat16), "2"),
        (np.full((2, 2, 3), np.nan, jnp.bfloat16), "nan"),
        (jnp.zeros((2, 2, 3), jnp.int32), "int32"),
        (np.zeros((2, 2, 3), np.int32), "int32"),
        (np.zeros((2, 2, 3), bool), "bool"),
        (np.zeros((2, 2, 2)), "[2, 2, 2]"),
        (np.zeros((1, 2, 2, 3)), "[1, 2, 2, 3]"),
        (np.zeros(3), "[3]"),
        (np.zeros((0, 2, 3)), "[0, 2, 3]"),
        (np.zeros((2, 0)), "[2, 0, 1]"),
        (np.float32(0.5), "[]"),
        (None, "[]"),
    ],
)
def test_unsuitable_arrays_are_refused_with_what_was_received(array, part, one_line_error):
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
def test_pil_images_of_every_mode(picture, expected, assert_picture):
    assert_picture(images.load(picture), expected)


@pytest.mark.parametrize("picture", [RGBA, LA], ids=["RGBa", "La"])
def test_premultiplied_alpha(picture, assert_picture):
    # Premultiplying in 8 bits rounds colours, and transparent ones more coarsely.
    assert_picture(
        images.load(picture.convert(picture.mode[:-1] + "a")), images.load(picture), LEVEL
    )


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("png", {}), ("tiff", {}), ("tiff", {"compression": "tiff_lzw"}), ("ppm", {})],
)
def test_sixteen_bit_grey_files(suffix, options, assert_picture):
    picture = through_file(Image.fromarray(DEEP), suffix, **options)
    assert picture.mode.startswith("I")
    assert_picture(images.load(picture), grey(DEEP))


def test_sixteen_bit_grey_file_of_the_other_byte_order(assert_picture):
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
def test_pil_images_out_of_range_or_empty_are_refused(picture, part, one_line_error):
    one_line_error(lambda: images.load(picture), "PIL image", part)


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_alpha_survives_files(suffix, assert_picture):
    lossless = {"lossless": True, "exact": True} if suffix == "webp" else {}
    picture = through_file(RGBA, suffix, **lossless)
    assert_picture(images.load(picture), over_white(as_unit(PIXELS), ALPHA))


def test_palette_alpha_of_png(assert_picture):
    picture = through_file(palette_picture(), "png", transparency=ALPHA[0].tobytes())
    assert picture.mode == "P"
    assert_picture(images.load(picture), over_white(as_unit(PIXELS[:1]), ALPHA[:1]))


def test_transparent_palette_index_of_gif(assert_picture):
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
def test_transparent_colour_of_png(picture, transparent, assert_picture):
    stored = np.asarray(picture)
    expected = images.load(picture).copy()
    hit = stored == np.array(transparent)
    expected[hit.all(-1) if stored.ndim == 3 else hit] = 1
    image = images.load(through_file(picture, "png", transparency=transparent))
    assert image[2, 4].tolist() == [1, 1, 1]
    assert_picture(image, expected)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_the_first_frame_of_an_animation(suffix, assert_picture):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if suffix == "webp" else {}
    animation = through_file(frames[0], suffix, save_all=True, append_images=frames[1:], **lossless)
    assert animation.n_frames == 3
    assert_picture(images.load(animation), np.broadcast_to([1.0, 0.0, 0.0], (3, 4, 3)))


def test_inverted_cmyk_of_adobe_jpeg(assert_picture):
    data = io.BytesIO()
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(data, "jpeg", quality=95)
    assert b"Adobe" in data.getvalue()
    red = np.broadcast_to([1.0, 0.0, 0.0], (16, 16, 3))
    assert_picture(images.load(Image.open(data)), red, 3 * LEVEL)


@pytest.mark.parametrize("picture", [Image.fromarray(PIXELS), palette_picture()])
@pytest.mark.parametrize("name", ["transparency", "icc_profile", "exif", "gamma"])
def test_png_text_cannot_pose_as_something_else(picture, name, assert_picture):
    info = PngImagePlugin.PngInfo()
    info.add_text(name, "1")
    assert_picture(images.load(through_file(picture, "png", pnginfo=info)), images.load(picture))


# --- EXIF orientation -----------------------------------------------------------------------------

# TIFF 6.0, tag 274: the sides of the scene at which the file's first row and column lie.
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
def test_every_orientation_is_turned_upright(orientation, suffix, tmp_path, assert_picture):
    flat = np.kron(PIXELS[:2, :3], np.ones((8, 8, 1), np.uint8))  # in JPEG's blocks
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
def test_damaged_exif_is_ignored(exif, assert_picture):
    picture = through_file(Image.fromarray(PIXELS), "png", exif=exif)
    assert_picture(images.load(picture), as_unit(PIXELS))


def test_the_orientation_counts_even_if_the_exif_block_cannot_be_rewritten(assert_picture):
    """A resolution written as text, for which ImageOps.exif_transpose raises TypeError."""
    entries = ((0x0112, 3, 1, b"\6\0\0\0"), (0x011A, 2, 1, b"7\0\0\0"))  # TIFF 6.0, section 2
    table = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(4)
    picture = through_file(Image.fromarray(PIXELS), "png", exif=exif)
    assert_picture(images.load(picture), as_unit(UPRIGHT[6](PIXELS)))


def test_unknown_orientation_is_ignored(assert_picture):
    picture = through_file(Image.fromarray(PIXELS), "png", exif=orientation_tag(9))
    assert_picture(images.load(picture), as_unit(PIXELS))


# --- colour profiles ------------------------------------------------------------------------------


def fixed(*values):
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def make_profile(space, connection, tags):
    """Makes an ICC profile, version 2.4, from its colour spaces and tags (ICC.1:2001-04)."""
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


LINEAR = b"curv\0\0\0\0" + struct.pack(">I", 0)  # A curve without entries is the identity.
WHITE = xyz(0.9642, 1, 0.8249)
# Linear light and sRGB's primaries (D50) with red and green swapped.
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
    """CMYK of lightness L* = 100 (1 − K), with the other inks colourless."""
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
def test_matrix_profile(suffix, assert_picture):
    lossless = {"lossless": True} if suffix == "webp" else {}
    picture = through_file(Image.fromarray(PIXELS), suffix, icc_profile=SWAPPED, **lossless)
    assert_picture(images.load(picture), encode(as_unit(PIXELS))[..., [1, 0, 2]], 1.5 * LEVEL)


def test_profile_under_alpha(assert_picture):
    picture = through_file(RGBA, "png", icc_profile=SWAPPED)
    expected = over_white(encode(as_unit(PIXELS))[..., [1, 0, 2]], ALPHA)
    assert_picture(images.load(picture), expected, 1.5 * LEVEL)


def test_profile_of_a_palette(assert_picture):
    picture = through_file(palette_picture(), "png", icc_profile=SWAPPED)
    assert picture.mode == "P"
    assert_picture(images.load(picture), encode(as_unit(PIXELS[:1]))[..., [1, 0, 2]], 1.5 * LEVEL)


def test_profile_and_orientation_together(assert_picture):
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
def test_grey_profile(picture, expected, assert_picture):
    image = images.load(through_file(picture, "png", icc_profile=GREY))
    assert_picture(image, expected, 2 * LEVEL)


def test_sixteen_bits_keep_their_steps_under_an_unsuitable_profile(assert_picture):
    ramp = np.arange(30000, 30100, dtype=np.uint16)[None]
    image = images.load(through_file(Image.fromarray(ramp), "png", icc_profile=SWAPPED))
    assert_picture(image, grey(ramp))


def test_cmyk_profile(assert_picture):
    inks = np.zeros((1, 256, 4), np.uint8)
    inks[..., 0], inks[..., 3] = 255, np.arange(256)
    picture = Image.frombytes("CMYK", (256, 1), inks.tobytes())
    image = images.load(through_file(picture, "tiff", icc_profile=black_ink_profile()))
    expected = grey_of_lightness(100 * (1 - np.arange(256) / 255))
    assert_picture(image, np.repeat(expected[None, :, None], 3, axis=-1), 2 * LEVEL)


@pytest.mark.parametrize("embedded", [True, False])
def test_lab_pictures(embedded, assert_picture):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes() if embedded else None
    lightness = np.arange(0, 256, 5, dtype=np.uint8)
    bands = [Image.fromarray(band[None]) for band in (lightness, *[0 * lightness + 128] * 2)]
    image = images.load(through_file(Image.merge("LAB", bands), "tiff", icc_profile=lab))
    expected = grey_of_lightness(lightness / 2.55)
    assert_picture(image, np.repeat(expected[None, :, None], 3, axis=-1), 2 * LEVEL)


def test_an_srgb_profile_changes_next_to_nothing(assert_picture):
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
def test_a_broken_or_unsuitable_profile_is_ignored(profile, assert_picture):
    picture = through_file(Image.fromarray(PIXELS), "png", icc_profile=profile)
    assert_picture(images.load(picture), as_unit(PIXELS))


# --- files and their errors -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_paths(kind, tmp_path, assert_picture):
    Image.fromarray(PIXELS).save(tmp_path / "böse 画.png")
    assert_picture(images.load(kind(tmp_path / "böse 画.png")), as_unit(PIXELS))


def test_loading_leaves_a_pil_image_as_it_was():
    picture = through_file(RGBA, "png", icc_profile=SWAPPED, exif=orientation_tag(6))
    info = dict(picture.info)
    first = images.load(picture)
    assert picture.size == RGBA.size
    assert picture.info == info
    assert (images.load(picture) == first).all()


def test_files_that_are_missing_folders_or_not_pictures(tmp_path, one_line_error):
    (tmp_path / "notes.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    one_line_error(lambda: images.load(tmp_path / "none.png"), "none.png", "No such file")
    one_line_error(lambda: images.load(tmp_path), str(tmp_path), "directory")
    one_line_error(lambda: images.load(tmp_path / "notes.png"), "notes.png", "cannot identify")
    one_line_error(lambda: images.load(tmp_path / "empty.png"), "empty.png", "cannot identify")
    one_line_error(lambda: images.load("a\0b.png"), "a\0b.png")


@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "tiff", "bmp", "ppm", "gif"])
def test_truncated_files_are_refused(suffix, tmp_path, one_line_error):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(path, suffix)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    one_line_error(lambda: images.load(path), str(path))


def test_decompression_bombs_are_refused(tmp_path, monkeypatch, one_line_error):
    Image.fromarray(PIXELS).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    one_line_error(lambda: images.load(tmp_path / "bomb.png"), "bomb.png", "bomb")


def test_decoding_takes_no_more_than_it_may(tmp_path, one_line_error):
    """16 bytes per pixel of an opaque picture, and 64 of others."""
    path = tmp_path / "a.png"
    for mode, each in (("RGB", 16), ("RGBA", 64)):
        Image.new(mode, (50, 20)).save(path)
        needed = 50 * 20 * each
        assert images.load_fitted(path, size=10, most=needed).shape == (10, 25, 3)
        one_line_error(
            lambda most=needed - 1: images.load_fitted(path, size=10, most=most), "50×20 px"
        )


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


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    file=st.sampled_from(FILES),
    damage=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
)
@pytest.mark.filterwarnings("ignore")
def test_damage_anywhere_yields_a_picture_or_a_one_line_error(file, damage, tmp_path):
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


# --- decoding at a lower resolution ---------------------------------------------------------------


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """A JPEG of 640×480 with smooth shapes and some grain, and its content before compression."""
    y, x = np.mgrid[:480, :640][..., None] / 100
    grain = np.random.default_rng(0).normal(0, 0.05, (480, 640, 3))
    scene = np.clip(0.5 + 0.3 * np.sin(x * [2, 3, 5] + y * y) + grain, 0, 1)
    path = tmp_path_factory.mktemp("photograph") / "scene.jpg"
    pixels = np.rint(scene * 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=95, subsampling=0, exif=orientation_tag(6))
    return path, UPRIGHT[6](scene)


@pytest.mark.parametrize(
    ("size", "decoded"),
    [(30, (80, 60)), (31, (160, 120)), (60, (160, 120)), (np.int64(120), (320, 240))]
    + [(size, (640, 480)) for size in (121, 240, 1000)],
)
def test_a_jpeg_is_decoded_to_at_least_twice_the_size(photograph, size, decoded):
    assert images.load(photograph[0], size=size).shape == (*decoded, 3)


def test_decoding_at_a_lower_resolution_costs_no_quality(photograph):
    path, scene = photograph
    wanted = images.fit(scene, size=60)
    errors = [
        np.abs(images.fit(image, size=60) - wanted).mean()
        for image in (images.load(path), images.load(path, size=60))
    ]
    assert errors[1] < max(1.5 * errors[0], LEVEL)


def test_the_size_changes_nothing_for_other_files(tmp_path, assert_picture):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert_picture(images.load(tmp_path / "a.png", size=1), as_unit(PIXELS))


@pytest.mark.parametrize("size", [0, -3, 2.5, "2"])
def test_sizes_that_are_not_positive_integers_are_refused(photograph, size, one_line_error):
    one_line_error(lambda: images.load(photograph[0], size=size), f"size is {size}, needs")


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "P", "I;16"])
@pytest.mark.parametrize("size", [7, 60, 480, 600])
def test_a_file_is_resized_to_the_same_pixels_in_less_memory(photograph, mode, size, tmp_path):
    path = photograph[0]
    if mode != "RGB":
        path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
        with Image.open(photograph[0]) as picture:
            picture.convert("L" if mode == "I;16" else mode).convert(mode).save(path)
    whole = images.fit(images.load(path, size=size), size=size)
    np.testing.assert_array_equal(images.load_fitted(path, size=size), whole)


def test_pictures_larger_than_the_free_memory_are_refused_unread(
    tmp_path, monkeypatch, one_line_error
):
    """Half of the file is missing, which only decoding would notice."""
    Image.new("RGB", (2000, 3000)).save(tmp_path / "bomb.png")
    data = (tmp_path / "bomb.png").read_bytes()
    (tmp_path / "bomb.png").write_bytes(data[: len(data) // 2])
    free = namedtuple("Memory", "available")(2**25)
    monkeypatch.setattr(decode.psutil, "virtual_memory", lambda: free)
    for read in (images.load, partial(images.load_fitted, size=8)):
        one_line_error(
            lambda read=read: read(tmp_path / "bomb.png"),
            "bomb.png",
            "2000×3000",
            "0.0 GiB are free",
        )


def test_a_heic_file_needs_an_extra(tmp_path, monkeypatch, one_line_error):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_text("")
    one_line_error(lambda: images.load(tmp_path / "a.heic"), "a.heic", "bnnjax[heic]")


def test_a_heic_file_is_read(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    picture = Image.new("RGB", (64, 48), (200, 100, 50))
    heif.from_pillow(picture).save(tmp_path / "a.HEIC")
    np.testing.assert_allclose(
        images.load(tmp_path / "a.HEIC"), as_unit(np.asarray(picture)), atol=0.02
    )


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(["png", "jpeg", "webp", "gif", "bmp", "tiff"]))
def test_damaged_files_are_read_or_refused(tmp_path, data, kind):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    content = data.draw(damaged(file.getvalue()))
    reads_or_refuses(images.load, tmp_path / f"a.{kind}", content)


def test_a_small_png_does_not_become_an_enormous_picture(tmp_path):
    """Pillow would fill up the rows that are missing."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "png")
    content = bytearray(file.getvalue())
    content[16:24] = struct.pack(">II", 7, 10**7)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "a.png").write_bytes(content)
    for read in (images.load, partial(images.load_fitted, size=8)):
        with pytest.raises(ValueError, match=r"a\.png: damaged or cut short .*7×10000000 px"):
            read(tmp_path / "a.png")


def test_a_png_without_its_palette_is_refused(tmp_path, one_line_error):
    file = io.BytesIO()
    Image.fromarray(PIXELS).quantize(4).save(file, "png")
    content = file.getvalue()
    start = content.index(b"PLTE") - 4
    length = 12 + int.from_bytes(content[start : start + 4])
    (tmp_path / "a.png").write_bytes(content[:start] + content[start + length :])
    one_line_error(lambda: images.load(tmp_path / "a.png"), "a.png", "palette that is missing")
    one_line_error(lambda: images.load_alpha(tmp_path / "a.png"), "a.png", "palette")
