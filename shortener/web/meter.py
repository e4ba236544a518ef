"""The meter: every answer is counted, and logged when that is switched on.

The event loop tells it of what it answers itself; everything else passes through it as a WSGI
application.  What is counted has few and fixed names: the kind of request and its status, never a
code or a path, which strangers choose.
"""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from shortener.access_log import AccessLog, Answered
from shortener.gauges import (
    API_LATENCY,
    CACHE_HITS,
    FORWARDED,
    FORWARDED_MISSING,
    FORWARDED_UNTRUSTED,
    REDIRECT_LATENCY,
    REQUESTS,
    Counters,
)
from shortener.web.handed import Scope
from shortener.web.visitor import Headers, address, is_local, is_private, read_headers

_REDIRECTS = REQUESTS["redirect"]
_OPERATIONS = ("/-/health", "/-/ready", "/-/metrics")


class Request(NamedTuple):
    """What the log takes down of a redirect."""

    method: str
    path: bytes  # as it came, without the query
    headers: Headers
    peer: str


Redirected = tuple[int, int, int]  # status, beginning (`perf_counter_ns`), and how many
Logged = tuple[int, int, Request]  # status and beginning of one, and what the log wants of it


class Meter:
    """Counts the answers of this process; `log` is None when it is off."""

    def __init__(self, counters: Counters, log: AccessLog | None, trusted_proxies: int) -> None:
        self.counters, self._log, self._trusted_proxies = counters, log, trusted_proxies

    @property
    def logs(self) -> bool:
        """Whether the log wants to know of requests."""
        return self._log is not None

    def redirected(
        self, redirects: Iterable[Redirected], logged: Iterable[Logged] = (), hits: int = 0
    ) -> None:
        """The event loop has answered redirects, together; `hits` of them took no look-up."""
        now = time.perf_counter_ns()
        for status, began, count in redirects:
            self.counters.add(_REDIRECTS[status], count)
            self.counters.observe(REDIRECT_LATENCY, (now - began) // 1000, count)
        for status, began, request in logged:
            self._log_request("redirect", status, 0, (now - began) // 1000, request)
        if hits:
            self.counters.add(CACHE_HITS, hits)

    def stood_in(
        self, scope: Scope, status: int, size: int, began: int, request: Request | None
    ) -> None:
        """The event loop has answered what is Flask's to answer, begun at a `perf_counter_ns`."""
        kind, took = kind_of(scope["path"]), (time.perf_counter_ns() - began) // 1000
        headers = read_headers(scope["headers"], self._trusted_proxies)
        forwarded, client = headers.get(b"x-forwarded-for"), scope.get("client")
        self._count(kind, status, took, forwarded, client[0] if client else "")
        if request is not None:
            self._log_request(kind, status, size, took, request)

    def _log_request(self, kind: str, status: int, size: int, took: int, request: Request) -> None:
        if self._log is not None:
            method, path, headers, peer = request
            who = "" if is_private(headers) else address(headers, peer, self._trusted_proxies)
            text = path.decode("latin-1")
            answered = Answered(time.time(), kind, method, text, status, size, took, who)
            self._log.add(answered)

    def around(self, application: WSGIApplication) -> WSGIApplication:
        """The application, metered.  How long it took is until its answer begins."""

        def metered(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            began, peer = time.perf_counter_ns(), environ.get("REMOTE_ADDR", "")
            answer: list[int | None] = [500, None]

            def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                answer[:] = [int(status[:3]), _size(headers)]
                return start(status, headers, *more)

            parts = application(environ, started)
            took = (time.perf_counter_ns() - began) // 1000
            status, size = answer
            self._note(environ, status or 500, size, took, peer)
            return parts

        return metered

    def close(self) -> None:
        """Write what the log still holds."""
        if self._log is not None:
            self._log.close()

    def _note(
        self, environ: WSGIEnvironment, status: int, size: int | None, took: int, peer: str
    ) -> None:
        kind, forwarded = kind_of(environ["PATH_INFO"]), environ.get("HTTP_X_FORWARDED_FOR")
        sent = None if forwarded is None else forwarded.encode("latin-1")
        self._count(kind, status, took, sent, peer)
        if self._log is not None:
            private = "1" in (environ.get("HTTP_DNT"), environ.get("HTTP_SEC_GPC"))
            answered = Answered(
                time.time(),
                kind,
                environ["REQUEST_METHOD"],
                quote(environ["PATH_INFO"].encode("latin-1")),
                status,
                size,
                took,
                "" if private else environ["REMOTE_ADDR"],
            )
            self._log.add(answered)

    def _count(self, kind: str, status: int, took: int, forwarded: bytes | None, peer: str) -> None:
        self.counters.count(kind, status)
        if kind == "api":
            self.counters.observe(API_LATENCY, took)
        elif kind == "redirect" and 300 <= status < 400:
            self.counters.observe(REDIRECT_LATENCY, took)
        if kind != "operations":
            self._note_proxies(forwarded, peer)

    def _note_proxies(self, forwarded: bytes | None, peer: str) -> None:
        """Whether TRUSTED_PROXIES seems right; health tells.  From afar, a header is an invention:
        only what comes from a private address, as a proxy does, says something."""
        entries = 0 if forwarded is None else forwarded.count(b",") + 1
        if self._trusted_proxies and entries >= self._trusted_proxies:
            self.counters.add(FORWARDED)
        elif not self._trusted_proxies and entries and is_local(peer):
            self.counters.add(FORWARDED_UNTRUSTED)
        else:
            self.counters.add(FORWARDED_MISSING)


def kind_of(path: str) -> str:
    """Which of `gauges.KINDS` a request is."""
    if path.startswith("/api/"):
        return "api"
    if path.startswith("/-/"):
        if path in _OPERATIONS:
            return "operations"
        return "static" if path.startswith("/-/static/") else "page"
    if path == "/" or "." in path or path.endswith("+"):
        return "page"
    return "redirect"


def _size(headers: list[tuple[str, str]]) -> int | None:
    found = next((value for name, value in headers if name.lower() == "content-length"), "")
    return int(found) if found.isdecimal() else None
