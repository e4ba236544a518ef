"""The access log: a line of JSON for each request, for who switches it on.

It says what was answered, not who asked for what: the address is cut to its network (IPv4 to 24
bits, IPv6 to 48), and left out for a visitor who asks not to be tracked; the query, referrer and
user agent are not in it, so no key, password or campaign of a visitor is either.

A request costs an append to a list; a thread spells the lines and writes them.  What we give up: a
process that is killed loses its last lines, and when the output does not take them, the newest.
Clicks do not come from here.
"""

import contextlib
import ipaddress
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

PAUSE = 0.2  # seconds between two writes
MAX_WAITING = 20_000  # lines; more than that are lost
MAX_PATH = 512  # characters
CHUNK = 4096  # bytes of one write: a pipe takes so many in one piece (PIPE_BUF), or a longer line

log = logging.getLogger(__name__)


class Answered(NamedTuple):
    """One request.  Times are in seconds since 1970, and in microseconds."""

    at: float
    kind: str  # one of `gauges.KINDS`
    method: str
    path: str  # without the query
    status: int
    size: int | None  # bytes of the answer's body
    took: int
    address: str  # "" when the visitor asked not to be tracked


class AccessLog:
    """The log of this process; `target` is a file, or `-` for the standard output."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._waiting: deque[Answered] = deque()
        self._lost = 0
        self._stop = threading.Event()
        self._writer: threading.Thread | None = None
        self._pid = 0

    def add(self, answered: Answered) -> None:
        """Have a line written soon."""
        if len(self._waiting) >= MAX_WAITING:
            self._lost += 1
            return
        self._waiting.append(answered)
        if self._pid != os.getpid():
            self._start()

    def close(self) -> None:
        """Write what is waiting."""
        self._stop.set()
        if self._writer is not None and self._pid == os.getpid():
            self._writer.join(5.0)

    def _start(self) -> None:
        """Threads do not survive a fork: each process starts its own."""
        self._pid = os.getpid()
        self._stop = threading.Event()
        self._writer = threading.Thread(target=self._write_on, daemon=True, name="access log")
        self._writer.start()

    def _write_on(self) -> None:
        output = -1
        while True:
            is_last = self._stop.wait(PAUSE)
            try:
                if output < 0:
                    output = self._open()
                self._write(output)
            except OSError as error:
                log.error("the access log cannot be written: %s", error)  # noqa: TRY400 - one line
                self._waiting.clear()
                self._stop.wait(10 * PAUSE)
            if is_last:
                return

    def _open(self) -> int:
        if self._target == "-":
            return os.dup(1)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._target, flags, 0o600)

    def _write(self, output: int) -> None:
        for chunk in _chunks(self._taken()):
            while chunk:
                chunk = chunk[os.write(output, chunk) :]
        if self._lost:
            log.warning("%d lines of the access log are lost: its output is slow", self._lost)
            self._lost = 0

    def _taken(self) -> Iterator[Answered]:
        with contextlib.suppress(IndexError):
            while True:
                yield self._waiting.popleft()


def _chunks(answered: Iterator[Answered]) -> Iterator[bytes]:
    """Whole lines, several in one piece."""
    chunk = b""
    for one in answered:
        line = _line(one)
        if chunk and len(chunk) + len(line) > CHUNK:
            yield chunk
            chunk = b""
        chunk += line
    if chunk:
        yield chunk


def _line(answered: Answered) -> bytes:
    at = datetime.fromtimestamp(answered.at, UTC).isoformat(timespec="milliseconds")
    fields = {
        "time": at.replace("+00:00", "Z"),
        "kind": answered.kind,
        "method": answered.method[:16],
        "path": answered.path[:MAX_PATH],
        "status": answered.status,
        "bytes": answered.size,
        "ms": answered.took / 1000,
        "network": _network(answered.address),
    }
    return msgspec.json.encode(fields) + b"\n"


def _network(address: str) -> str | None:
    """The address without the part that tells one visitor from the next."""
    try:
        prefix = 48 if ":" in address else 24
        return str(ipaddress.ip_network((address, prefix), strict=False))
    except ValueError:
        return None
