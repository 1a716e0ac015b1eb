"""Who is known, for how long, and what is left of them."""

import pytest

from bnnjax.app.config import AppConfig
from bnnjax.app.job import Work
from bnnjax.app.line import Line
from bnnjax.app.uploads import Upload
from bnnjax.app.visitors import FLEETING, Visitors


@pytest.fixture
def visitors(tmp_path):
    line = Line()
    yield Visitors(tmp_path, AppConfig(visitors=2, idle_minutes=10), line)
    line.close()


def away(visitor, seconds):
    """Moves the last page into the past."""
    visitor.seen -= seconds


def test_a_secret_is_needed(visitors):
    secret = visitors.admit()
    assert visitors.find(secret) is not None
    for other in (None, "", secret[:-1], secret + "x"):
        assert visitors.find(other) is None
    assert visitors.admit() not in (None, secret)
    assert visitors.admit() is None


def test_who_did_nothing_is_soon_forgotten(visitors):
    secrets = [visitors.admit(), visitors.admit()]
    away(visitors.find(secrets[0]), FLEETING + 1)
    visitors.sweep()
    assert visitors.find(secrets[0]) is None
    assert visitors.find(secrets[1]) is not None


def test_pictures_are_deleted_when_a_visitor_has_been_away(visitors):
    secret = visitors.admit()
    visitor = visitors.find(secret)
    path = visitor.folder / "uploads" / "id" / "boat.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    visitor.uploads["id"] = Upload("id", "photograph", path, path, "")
    visitor.pages = 1
    away(visitor, 3600)
    visitors.sweep()
    assert path.exists()
    visitor.pages = 0
    away(visitor, -3600 + 9 * 60)
    visitors.sweep()
    assert path.exists()
    away(visitor, 2 * 60)
    visitors.sweep()
    assert visitors.find(secret) is None
    assert not visitor.folder.exists()


def test_the_oldest_pictures_make_room(visitors, tmp_path):
    visitor = visitors.find(visitors.admit())
    for number in range(3):
        path = tmp_path / str(number) / "picture.png"
        path.parent.mkdir()
        path.write_bytes(b"")
        visitor.take(Work(str(number), "", path, path, path, (1, 1), ()), kept=2)
    assert [*visitor.works] == ["1", "2"]
    assert not (tmp_path / "0").exists()
