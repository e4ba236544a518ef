"""Redirects on one connection, with less ado than an ASGI application takes.

A `GET` or `HEAD` for a code, without a body, needs no scope, no task and no queue when no earlier
request of the connection is under way (`_answer_at_once`).  A link that is remembered and leads
everyone to the same place is answered at the end of the loop's turn (`Turn`), before anything that
is begun later in that turn can write.  Any other is looked up first; a request that comes behind
it meanwhile is kept back until it is answered.  So answers keep the order of requests.

What is no plain redirect goes on to the application, with what was found (`_hand_on`), as do
requests whose turn comes later (`_start_asgi_task`).
"""

import time
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shortener.errors import Problem
from shortener.links.redirects import Gated
from shortener.web.connection import Connection
from shortener.web.handed import LOOKUP
from shortener.web.heads import Listed
from shortener.web.meter import Request
from shortener.web.records import Found
from shortener.web.turn import rest
from shortener.web.visitor import Headers, is_ahead

_READ = (b"GET", b"HEAD")
_UNUSUAL = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))


class Sought(NamedTuple):
    """A request whose link is looked up.  For the parent it is the parser that has read it."""

    method: bytes
    version: str
    stays: bool
    url: bytes
    listed: Listed
    headers: Headers
    began: int  # `perf_counter_ns`

    def get_method(self) -> bytes:
        return self.method

    def get_http_version(self) -> str:
        return self.version

    def should_keep_alive(self) -> bool:
        return self.stays

    def should_upgrade(self) -> bool:
        return False


