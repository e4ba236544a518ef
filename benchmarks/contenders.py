"""The contenders: processes of their own, and questions to them.

A contender is a context: entering starts it on a free port of 127.0.0.1 with an empty data
directory and waits until it answers, leaving stops it and what it started.  All are asked the same
things, so every check of one is a check of the others.  The nginx ones are in `benchmarks.nginx`.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import redis

from benchmarks import processes
from benchmarks.client import Client
from benchmarks.destinations import destination
from shortener import children
from shortener.embedded import find_binary

KEY = "sk_only-of-a-benchmark-on-loopback"
START_PATIENCE = 60.0  # seconds until it has to answer
STOP_PATIENCE = 40.0  # seconds; longer than ours gives its own children
ROOT = Path(__file__).parent.parent
BULK = 1_000  # links of one request
THREADS = 16  # of each worker of plain
PROGRAMS = {  # of ours, by a part of their command lines
    "gunicorn": "workers",
    "shortener: office": "offices",
    "shortener: aggregator": "aggregator",
    "redis": "Redis",
}


class NotStarted(Exception):
    """A contender that does not answer; the message is one line."""


class Contender(ABC):
    """A server on 127.0.0.1:`port`, with a new directory for all that it stores."""

    name: str
    counting_delay: float  # seconds after which clicks have to be in the statistics
    counts = True  # whether it counts clicks at all

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._log = directory / "log"
        self._running = ExitStack()
        self._pids: list[int] = []

    @classmethod
    def missing(cls) -> str:
        """Why it cannot run here, and what to install; empty when it can."""
        return ""

    def __enter__(self) -> Self:
        with ExitStack() as begun:
            self._running = begun
            self._start()
            self._running = begun.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    def client(self) -> Client:
        return Client(self.port, KEY)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """All of its processes."""
        return processes.family(self._pids)

    def fill(self, links: int) -> list[str]:
        """Make links to the first destinations; answers their codes, in that order."""
        with self.client() as client:
            return [client.create(destination(number)) for number in range(links)]

    def location(self, number: int) -> str:
        """Where the link with this number leads."""
        return destination(number)

    @abstractmethod
    def clicks(self, codes: Sequence[str]) -> int:
        """Redirects counted so far, when only `codes` were followed."""

    @abstractmethod
    def links(self) -> int:
        """Links made so far."""

    @abstractmethod
    def _start(self) -> None:
        """Start all processes and wait until requests are answered."""

    def _run(
        self, command: Sequence[str], environ: Mapping[str, str], descriptors: Sequence[int] = ()
    ) -> "subprocess.Popen[bytes]":
        """Start one process, to be stopped before those that were started earlier."""
        with self._log.open("ab") as log:
            process = children.start(command, environ, descriptors, output=log.fileno())
        self._running.callback(children.stop, process, STOP_PATIENCE)
        self._pids.append(process.pid)
        return process

    def _wait(self, process: "subprocess.Popen[bytes]", path: str, wanted: int) -> None:
        """Wait until `path` is answered with the status `wanted`."""
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with self.client() as client:
                    if client.status(path) == wanted:
                        return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        raise NotStarted(f"{self.name} does not answer: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


class Alike(Contender):
    """Answers every request with the redirect to one place, and counts nothing."""

    counting_delay = 0.0
    counts = False

    def fill(self, links: int) -> list[str]:
        return [f"c{number:05d}" for number in range(links)]  # about as long as ours

    def location(self, number: int) -> str:  # noqa: ARG002 - the same for all
        return destination(0)

    def clicks(self, codes: Sequence[str]) -> int:  # noqa: ARG002 - nobody counts
        return 0

    def links(self) -> int:
        return 0


class Ours(Contender):
    """`shortener serve`, as it comes."""

    name = "ours"
    counting_delay = 2.0
    settings: ClassVar[Mapping[str, str]] = {}  # beside those that `serve` gives

    def fill(self, links: int) -> list[str]:
        codes: list[str] = []
        with self.client() as client:
            for first in range(0, links, BULK):
                numbers = range(first, min(first + BULK, links))
                wanted = [{"url": destination(number)} for number in numbers]
                made = client.post("/api/v1/links/bulk", json.dumps({"links": wanted}).encode())
                codes += [str(result["link"]["code"]) for result in made["results"]]
        return codes

    def clicks(self, codes: Sequence[str]) -> int:  # noqa: ARG002 - the site's sum has them all
        with self.client() as client:
            totals = client.read("/api/v1/stats")["totals"]
        return int(totals["clicks"]) + int(totals.get("bots") or 0)

    def links(self) -> int:
        with self.client() as client:
            return int(client.read("/api/v1/links?limit=1")["total"])

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Hold the aggregator up: clicks wait in the journals."""
        aggregators = [
            pid for pid in self.pids if "shortener: aggregator" in processes.command(pid)
        ]
        for pid in aggregators:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in aggregators:
                os.kill(pid, signal.SIGCONT)

    def _start(self) -> None:
        command, environ = serve(self.directory / "data", self.port)
        environ |= {f"SHORTENER_{name}": value for name, value in self.settings.items()}
        self._wait(self._run(command, environ), "/-/ready", 200)


class Plain(Contender):
    """`benchmarks.plain` under gunicorn, a worker for each processor, with its own Valkey."""

    name = "plain"
    counting_delay = 0.3  # a click is counted before its answer; the last ones are under way

    def clicks(self, codes: Sequence[str]) -> int:
        with redis.Redis(unix_socket_path=str(self._socket)) as store:
            counts = store.mget([f"clicks:{code}" for code in codes])
        return sum(int(count or 0) for count in counts)

    def links(self) -> int:
        with redis.Redis(unix_socket_path=str(self._socket)) as store:
            return int(store.get("links") or 0)

    @property
    def _socket(self) -> Path:
        return self.directory / "socket"

    def _start(self) -> None:
        self._run(valkey(self._socket, self.directory), os.environ)
        environ = dict(os.environ)
        environ |= {"PLAIN_SOCKET": str(self._socket), "PLAIN_BASE_URL": self.address}
        gunicorn = self._run(self._gunicorn(), environ)
        self._wait(gunicorn, "/no-such-code", 404)

    def _gunicorn(self) -> list[str]:
        return [
            *(sys.executable, "-m", "gunicorn", "benchmarks.plain:create_app()"),
            *("--worker-class", "gthread", "--workers", str(os.cpu_count() or 1)),
            *("--threads", str(THREADS), "--bind", f"127.0.0.1:{self.port}"),
            *("--pythonpath", str(ROOT), "--graceful-timeout", "3"),
            *("--no-control-socket", "--log-level", "warning"),
        ]


def valkey(socket: Path, directory: Path) -> list[str]:
    """The command of a Valkey that keeps what it has, as a contender's own store."""
    return [
        *(str(find_binary("")), "--port", "0", "--unixsocket", str(socket)),
        *("--dir", str(directory), "--save", ""),
        *("--appendonly", "yes", "--appendfsync", "everysec"),
    ]


def serve(data_dir: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """Command and environment of `shortener serve`; other settings in ours are not handed on."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SHORTENER_")}
    settings = {
        "SHORTENER_DATA_DIR": str(data_dir),
        "SHORTENER_BIND": f"127.0.0.1:{port}",
        "SHORTENER_BASE_URL": f"http://127.0.0.1:{port}",
        "SHORTENER_ADMIN_KEY": KEY,
    }
    return [sys.executable, "-m", "shortener", "serve"], clean | settings


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
