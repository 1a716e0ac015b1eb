"""Pictures in three formats, with texts, time of exposure, profile and transparency."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from bnnjax import images

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
TEXTS = {"bnnjax-recipe": '{"name": "Müller – 風景"}', "other": ""}


@pytest.fixture
def photograph(tmp_path):
    """A JPEG with a time of exposure, a place, and a profile other than sRGB."""
    path, exif = tmp_path / "photograph.jpg", Image.Exif()
    exif[ExifTags.Base.Make] = "camera"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.new("RGB", (8, 8)).save(path, exif=exif, icc_profile=profile)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_holds_the_picture_and_its_texts(suffix, tmp_path, make_picture):
    path, picture = tmp_path / f"a{suffix}", make_picture(0, 40, 50)
    images.save_picture(path, picture, metadata=TEXTS)
    assert images.read_metadata(path) == TEXTS
    assert np.abs(images.load(path) - picture).mean() < (0.002 if suffix == ".png" else 0.04)
    with Image.open(path) as file:
        assert file.format.lower() == images.format_of(path)
        assert not file.info.get("icc_profile")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_time_is_kept_on_request_and_the_profile_is_that_of_the_pixels(
    suffix, tmp_path, photograph, make_picture
):
    path = tmp_path / f"a{suffix}"
    images.save_picture(path, make_picture(0, 4, 4), metadata=TEXTS, like=photograph)
    assert images.read_metadata(path) == TEXTS
    with Image.open(path) as file:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(file.info["icc_profile"]))
        exif = file.getexif()
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    own = exif.get_ifd(ExifTags.IFD.Exif)
    assert own[ExifTags.Base.DateTimeOriginal] == "2020:01:02 03:04:05"
    # Neither where it was taken, nor an orientation, which the pixels have already.
    assert not exif.get_ifd(ExifTags.IFD.GPSInfo)
    assert ExifTags.Base.Orientation not in exif


def test_a_photograph_without_a_time_costs_nothing(tmp_path, make_picture):
    images.save_png(tmp_path / "plain.png", make_picture(0, 4, 4))
    for like in ("plain.png", "none.png"):
        path = tmp_path / "a.jpg"
        images.save_picture(path, make_picture(0, 4, 4), like=tmp_path / like, overwrite=True)
        with Image.open(path) as file:
            assert not file.getexif()


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_is_kept(suffix, tmp_path, make_picture):
    path, alpha = tmp_path / f"a{suffix}", make_picture(1, 8, 6)[..., 0]
    images.save_picture(path, make_picture(0, 8, 6), alpha=alpha)
    np.testing.assert_allclose(images.load_alpha(path), alpha, atol=0.51 / 255)


def test_a_jpeg_is_never_transparent(tmp_path, make_picture, one_line_error):
    alpha = np.ones((8, 6), np.float32)
    save = lambda: images.save_picture(tmp_path / "a.jpg", make_picture(0, 8, 6), alpha=alpha)  # noqa: E731
    one_line_error(save, "a.jpg", "JPEG", "transparent")


def test_opacity_of_files_images_and_arrays(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", Image.fromarray(pixels), pixels):
        alpha = images.load_alpha(source)
        np.testing.assert_array_equal(alpha, np.float32(pixels[..., 3]) / np.float32(255))
    Image.fromarray(pixels[..., :3]).save(tmp_path / "b.png")
    for source in (tmp_path / "b.png", Image.fromarray(pixels[..., :3]), pixels[..., :3]):
        assert images.load_alpha(source) is None


def test_comments_of_other_programs_are_not_texts(tmp_path):
    for number, comment in enumerate(
        (b"ASCII\0\0\0hello", b"", b"UNICODE\0h\0i\0", b"ASCII\0\0\0[1]")
    ):
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
        Image.new("RGB", (4, 4)).save(tmp_path / f"{number}.jpg", exif=exif)
        assert images.read_metadata(tmp_path / f"{number}.jpg") == {}


def test_a_picture_too_long_for_its_format_is_one_line(tmp_path, one_line_error):
    strip = np.zeros((1, images.LONGEST["webp"] + 1, 3), np.float32)
    one_line_error(lambda: images.save_picture(tmp_path / "a.webp", strip), "a.webp")
    assert not [*tmp_path.iterdir()]


def test_other_suffixes_are_refused(tmp_path, one_line_error):
    save = lambda: images.save_picture(tmp_path / "a.bmp", np.zeros((2, 2, 3)))  # noqa: E731
    one_line_error(save, "a.bmp", ".webp")
