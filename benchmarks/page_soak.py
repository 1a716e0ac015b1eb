"""Many visitors of the page at a time: does memory stay flat, does everybody see only their own?

    python benchmarks/page_soak.py --users=20 --seconds=600

It starts launch/app.py. Every user has a photograph of a colour of their own, and of one of two
shapes. Again and again they send it, have it painted, compare what they get with what they sent,
ask for the pictures of all others by their full addresses, and remove everything. Every fourth
picture is stopped early, and every tenth visit ends with a closed page while the picture is being
painted. The time begins when a picture of each shape has been painted. The server's memory is read
once a second; the growth is that of the median of the last quarter over that of the second. The
exit status is 0 only if nobody saw anything of others and no request failed.
"""

import colorsys
import io
import json
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from absl import flags
from PIL import Image

from bnnjax import cli

FLAGS = flags.FLAGS
flags.DEFINE_integer("users", 5, "visitors at a time", 2)
flags.DEFINE_integer("seconds", 60, "how long they stay, in seconds", 1)
flags.DEFINE_integer("size", 64, "shorter side of the pictures, in pixels", 32)
flags.DEFINE_integer("steps", 8, "optimisation steps per picture", 1)
flags.DEFINE_integer("memory_mib", 1200, "option of the page, for the server's memory")
flags.DEFINE_string("model", "inknet", "the network")
cli.define_json()
APP = Path(__file__).parents[1] / "launch" / "app.py"
SHAPES = ((320, 240), (240, 320))  # px, width and height
NEAR = 6.0  # of 255, how far the mean colour of a JPEG may be from what was sent
ACTIVE = ("waiting", "preparing", "painting")
ended = threading.Event()
counts: Counter[str] = Counter()
addresses: dict[int, str] = {}  # of each user's newest picture


class Page:
    """A visitor with an open page."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=120)
        self.http.get("/").raise_for_status()
        self.report: dict[str, Any] = {}
        host, port = url.removeprefix("http://").split(":")
        self._events = socket.create_connection((host, int(port)))
        cookie = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        head = f"GET /events HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
        self._events.sendall(head.encode())
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._events.makefile("rb"):
            if line.startswith(b"data: "):
                self.report = json.loads(line.removeprefix(b"data: "))

    def ask(self, method: str, path: str, **keywords: Any) -> Any:
        answer = self.http.request(method, path, **keywords)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def job(self, id: str) -> dict[str, Any]:
        found = self.report.get("job") or {}
        return found if found.get("id") == id else {"state": "waiting"}

    def close(self) -> None:
        self._events.shutdown(socket.SHUT_RDWR)
        self._events.close()
        self.http.close()


def main() -> int:
    command = [sys.executable, APP, "--port=0", f"--models={FLAGS.model}"]
    command += ["--patience_seconds=2", f"--memory_mib={FLAGS.memory_mib}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        for shape in SHAPES:  # so that programs are compiled
            warm(url, shape)
        users = [threading.Thread(target=stay, args=(n, url)) for n in range(FLAGS.users)]
        for user in users:
            user.start()
        memory = watch(psutil.Process(server.pid))
        ended.set()
        for user in users:
            user.join()
        server.terminate()
    return report(memory)


def warm(url: str, shape: tuple[int, int]) -> None:
    """Has a picture of this shape painted."""
    page = Page(url)
    data = picture(shape, (128, 128, 128))
    sent = page.ask("POST", "pictures?kind=photograph&name=first.png", content=data)
    job = page.ask("POST", "job", json=form(sent["id"]))["id"]
    while page.job(job)["state"] in ACTIVE:
        time.sleep(0.1)
    page.close()


def form(photograph: str) -> dict[str, Any]:
    """An order of a small picture."""
    own = {"photograph": photograph, "paintings": ["night"], "network": FLAGS.model}
    return own | {"size": FLAGS.size, "steps": FLAGS.steps}


def watch(server: psutil.Process) -> list[float]:
    """The server's resident memory in MiB, once a second."""
    memory = []
    for _ in range(FLAGS.seconds):
        memory.append(server.memory_info().rss / 2**20)
        time.sleep(1)
    return memory


