"""Names of files, and what is kept of them."""

import hashlib

import pytest

from bnnjax.app import uploads
from bnnjax.app.config import AppConfig


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("boat.jpg", "boat.jpg"),
        ("Müller & Söhne (2).jpeg", "Müller & Söhne (2).jpeg"),
        ("/etc/passwd", "passwd"),
        ("C:\\photos\\boat.png", "boat.png"),
        ("..", "picture"),
        (".hidden", "hidden"),
        ("", "picture"),
        ("a\x00b\n<c>.png", "abc.png"),
        ("海" * 200 + ".png", "海" * 58 + ".png"),
    ],
)
def test_names_are_kept_as_far_as_they_are_safe(name, safe):
    assert uploads.safe_name(name) == safe
    assert len(uploads.safe_name(name).encode()) <= 180


def test_a_file_is_kept_byte_for_byte_and_deleted_as_a_whole(tmp_path, encoded):
    path = uploads.place(tmp_path, "boat.jpg")
    path.write_bytes(encoded(0, "JPEG"))
    upload = uploads.check(path, "photograph", AppConfig())
    assert upload.path.read_bytes() == encoded(0, "JPEG")
    assert upload.sha256 == hashlib.sha256(encoded(0, "JPEG")).hexdigest()
    assert upload.thumbnail.is_file()
    upload.delete()
    assert not list(tmp_path.iterdir())


def test_samples_are_those_of_the_package(tmp_path):
    found = uploads.samples(tmp_path)
    kinds = {id: sample.kind for id, sample in found.items()}
    expected = {"lake": "photograph", "still_life": "photograph"}
    assert kinds == {**expected, "night": "painting", "town": "painting"}
    assert all(sample.thumbnail.is_file() for sample in found.values())
