"""Ctrl-C at every moment, above all while libraries are imported and programs compiled.

Python raises KeyboardInterrupt wherever the main thread happens to be. Libraries that are being
imported swallow it, XLA crashes if it arrives in one of its callbacks, and it is not raised at all
before a compilation ends. The scripts of ``launch/`` therefore watch for Ctrl-C in a thread, which
ends the process at once while there is nothing to keep. Loops that have something to keep call
`held`.
"""

import contextlib
import itertools
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

LAUNCH = Path(__file__).resolve().parents[1] / "launch"
STATUS = 130  # of an interrupted process, as in shells

_watching = False
_noted: threading.Event | None = None  # of the innermost `held`


def is_command() -> bool:
    """Whether this process runs one of our scripts: by its path, installed, or by ``-m``."""
    program = Path(sys.argv[0] if sys.argv else "")
    by_path = program.suffix == ".py" and program.resolve().parent == LAUNCH
    after_m = dict(itertools.pairwise(sys.orig_argv)).get("-m", "")
    by_module = after_m == "bnnjax" or after_m.startswith("bnnjax.launch.")
    return by_path or by_module or program.name == "bnnjax" or program.name.startswith("bnnjax-")


def leave_at_once() -> None:
    """From now on, Ctrl-C ends the process with a line on stderr and status 130, even if the main
    thread is busy outside Python. `held` defers this."""
    global _watching
    if _watching or threading.current_thread() is not threading.main_thread():
        return
    _watching = True
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, writer), daemon=True).start()


def raise_again() -> None:
    """Undoes `leave_at_once`: Ctrl-C raises KeyboardInterrupt."""
    global _watching
    if _watching:
        _watching = False
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def held() -> Iterator[threading.Event]:
    """Within, the first Ctrl-C only sets the event; the second has its usual effect."""
    global _noted
    noted, outer = threading.Event(), _noted
    in_main = threading.current_thread() is threading.main_thread()
    plain = in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def note(*_: object) -> None:
        noted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if plain:
        signal.signal(signal.SIGINT, note)
    elif in_main:
        _noted = noted
    try:
        yield noted
    finally:
        _noted = outer
        if plain:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _watch(reader: socket.socket, writer: socket.socket) -> None:
    del writer  # the caller's argument tuple keeps it open
    while True:
        for number in reader.recv(4096):
            if number == signal.SIGINT and _watching:
                _interrupt()


def _interrupt() -> None:
    noted = _noted
    if noted is None or noted.is_set():
        os.write(2, f"\n{os.path.basename(sys.argv[0])}: interrupted\n".encode())
        os._exit(STATUS)
    noted.set()
    os.write(2, b"\nCtrl-C: this step is the last; press again to leave at once\n")


if is_command():
    leave_at_once()
