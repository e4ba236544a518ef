"""Clerks: the threads of the office, which answer for Flask what the event loop hands in.

Each takes a request from its line, answers it and takes the next; whoever is free reads.  Nobody
distributes the work: that would cost every request a change of threads.  There are few, for they
share one interpreter and queue for it at every reply of Redis; who has worked for `LONG`, as when
Redis does not answer, is waiting for something else and has another one beside him.

Measured once each on two processors, two workers, ten steps back in priority, with 2 and with 8
fixed clerks: 2,571 and 1,414 links made a second, and a p99 of redirects beside eight readers of
2.3 and 9.1 ms.
"""

import contextlib
import io
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIApplication

from shortener.web.handed import HEAD, SIGN_OF_LIFE, Answer, Asked, frame, read

BEAT = 1.0  # seconds between two signs of life
AT_ONCE = 2  # clerks of a line
LONG = 0.25  # seconds after which a clerk is held up

log = logging.getLogger(__name__)


class Line:
    """One line to the event loop: frames in and out, for several threads."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._reader = end, end.makefile("rb", buffering=1 << 16)
        self._reading, self._writing = threading.Lock(), threading.Lock()

    def take(self) -> tuple[int, Any] | None:
        """The next frame: number and content; None when the event loop has hung up."""
        with self._reading:
            head = self._reader.read(HEAD.size)
            if len(head) < HEAD.size:
                return None
            number, length = HEAD.unpack(head)
            body = self._reader.read(length)
        return None if len(body) < length else (number, read(body))

    def give(self, number: int, content: Any) -> None:
        """Send a frame.  Raises `OSError` when nobody is there."""
        data = frame(number, content)
        with self._writing:
            self._end.sendall(data)


class Crew:
    """The clerks of one line: two, and while some are held up one more for each, up to `most`."""

    def __init__(self, application: WSGIApplication, line: Line, most: int) -> None:
        self._application, self._line, self._most = application, line, most
        self._clerks: dict[threading.Thread, float] = {}  # since when they work; 0 is not
        self._lock = threading.Lock()
        self._is_ending = False

    def look(self) -> bool:
        """See that there are enough; False when the line is at its end and all have gone."""
        with self._lock:
            while not self._is_ending and len(self._clerks) < self._wanted():
                clerk = threading.Thread(target=self._serve, name="clerk")
                self._clerks[clerk] = 0.0
                clerk.start()
            return bool(self._clerks)

    def _wanted(self) -> int:
        before = time.monotonic() - LONG
        held_up = sum(0.0 < since < before for since in self._clerks.values())
        return min(AT_ONCE + held_up, self._most)

    def _serve(self) -> None:
        me = threading.current_thread()
        try:
            while (taken := self._line.take()) is not None:
                self._clerks[me] = time.monotonic()
                number, content = taken
                self._line.give(number, tuple(self._answer(content)))
                self._clerks[me] = 0.0
                if len(self._clerks) > AT_ONCE and self._may_go(me):
                    return
        except OSError:  # nobody is there for the answer
            pass
        with self._lock:
            self._is_ending = True
            del self._clerks[me]

    def _may_go(self, me: threading.Thread) -> bool:
        with self._lock:
            if len(self._clerks) <= self._wanted():
                return False
            del self._clerks[me]
            return True

    def _answer(self, content: tuple[Any, ...]) -> Answer:
        try:
            return _run(self._application, Asked(*content))
        except Exception:  # Flask has a page for what a view raises: this is beside it
            log.exception("a request cannot be answered")
            return Answer(500, [(b"content-length", b"0")], b"")


def serve(application: WSGIApplication, lines: Sequence[tuple[Line, int]]) -> None:
    """Answer what comes on each line, with so many clerks at most, until all are at their end.

    The last line says that we are alive: the first time, that requests may come.
    """
    crews = [Crew(application, line, most) for line, most in lines]
    beat_at = 0.0
    while any([crew.look() for crew in crews]):  # noqa: C419 - each is to look
        if time.monotonic() >= beat_at:
            beat_at = time.monotonic() + BEAT
            with contextlib.suppress(OSError):  # nobody is there: the lines are at their end
                lines[-1][0].give(SIGN_OF_LIFE, None)
        time.sleep(LONG)


def _run(application: WSGIApplication, asked: Asked) -> Answer:
    answer: list[Any] = [500, []]

    def start(
        status: str, headers: list[tuple[str, str]], _exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        answer[0] = int(status[:3])
        answer[1] = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers]
        return lambda _: None

    parts = application(environ(asked), cast(StartResponse, start))
    try:
        content = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return Answer(answer[0], answer[1], content)


def environ(asked: Asked) -> dict[str, Any]:
    """The WSGI environment of a request (PEP 3333)."""
    server, client = asked.server or ("localhost", None), asked.client or ("", 0)
    found: dict[str, Any] = {
        "REQUEST_METHOD": asked.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": asked.path.encode("utf-8").decode("latin-1"),
        "RAW_URI": asked.target.decode("latin-1"),
        "QUERY_STRING": asked.query.decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "SERVER_PROTOCOL": f"HTTP/{asked.version}",
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": asked.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in asked.headers:
        if b"_" in raw_name:  # would pass for the header with a hyphen
            continue
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        value = raw_value.decode("latin-1")
        if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = f"HTTP_{name}"
        found[name] = f"{found[name]},{value}" if name in found else value
    found.pop("HTTP_TRANSFER_ENCODING", None)  # the body is whole
    found.pop("HTTP_UPGRADE", None)  # to nothing that we speak
    found["wsgi.input"] = io.BytesIO(asked.body)
    found["CONTENT_LENGTH"] = str(len(asked.body))
    return found | asked.extra
