"""Fixtures for tests of ports and downloads: a network that is ported quickly, and a server."""

import dataclasses
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bnnjax.models import registry
from bnnjax.models.entry import Card, ReleaseFile, Weights
from bnnjax.models.quicknet import QuickNet


@pytest.fixture(scope="session")
def tiny():
    """A QuickNet of two blocks and ten classes; the registry does not know it."""
    return dataclasses.replace(
        registry.find("quicknet"),
        name="tiny",
        build=partial(QuickNet, (32, 64), (1, 1)),
        card=Card(num_classes=10),
        weights=Weights((ReleaseFile("tiny-v1", "tiny_weights.h5", "unknown yet", True),)),
    )


@pytest.fixture
def tiny_layers(tiny, keras_layers):
    """Its layers, which a test may change."""
    return keras_layers(tiny)


@dataclasses.dataclass
class Server:
    """The files and behaviour of a server on the loopback address, and its requests."""

    url: str = ""
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    ranges: bool = True  # whether it can start in the middle of a file
    cut: int | None = None  # bytes after which it closes the connection
    hangs: bool = False  # instead of closing it
    requests: list[tuple[str, str | None]] = dataclasses.field(default_factory=list)


@pytest.fixture
def server(monkeypatch):
    """A `Server` that listens during the test."""
    state = Server()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            state.requests.append((self.path, wanted))
            content = state.files.get(self.path)
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
            if content is None:
                self.send_error(404)
            elif begin >= len(content):
                self.send_error(416)
            else:
                self.send_response(206 if begin else 200)
                self.send_header("Content-Length", str(len(content) - begin))
                self.end_headers()
                self.wfile.write(content[begin:][: state.cut])
                if state.hangs:
                    ended.wait()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        state.url = f"http://127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, args=(0.01,)).start()
        yield state
        ended.set()
        listening.shutdown()