class RedirectProtocol(Connection):
    """One connection; what is an answer at once, `is_ending` says whether it is the last."""

    is_ending = False
    _sought: Sought | None = None  # nothing behind it may be begun
    _kept_back: tuple[RequestResponseCycle, Any] | None = None  # the next request, and who answers
    _reason: tuple[Found, Gated | Problem] | None = None  # why a request is handed on

    def _answer_at_once(self, headers: Headers, stays: bool) -> bool:
        """Whether the request is answered at the end of this turn, or when its link is known."""
        if self._is_unsent or self._is_busy or self.flow.write_paused:
            return False
        method = self.parser.get_method()
        if method not in _READ or not _UNUSUAL.isdisjoint(headers):
            return False
        began = time.perf_counter_ns()
        path, _, query = self.url.partition(b"?")
        found = self._edge.known(path)
        if found is None or found.answer is None:
            name = self._edge.name_at(path, headers)
            if name is None:
                return False
            found = self._edge.records.known(name)
            if found is None or found.answer is None:
                self._look_up(name, method, headers, stays, began)
                return True
        visit, peer = None, self.client[0] if self.client else ""
        if method == b"GET" and not is_ahead(headers):
            at = time.time_ns() // 1_000_000
            visit = self._edge.click(found.link, at, headers, query, peer)
        self._is_unsent = True
        self.is_ending = self._is_deaf = self._patience.leaving or not stays
        request = Request(method.decode(), path, headers, peer) if self._edge.meter.logs else None
        turn, date = self._edge.turn, self.server_state.default_headers
        turn.add(self, (found.link.status, began, request), found.answer, visit, date)
        turn.hits += 1
        return True

    def _look_up(self, name: str, method: bytes, headers: Headers, stays: bool, began: int) -> None:
        version = self.parser.get_http_version()
        self._sought = Sought(method, version, stays, self.url, self.headers, headers, began)
        self._is_unsent, self._is_deaf = True, self._patience.leaving or not stays
        self._edge.records.find(name).add_done_callback(self._looked_up)

    def _looked_up(self, found: Found) -> None:
        """Answer, or leave it to the application; the client may be gone."""
        sought, self._sought = self._sought, None
        if sought is None or self.transport.is_closing() or found.cancelled():
            self._is_unsent = False
            return
        path, _, query = sought.url.partition(b"?")
        method, headers = sought.method.decode(), sought.headers
        peer = self.client[0] if self.client else ""
        try:
            redirect, visit = self._edge.visit(found, method, headers, query, peer)
        except (Gated, Problem) as reason:
            self._is_unsent = False
            self._hand_on(sought, found, reason)
            return
        self.is_ending = self._is_last(sought)
        known = found.result()
        answer = known.answer if known is not None and known.answer else rest(redirect.location)
        request = Request(method, path, headers, peer) if self._edge.meter.logs else None
        redirected, date = (
            (redirect.status, sought.began, request),
            self.server_state.default_headers,
        )
        self._edge.turn.add(self, redirected, answer, visit, date)

    def send(self, answer: bytes) -> None:
        """The end of the turn for an answer that was given without a task."""
        self._is_unsent = False
        self._since = self._patience.now
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.transport.write(answer)
            if self.is_ending or (self._is_deaf and not self._is_busy and self._refusal is None):
                self.transport.close()
            elif self._kept_back is not None:
                (cycle, app), self._kept_back = self._kept_back, None
                self._start_asgi_task(cycle, app)
        if not self._is_busy:
            self._send_refusal()

    def _hand_on(self, sought: Sought, found: Found, reason: Gated | Problem) -> None:
        """Let the parent answer a request that was read a while ago, and then what came behind."""
        kept_back, is_last = self._kept_back, self._is_last(sought)
        self._kept_back = None
        parser, url, headers, newest = self.parser, self.url, self.headers, self.cycle
        self.parser = cast("Any", sought)
        self.cycle = cast("Any", None)  # nothing is under way
        self._reason = found, reason
        HttpToolsProtocol.on_message_begin(self)
        self.url = sought.url
        self.headers.extend(sought.listed)
        HttpToolsProtocol.on_headers_complete(self)
        HttpToolsProtocol.on_message_complete(self)
        cycle = self.cycle
        self.parser, self.url, self.headers = parser, url, headers
        if is_last:
            cycle.keep_alive = False
        if kept_back is not None:
            self.pipeline.append(kept_back)
            self.cycle = newest

    def _is_last(self, sought: Sought) -> bool:
        """Whether the connection ends with a request that was looked up."""
        if self._kept_back is not None:  # then it ends with that, or later
            return False
        is_deaf = self._is_deaf and self._refusal is None
        return is_deaf or self._patience.leaving or not sought.stays

    @property
    def _waits(self) -> bool:
        return self._kept_back is not None or super()._waits

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """The turn of a request has come, unless another one is still looked up."""
        if self._sought is not None:
            self._kept_back = cycle, app
            return
        scope = cast("dict[str, Any]", cycle.scope)
        if self._reason is not None:
            scope[LOOKUP], self._reason = self._reason, None
            super()._start_asgi_task(cycle, app)
            return
        unusual = self.flow.write_paused or cycle.disconnected
        name = None if unusual else self._edge.name_in(scope)
        if name is None or cycle.waiting_for_100_continue:
            super()._start_asgi_task(cycle, app)
            return
        began, found = time.perf_counter_ns(), self._edge.records.find(name)
        found.add_done_callback(lambda found: self._found(found, cycle, app, began))

    def _found(self, found: Found, cycle: RequestResponseCycle, app: Any, began: int) -> None:
        """Answer, or leave it to the application; the client may be gone."""
        if cycle.disconnected or found.cancelled():
            return
        scope = cast("dict[str, Any]", cycle.scope)
        try:
            redirect, visit = self._edge.visit_in(found, scope)
        except (Gated, Problem) as reason:
            scope[LOOKUP] = found, reason
            super()._start_asgi_task(cycle, app)
            return
        location, request = rest(redirect.location), self._edge.request(scope)
        redirected, date = (redirect.status, began, request), self.server_state.default_headers
        self._edge.turn.add(_Turned(cycle), redirected, location, visit, date)


class _Turned:
    """The answer to a request whose turn has come, sent past the application."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    @property
    def is_ending(self) -> bool:
        return not self._cycle.keep_alive

    def send(self, answer: bytes) -> None:
        cycle = self._cycle
        cycle.response_started = cycle.response_complete = True
        if not (cycle.disconnected or cycle.transport.is_closing()):
            cycle.transport.write(answer)
            if not cycle.keep_alive:
                cycle.transport.close()
        cycle.on_response()
