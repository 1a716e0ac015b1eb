"""A running page with a network that compiles in a moment, and visitors of it."""

import io
import json
import socket
import threading
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from bnnjax.app import server
from bnnjax.app.config import AppConfig
from bnnjax.models import registry
from bnnjax.port.storage import network_file
from tests.nst.conftest import TOY

TINY = {"network": "toy", "size": 32, "steps": 3}
ENDLESS = TINY | {"steps": 10**6}


@pytest.fixture(scope="session")
def toy_file(with_random_weights, tmp_path_factory):
    """The file of the toy network."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(registry, "REGISTRY", {**registry.REGISTRY, TOY.name: TOY})
        return network_file.save(with_random_weights(TOY), tmp_path_factory.mktemp("app") / "toy")


@pytest.fixture
def known(monkeypatch):
    """The toy network is in the registry."""
    monkeypatch.setitem(registry.REGISTRY, TOY.name, TOY)


@pytest.fixture
def encoded(make_picture):
    """A function (seed, format, **options of the encoder) → the bytes of a picture's file."""

    def encode(seed, form="PNG", *, height=40, width=48, **options):
        pixels = np.rint(255 * make_picture(seed, height, width)).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, form, **options)
        return file.getvalue()

    return encode


class Page:
    """A visitor with an open page."""

    def __init__(self, url, *, cookies=None):
        self.http = httpx.Client(base_url=url, timeout=60, cookies=cookies)
        assert self.http.get("/").status_code == 200
        self.report = {"job": None, "works": [], "pictures": []}
        host, port = url.removeprefix("http://").split(":")
        self._events = socket.create_connection((host, int(port)))
        cookie = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        head = f"GET /events HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
        self._events.sendall(head.encode())
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self._events.makefile("rb"):
            if line.startswith(b"data: "):
                self.report = json.loads(line.removeprefix(b"data: "))

    def send(self, data, name="boat.png", kind="photograph"):
        return self.http.post("pictures", params={"kind": kind, "name": name}, content=data)

    def order(self, **form):
        given = {"photograph": "lake", "paintings": ["night"], **TINY, **form}
        return self.http.post("job", json=given)

    def until(self, condition):
        """Waits for a report of which this is true."""
        end = time.monotonic() + 60
        while not condition(self.report):
            assert time.monotonic() < end, self.report
            time.sleep(0.02)
        return self.report

    def paint(self, **form):
        """Paints a picture; its work."""
        id = self.order(**form).raise_for_status().json()["id"]
        self.until(lambda r: r["job"] and r["job"]["id"] == id and is_over(r))
        assert self.report["job"]["state"] == "done", self.report["job"]
        return self.report["works"][-1]

    def close(self):
        self._events.shutdown(socket.SHUT_RDWR)
        self._events.close()


def is_over(report):
    return report["job"]["state"] in ("done", "stopped", "failed")


def is_painting(report):
    return report["job"] is not None and report["job"]["state"] == "painting"


@pytest.fixture
def serve(toy_file, known, tmp_path):
    """A function (options) → the address of a running page with the toy network."""
    running = []

    def start(**options):
        config = AppConfig(**{"models": (str(toy_file),), "most_steps": 10**6, **options})
        made, listener = (
            server.make(config, tmp_path / "all"),
            socket.create_server(("127.0.0.1", 0)),
        )
        thread = threading.Thread(target=made.run, args=([listener],))
        thread.start()
        running.append((made, thread))
        while not made.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for made, thread in running:
        made.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
