"""The edge: the event loop answers plain redirects, Flask everything else.

A redirect is: look the code up (shared with whoever asks in the same turn), decide, write the click
down, answer.  In that order: what was answered is in the journal.  Whatever is not a plain redirect
goes to Flask together with what the look-up found, so nothing is asked twice.
"""

import asyncio
import time
from wsgiref.types import WSGIApplication

from shortener.codes import looks_like_code, normalise
from shortener.errors import LinkExpired, LinkNotFound, Problem
from shortener.journal import Journal
from shortener.link import Link
from shortener.redirects import Gated, decide
from shortener.web.bridge import Bridge, Receive, Scope, Send
from shortener.web.domains import Domains
from shortener.web.lookup import LOOKUP
from shortener.web.meter import Meter
from shortener.web.records import Records
from shortener.web.redirect import CACHE_CONTROL
from shortener.web.visitor import click, host, is_counted, read_headers

_HEADERS = [(b"cache-control", CACHE_CONTROL.encode()), (b"content-length", b"0")]
_EMPTY = {"type": "http.response.body", "body": b""}


class Edge:
    """The ASGI application in front of `flask`."""

    def __init__(
        self,
        flask: WSGIApplication,
        records: Records,
        journal: Journal,
        domains: Domains,
        case_sensitive: bool,
        trusted_proxies: int,
        meter: Meter,
    ) -> None:
        self._bridge = Bridge(flask)
        self._records, self._journal, self._domains = records, journal, domains
        self._meter = meter
        self._case_sensitive, self._trusted_proxies = case_sensitive, trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name = self._name(scope)
            if name is None:
                await self._bridge(scope, receive, send)
            else:
                await self._follow(name, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    def _name(self, scope: Scope) -> str | None:
        """The name of the link that is asked for; None when the request is for Flask alone."""
        path: str = scope["path"]
        if scope["method"] not in ("GET", "HEAD") or path.find("/", 1) > 0:
            return None
        code = normalise(path[1:], self._case_sensitive)
        if not looks_like_code(code):
            return None
        return code if self._domains.only else self._domains.name(self._host(scope), code)

    async def _follow(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        found: Link | Problem | None
        began = time.perf_counter_ns()
        try:
            found = link = await self._records.find(name)
            at = time.time_ns() // 1_000_000
            redirect = decide(link, at, scope["query_string"])
        except Gated:
            await self._bridge(scope, receive, send, {LOOKUP: found})
            return
        except (LinkNotFound, LinkExpired):
            await self._bridge(scope, receive, send, {LOOKUP: found}, needs_store=False)
            return
        except Problem as problem:
            await self._bridge(scope, receive, send, {LOOKUP: problem}, needs_store=False)
            return
        headers = read_headers(scope["headers"], self._trusted_proxies)
        peer = scope["client"][0] if scope["client"] else ""
        if link is not None and redirect.counted and is_counted(scope["method"], headers):
            query = scope["query_string"]
            self._journal.append([click(link, at, headers, query, peer, self._trusted_proxies)])
        location = (b"location", redirect.location.encode())
        start = {
            "type": "http.response.start",
            "status": redirect.status,
            "headers": [location, *_HEADERS],
        }
        await send(start)
        await send(_EMPTY)
        method, path = scope["method"], scope["raw_path"]
        self._meter.redirected(redirect.status, began, method, path, headers, peer)

    def _host(self, scope: Scope) -> str:
        headers = read_headers(scope["headers"], self._trusted_proxies)
        return host(headers, self._trusted_proxies)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan protocol: on the way out, what was written is forced to the disk."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._records.close()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._close)
        await send({"type": "lifespan.shutdown.complete"})

    def _close(self) -> None:
        self._bridge.close()
        self._journal.close()
        self._meter.close()