def stay(number: int, url: str) -> None:
    """The visits of one user."""
    chance = random.Random(number)
    while not ended.is_set():
        page = Page(url)
        try:
            for turn in range(10):
                if ended.is_set():
                    break
                visit(page, number, chance, leave=turn == 9)
        except Exception as error:
            counts["faults"] += 1
            print(f"user {number}: {error!r}", file=sys.stderr)
        finally:
            page.close()


def visit(page: Page, number: int, chance: random.Random, *, leave: bool) -> None:
    """One picture: sent, painted, compared, removed."""
    colour = tuple(round(255 * c) for c in colorsys.hsv_to_rgb(number / FLAGS.users, 0.6, 0.7))
    sent = page.ask(
        "POST",
        f"pictures?kind=photograph&name=user{number}.png",
        content=picture(chance.choice(SHAPES), colour),
    )
    wanted = form(sent["id"]) | {"strength": chance.random() * 2}
    job, began = page.ask("POST", "job", json=wanted)["id"], time.monotonic()
    if leave:
        time.sleep(chance.random())
        counts["left"] += 1
        return
    stop = chance.random() < 0.25
    while page.job(job)["state"] in ACTIVE:
        if stop and page.job(job)["state"] == "painting":
            page.ask("DELETE", "job")
            stop, _ = False, counts.update(["stopped"])
        if ended.is_set():
            return
        time.sleep(0.1)
    counts["seconds"] += round(time.monotonic() - began)
    if page.job(job)["state"] == "failed":
        raise RuntimeError(page.job(job)["fault"])
    work = page.job(job)["work"]
    if work is not None:
        check(page, number, work, colour)
        page.ask("DELETE", f"works/{work}")
        counts["pictures"] += 1
    page.ask("DELETE", f"pictures/{sent['id']}")


def check(page: Page, number: int, work: str, colour: tuple[int, ...]) -> None:
    """Counts what is not this user's: a photograph of another colour, other names, other works."""
    before = page.http.get(f"works/{work}/before")
    mean = np.asarray(Image.open(io.BytesIO(before.content))).mean((0, 1))
    names = {other["name"] for other in page.report["works"]}
    if np.abs(mean - colour).max() > NEAR or names != {f"user{number}__night"}:
        counts["seen of others"] += 1
    addresses[number] = f"works/{work}/picture"
    for other, address in list(addresses.items()):
        if other != number:
            counts["refused"] += 1
            if page.http.get(address).status_code != 404:
                counts["seen of others"] += 1


def picture(shape: tuple[int, int], colour: tuple[int, ...]) -> bytes:
    """A PNG of one colour with some grain."""
    pixels = np.random.default_rng().normal(colour, 8, (shape[1], shape[0], 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def report(memory: list[float]) -> int:
    quarter = max(len(memory) // 4, 1)
    second, last = memory[quarter : 2 * quarter] or memory, memory[-quarter:]
    figures = {
        "users": FLAGS.users,
        "seconds": FLAGS.seconds,
        "pictures": counts["pictures"],
        "stopped early": counts["stopped"],
        "pages closed": counts["left"],
        "mean wait s": round(counts["seconds"] / max(counts["pictures"], 1), 1),
        "faults": counts["faults"],
        "asked for others'": counts["refused"],
        "seen of others": counts["seen of others"],
        "peak MiB": round(max(memory)),
        "growth MiB": round(statistics.median(last) - statistics.median(second), 1),
    }
    cli.print_table([[*figures], [str(value) for value in figures.values()]])
    cli.print_json(figures)
    return 1 if counts["faults"] or counts["seen of others"] or not counts["pictures"] else 0


if __name__ == "__main__":
    cli.run(main)
