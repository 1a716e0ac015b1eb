"""``launch/app.py`` as a user runs it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.conftest import Page

SCRIPT = Path(__file__).parents[2] / "launch" / "app.py"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_page_while_it_paints_and_no_picture_stays(tmp_path, number):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "BNNJAX_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, SCRIPT, "--port=0", "--models=inknet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        words = process.stdout.readline().split()
        page = Page(next(word for word in words if word.startswith("http://127.0.0.1:")))
        assert list(tmp_path.glob("bnnjax-app-*"))
        page.order(network="inknet", size=64, steps=1000)
        page.until(lambda report: report["job"] and report["job"]["state"] == "preparing")
        process.send_signal(number)
        assert process.wait(60) == (130 if number == signal.SIGINT else -number)
    assert not list(tmp_path.glob("bnnjax-app-*"))


@pytest.mark.slow
def test_a_port_that_is_taken_is_said_in_a_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, SCRIPT, f"--port={taken.getsockname()[1]}"]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
