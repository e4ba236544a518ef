"""The edge: the event loop answers plain redirects and a few other requests, Flask the rest.

A redirect is: look the code up (remembered, or read together with whoever asks in the same turn),
decide, write the click down, answer.  In that order: what was answered is in the journal.  Whatever
is not a plain redirect goes to Flask together with what the look-up found, so nothing is asked
twice.

`Edge` is an ASGI application and serves under any server that speaks it; under our own protocol
class (`web/protocol.py`) most redirects do not come this far.
"""

import asyncio
import functools
import time
from typing import Any
from urllib.parse import unquote

import redis

from shortener.codes import looks_like_code, normalise
from shortener.errors import LinkExpired, LinkNotFound, Problem
from shortener.journal import Journal, beginning, part
from shortener.links.link import Link
from shortener.links.redirects import Gated, Redirect, decide
from shortener.web.bridge import App, Bridge, Receive, Send
from shortener.web.domains import Domains
from shortener.web.familiar import Familiar
from shortener.web.handed import LOOKUP, Scope
from shortener.web.headers import FOR_ALL, FOR_REDIRECTS
from shortener.web.live import PATHS, Live
from shortener.web.memory import Remembered
from shortener.web.meter import Meter, Request
from shortener.web.office import Office
from shortener.web.patience import Patience
from shortener.web.records import Found, Records
from shortener.web.turn import Turn
from shortener.web.visitor import (
    Headers,
    Said,
    address,
    host,
    is_counted,
    read_headers,
    said,
    visitor,
)

_HEADERS = [(name.lower().encode(), value.encode()) for name, value in FOR_REDIRECTS.items()]
_EMPTY = {"type": "http.response.body", "body": b""}
HEALTH = "/-/health"
_READ = ("GET", "HEAD")
_ALIVE = b'{"status":"ok"}'
_ALIVE_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(_ALIVE)),
    (b"cache-control", b"no-store"),
    *((name.lower().encode(), value.encode()) for name, value in FOR_ALL.items()),
]


