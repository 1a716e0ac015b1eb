"""Downloads from a server on the loopback address: complete and correct, or not stored."""

import errno
import hashlib
import io
import socket

import numpy as np
import pytest

from bnnjax.models.entry import ReleaseFile
from bnnjax.port.storage import download

CONTENT = np.random.default_rng(0).bytes(3 * download.CHUNK + 5)
OTHER = np.random.default_rng(1).bytes(2 * len(CONTENT))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def fetch(server, tmp_path):
    """A function that downloads the file from the server to ``cache/file``."""
    server.files["/file"] = CONTENT

    def run(*, url=f"{server.url}/file", sha256=SHA256, progress=False):
        path, checksum = tmp_path / "cache" / "file", ("sha256", sha256)
        return download.download(url, path, checksum=checksum, progress=progress)

    return run


@pytest.fixture
def folder(tmp_path):
    """The destination folder; its files by name."""
    return lambda: {path.name: path.read_bytes() for path in (tmp_path / "cache").iterdir()}


@pytest.fixture
def part(tmp_path):
    """A function that leaves the bytes of an incomplete download."""

    def leave(content):
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "file.part").write_bytes(content)

    return leave


def refusal(fetch, **changes):
    """The one-line error of a download."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        fetch(**changes)
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


def test_a_file_arrives_whole(fetch, folder, server, tmp_path):
    assert fetch() == tmp_path / "cache" / "file"
    assert folder() == {"file": CONTENT}
    assert server.requests == [("/file", None)]


def test_a_file_with_another_sha256_is_not_kept(fetch, folder, server):
    server.files["/file"] = OTHER
    message = refusal(fetch)
    assert message.startswith(f"{server.url}/file: has sha256 {hashlib.sha256(OTHER).hexdigest()}")
    assert SHA256 in message
    assert folder() == {}


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_broke_off_resumes(fetch, folder, server, ranges):
    server.cut = 100_000
    server.ranges = ranges
    assert f"broke off after 100000 of {len(CONTENT)} bytes" in refusal(fetch)
    assert folder() == {"file.part": CONTENT[:100_000]}
    server.cut = None
    fetch()
    assert folder() == {"file": CONTENT}
    assert server.requests == [("/file", None), ("/file", "bytes=100000-")]


def test_a_download_may_break_off_many_times(fetch, folder, server):
    server.cut = 70_000
    for received in (70_000, 140_000):
        refusal(fetch)
        assert folder() == {"file.part": CONTENT[:received]}
    fetch()
    assert folder() == {"file": CONTENT}


def test_a_connection_without_a_byte_ends_after_a_while(fetch, folder, server, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    server.cut, server.hangs = download.CHUNK, True
    assert "timed out" in refusal(fetch)
    assert folder() == {"file.part": CONTENT[: download.CHUNK]}


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [1, len(CONTENT), 2 * len(CONTENT)])
def test_a_partial_download_of_another_file_is_replaced(fetch, folder, part, server, size, ranges):
    server.ranges = ranges
    part(OTHER[:size])
    fetch()
    assert folder() == {"file": CONTENT}


def test_a_download_that_only_lacks_its_name_gets_it(fetch, folder, part, server):
    part(CONTENT)
    fetch()
    assert folder() == {"file": CONTENT}
    assert server.requests == [("/file", f"bytes={len(CONTENT)}-")]


def test_a_file_that_the_server_lacks_is_named(fetch, folder, server):
    message = refusal(fetch, url=f"{server.url}/none")
    assert message.startswith(f"{server.url}/none: the server answers 404")
    assert folder() == {}


def test_without_a_server_the_error_says_so_and_files_are_kept(fetch, folder, part):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file"
    part(CONTENT[:9])
    message = refusal(fetch, url=url)
    assert message.startswith(f"{url}: cannot be downloaded (")
    assert message.endswith("run again when there is a connection")
    assert folder() == {"file.part": CONTENT[:9]}


class FullDisk(io.FileIO):
    """A file on a disk with room for one chunk."""

    def write(self, chunk):
        if self.tell():
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(chunk)


def test_a_full_disk_is_left_as_it_was(fetch, folder, monkeypatch):
    monkeypatch.setattr(download, "open", FullDisk, raising=False)
    assert "cache/file: No space left on device; nothing was kept" in refusal(fetch)
    assert folder() == {}


def test_a_folder_that_cannot_be_made_is_named(fetch, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert refusal(fetch).startswith(str(tmp_path / "cache" / "file"))


def test_progress_is_shown_only_if_wanted(fetch, capfd, tmp_path):
    fetch(progress=False)
    assert capfd.readouterr() == ("", "")
    (tmp_path / "cache" / "file").unlink()
    fetch(progress=True)
    assert "file: 100%" in capfd.readouterr().err


def test_releases_are_larqs_or_those_of_a_mirror(monkeypatch):
    file = ReleaseFile("net-v1.0", "net_weights.h5", SHA256, True)
    for unset in (None, ""):
        monkeypatch.delenv("BNNJAX_ZOO_URL", raising=False)
        if unset is not None:
            monkeypatch.setenv("BNNJAX_ZOO_URL", unset)
        assert download.file_url(file) == (
            "https://github.com/larq/zoo/releases/download/net-v1.0/net_weights.h5"
        )
    monkeypatch.setenv("BNNJAX_ZOO_URL", "http://mirror/zoo")
    assert download.file_url(file) == "http://mirror/zoo/net-v1.0/net_weights.h5"


@pytest.mark.parametrize("size", [0, 1, 10**6 + 7])
def test_sha256_of_a_file(tmp_path, size):
    content = np.random.default_rng(0).bytes(size)
    (tmp_path / "file").write_bytes(content)
    assert download.file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
