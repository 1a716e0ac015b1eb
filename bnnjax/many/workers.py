"""Who paints: processes of Ray, on this machine or on a cluster."""

import contextlib
import dataclasses
import logging
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import psutil

STORE = 100 * 2**20  # bytes of Ray's object store on this machine: tasks and rows are small

GRACE = 3  # seconds in which Ray's processes may end by themselves


@dataclasses.dataclass(frozen=True)
class Workers:
    """Who paints.

    Attributes:
      count: the number of workers, each a process of its own.
      cpus, gpus, tpus: what each of them needs. By default, the workers share this machine's cores.
      address: of a Ray cluster, or "auto"; None starts Ray on this machine.

    Raises:
      ValueError: a number is too small.
    """

    count: int = 1
    cpus: int | None = None
    gpus: float = 0
    tpus: float = 0
    address: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("cpus", 1), ("gpus", 0), ("tpus", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ValueError(f"{name} of workers is {value}, needs at least {least}")

    @property
    def cores(self) -> int:
        """The number of CPU cores for each."""
        return self.cpus or max((os.cpu_count() or 1) // self.count, 1)

    @property
    def needs(self) -> dict[str, float]:
        """What each needs, by Ray's names of resources."""
        return {"CPU": self.cores, "GPU": self.gpus, "TPU": self.tpus}


@contextlib.contextmanager
def connected(workers: Workers) -> Iterator[Any]:
    """Ray, connected to a cluster or started on this machine, and quiet; Ray's own errors become a
    line.

    Raises:
      ValueError: there is no connection, no machine has what a worker needs, or workers fail.
      ModuleNotFoundError: Ray is missing.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = _ray()
    try:
        with _ended(ray):
            _start(ray, workers)
            check_room(workers, [node["Resources"] for node in ray.nodes() if node["Alive"]])
            yield ray
    except ray.exceptions.RayError as error:
        raise ValueError(f"Ray: {_reason(error)}") from error


@contextlib.contextmanager
def _ended(ray: Any) -> Iterator[None]:
    """Ends Ray and the processes that it starts within, also at Ctrl-C while they start, and at a
    second one while they end."""
    this = psutil.Process()
    before = {*this.children(recursive=True)}
    try:
        with warnings.catch_warnings():  # Ray forks to start others, which is harmless
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            yield
    finally:
        started = [child for child in this.children(recursive=True) if child not in before]
        try:
            ray.shutdown()
            psutil.wait_procs(started, timeout=GRACE)
        finally:
            for process in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; pip install 'bnnjax[cluster]'") from None
    return ray


def _start(ray: Any, workers: Workers) -> None:
    settings: dict[str, Any] = {"address": workers.address}
    if workers.address is None:
        cores = workers.count * workers.cores
        settings = {"address": "local", "num_cpus": cores, "object_store_memory": STORE}
        settings["include_dashboard"] = False
    try:
        if workers.address is not None:
            _knock(workers.address)
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = "on this machine" if workers.address is None else f"at {workers.address}"
        raise ValueError(f"no Ray {where}: {_reason(error)}") from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # which shows tracebacks
    ray.data.DataContext.get_current().enable_progress_bars = False


def _knock(address: str) -> None:
    """Raises an OSError if nothing answers there; Ray itself would try for minutes."""
    host, colon, port = address.rpartition("//")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def check_room(workers: Workers, machines: list[Mapping[str, float]]) -> None:
    """Raises a ValueError unless a machine has what a worker needs; Ray would wait forever.

    Args:
      workers: the workers.
      machines: what each machine has, by Ray's names of resources.
    """
    needs = {name: amount for name, amount in workers.needs.items() if amount}
    if not any(all(has.get(n, 0) >= amount for n, amount in needs.items()) for has in machines):
        wanted = ", ".join(f"{amount:g} {name}" for name, amount in needs.items())
        most = ", ".join(f"{max(has.get(n, 0) for has in machines):g} {n}" for n in needs)
        raise ValueError(f"a worker needs {wanted}, but machines have {most} at most")


def _reason(error: Exception) -> str:
    """What an error of Ray says, without the traceback of another process."""
    cause = getattr(error, "cause", None)
    lines = str(error if cause is None else cause).strip().splitlines() or [type(error).__name__]
    return lines[-1 if cause is None else 0].strip()