class Edge:
    """The ASGI application in front of the `office`, and what its connections share."""

    def __init__(
        self,
        office: Office,
        records: Records,
        journal: Journal,
        domains: Domains,
        case_sensitive: bool,
        trusted_proxies: int,
        meter: Meter,
        store: redis.Redis,
        country_header: bytes = b"",
    ) -> None:
        self.bridge = Bridge(office, meter, self.request)
        self._journal, self._domains = journal, domains
        self._case_sensitive, self._country_header = case_sensitive, country_header
        self.records, self.trusted_proxies = records, trusted_proxies
        self.meter, self.patience = meter, Patience()
        self.turn = Turn(journal, meter)
        self.familiar = Familiar()
        # behind a proxy heads name the visitor; hosts and the access log want more than is kept
        self.learns = domains.only and not trusted_proxies and not meter.logs
        live = Live(self.bridge, store, domains, lambda: self.patience.leaving)
        self.own: dict[tuple[str, str], App] = {  # what is answered here, by method and path
            **{("GET", path): live for path in PATHS},
            **{(method, HEALTH): self._tell_alive for method in _READ},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            own = self.own.get((scope["method"], scope["path"]), self._follow)
            await own(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    def known(self, code: str) -> Remembered | None:
        """The link with a code, in its usual spelling, when it can be had without waiting."""
        return self.records.known(code) if self._domains.only else None

    def name_at(self, path: bytes, headers: Headers) -> str | None:
        """The name of the link at a path; None when that is for Flask alone."""
        text = path.decode("ascii")
        return self._name(unquote(text) if "%" in text else text, headers)

    def name_in(self, scope: Scope) -> str | None:
        """The same for a request."""
        if scope["method"] not in _READ:
            return None
        return self._name(scope["path"], {} if self._domains.only else self._headers(scope))

    def visit(
        self, found: Found, visitor: bytes | None, query: bytes
    ) -> tuple[Redirect, bytes | None]:
        """Where a visitor is sent, and the click to write down before, behind its time; none when
        there is no `visitor` to be counted.

        Raises `Gated` and every `Problem` that Flask has a page for.
        """
        redirect = decide(_link(found), time.time_ns() // 1_000_000, query)
        if visitor is None or not redirect.counted or not isinstance(found, Remembered):
            return redirect, None
        return redirect, found.counted + visitor

    def visit_in(self, found: Found, scope: Scope) -> tuple[Redirect, bytes | None]:
        """The same for a request."""
        headers, query = self._headers(scope), scope["query_string"]
        said = self.said(scope["method"], headers)
        if said is None:
            return self.visit(found, None, query)
        who = part(address(headers, _peer(scope), self.trusted_proxies))
        return self.visit(found, visitor(said, who, query), query)

    def said(self, method: str, headers: Headers) -> Said | None:
        """What the headers of a request say about its visitor; None when it is no visit."""
        return said(headers, self._country_header) if is_counted(method, headers) else None

    def request(self, scope: Scope) -> Request | None:
        """What the access log wants to know; None when there is no log."""
        if not self.meter.logs:
            return None
        return Request(scope["method"], scope["raw_path"], self._headers(scope), _peer(scope))

    def _headers(self, scope: Scope) -> Headers:
        return read_headers(scope["headers"], self.trusted_proxies)

    def _name(self, path: str, headers: Headers) -> str | None:
        if path.find("/", 1) > 0:
            return None
        code = normalise(path[1:], self._case_sensitive)
        if not looks_like_code(code):
            return None
        if self._domains.only:
            return code
        return self._domains.name(host(headers, self.trusted_proxies), code)

    async def _follow(self, scope: Scope, receive: Receive, send: Send) -> None:
        if LOOKUP in scope:
            found, reason = scope[LOOKUP]
            await self._explain(found, reason, scope, receive, send)
            return
        began, name = time.perf_counter_ns(), self.name_in(scope)
        if name is None:
            await self.bridge(scope, receive, send)
            return
        looked_up: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self.records.find(name, functools.partial(_settle, looked_up))
        found = await looked_up
        try:
            redirect, visit = self.visit_in(found, scope)
        except (Gated, Problem) as reason:
            await self._explain(found, reason, scope, receive, send)
            return
        if visit is not None:
            self._journal.append_encoded([beginning(time.time_ns() // 1_000_000) + visit])
        location = (b"location", redirect.location.encode())
        await send(
            {
                "type": "http.response.start",
                "status": redirect.status,
                "headers": [location, *_HEADERS],
            }
        )
        await send(_EMPTY)
        request, status = self.request(scope), redirect.status
        logged = [] if request is None else [(status, began, request)]
        self.meter.redirected([(status, began, 1)], logged)

    async def _tell_alive(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """This process lives; whether its office does is another question (`/-/ready`)."""
        began = time.perf_counter_ns()
        await send({"type": "http.response.start", "status": 200, "headers": _ALIVE_HEADERS})
        await send({"type": "http.response.body", "body": _ALIVE})
        self.meter.stood_in(scope, 200, len(_ALIVE), began, self.request(scope))

    async def _explain(
        self,
        found: Found,
        reason: Gated | Problem,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Let Flask answer for what is not a plain redirect: with a gate, or with a page."""
        extra: dict[str, Any] = {LOOKUP: reason}
        if isinstance(reason, (Gated, LinkNotFound, LinkExpired)):
            extra[LOOKUP] = _link(found)
        await self.bridge(scope, receive, send, extra, needs_store=isinstance(reason, Gated))

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan protocol: on the way out, what was written is forced to the disk."""
        await receive()
        await self.records.ready()
        self.bridge.open()
        loop = asyncio.get_running_loop()
        watch = loop.create_task(self.patience.watch())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        watch.cancel()
        self.records.close()
        await self.bridge.close()
        await loop.run_in_executor(None, self._close)
        await send({"type": "lifespan.shutdown.complete"})

    def _close(self) -> None:
        self._journal.close()
        self.meter.close()


def _settle(looked_up: asyncio.Future[Found], found: Found) -> None:
    if not looked_up.done():  # who has asked may be gone
        looked_up.set_result(found)


def _link(found: Found) -> Link | None:
    if isinstance(found, Problem):
        raise found
    return None if found is None else found.link


def _peer(scope: Scope) -> str:
    """The address of who is connected to us."""
    client: tuple[str, int] | None = scope["client"]
    return client[0] if client else ""
