"""Redirects on one connection, with less ado than an ASGI application takes.

Two steps of the parent are shortened.  A request without a body for a link that is remembered and
leads everyone to the same place is answered from the parser's callback, when no earlier request of
the connection is under way (`_answer_at_once`).  Any other request for a code is looked up when its
turn comes, and a redirect is answered without a task (`_start_asgi_task`).  Both answer at the end
of the loop's turn (`Turn`), before anything that is begun later in that turn can write: so answers
keep the order of requests.  What is no plain redirect goes on to the application, with what was
found.
"""

import time
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from shortener.errors import Problem
from shortener.links.redirects import Gated
from shortener.web.connection import Connection
from shortener.web.handed import LOOKUP
from shortener.web.meter import Request
from shortener.web.records import Found
from shortener.web.turn import rest
from shortener.web.visitor import Headers, is_ahead

_UNUSUAL = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))


class RedirectProtocol(Connection):
    """One connection; what is an answer at once, `is_ending` says whether it is the last."""

    is_ending = False

    def _answer_at_once(self, headers: Headers, stays: bool) -> bool:
        """Whether the request is answered at the end of this turn."""
        if self._is_unsent or self._is_busy or self.flow.write_paused:
            return False
        began = time.perf_counter_ns()
        path, _, query = self.url.partition(b"?")
        found = self._edge.known(path, headers)
        if found is None or found.answer is None or not _UNUSUAL.isdisjoint(headers):
            return False
        method = self.parser.get_method()
        if method == b"GET":
            ahead = is_ahead(headers)
        elif method == b"HEAD":
            ahead = True
        else:
            return False
        visit, peer = None, self.client[0] if self.client else ""
        if not ahead:
            at = time.time_ns() // 1_000_000
            visit = self._edge.click(found.link, at, headers, query, peer)
        self._is_unsent = True
        self.is_ending = self._is_deaf = self._patience.leaving or not stays
        request = Request(method.decode(), path, headers, peer) if self._edge.meter.logs else None
        turn, date = self._edge.turn, self.server_state.default_headers
        turn.add(self, (found.link.status, began, request), found.answer, visit, date)
        turn.hits += 1
        return True

    def send(self, answer: bytes) -> None:
        """The end of the turn for an answer that was given at once."""
        self._is_unsent = False
        self._since = self._patience.now
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.transport.write(answer)
            if self.is_ending or (self._is_deaf and not self._is_busy and self._refusal is None):
                self.transport.close()
        self._send_refusal()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """The turn of a request has come."""
        scope = cast("dict[str, Any]", cycle.scope)
        name = None if self.flow.write_paused else self._edge.name_in(scope)
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
            redirect, visit = self._edge.visit(found, scope)
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
        if not cycle.disconnected:
            cycle.transport.write(answer)
            if not cycle.keep_alive:
                cycle.transport.close()
        cycle.on_response()
