"""HTTP on one connection: plain redirects at once, the rest as uvicorn does it.

uvicorn's protocol parses, queues what is pipelined and runs the ASGI application.  Two steps of it
are shortened here.  A request without a body for a link that is remembered and leads everyone to
the same place is answered from the parser's callback, when no earlier request of the connection is
under way (`_answer_at_once`).  Any other request for a code is looked up when its turn comes, and a
redirect is answered without a task (`_start_asgi_task`).  Both answer at the end of the loop's turn
(`Turn`), before anything that is begun later in that turn can write: so answers keep the order of
requests.  What is no plain redirect goes on to the application, with what was found.
"""

import asyncio
import time
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from shortener.errors import BadRequest, HeadTooLarge, Problem, TooSlow
from shortener.redirects import Gated
from shortener.web import heads, patience
from shortener.web.edge import Edge
from shortener.web.records import Found
from shortener.web.redirect import LOOKUP
from shortener.web.turn import Answer, rest
from shortener.web.visitor import click, is_ahead

_UNUSUAL = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))


class RedirectProtocol(HttpToolsProtocol):
    """One connection; the ASGI application is an `Edge`.

    The parent's `cycle` is of the newest request that it was handed; before the first it is None.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._edge = cast("Edge", config.app)
        self._patience = self._edge.patience
        self._since = self._patience.now  # when the client's turn began, or its head
        self._head_bytes = self._chunk = 0
        self._in_head = self._in_message = False
        self._is_new = True  # had no request yet
        self._is_handed_over = False  # the request that is being read is the parent's
        self._is_unsent = False  # an answer given at once waits for the end of the turn
        self.is_ending = False  # behind that answer
        self._is_deaf = False  # the connection ends: further requests are not answered
        self._refusal: Problem | None = None
        self._peer = ""

    # The transport tells:

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience.connections.add(self)
        self._since = self._patience.now
        self._peer = self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.connections.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and self._refusal is None:
            self._chunk = len(data)
            if self._in_message:
                self._head_bytes += len(data)
            try:
                self.parser.feed_data(data)
                if self._in_message and self._head_bytes > heads.MAX_HEAD:
                    self._refuse(HeadTooLarge())
                return
            except HttpParserUpgrade as upgrade:  # to nothing that we speak: HTTP goes on
                data = data[upgrade.args[0] :]
            except HttpParserError as error:
                cause = error.__context__
                self._refuse(cause if isinstance(cause, Problem) else BadRequest())

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more; it may still wait for its answer."""
        self._is_deaf = True
        if self._is_busy and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return True
        return self._is_unsent

    def pause_writing(self) -> None:
        super().pause_writing()
        self._since = self._patience.now

    # The parser tells:

    def on_message_begin(self) -> None:
        self._in_head = self._in_message = True
        self._is_handed_over = False
        self._head_bytes = 0
        self._since = self._patience.now
        self.url, self.headers = b"", []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # not in a trailer
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._is_deaf:
            return
        self._is_new = False
        headers = dict(self.headers)
        stays = self.parser.should_keep_alive()
        is_long = self._head_bytes + self._chunk > heads.MAX_HEAD
        if (
            not stays
            or is_long
            or b"connection" in headers
            or not heads.is_usual(self.url, self.headers, headers)
        ):
            version = self.parser.get_http_version()
            stays = stays and version != "1.0"  # as the parent has it
            self.url, self.headers = heads.check(self.url, self.headers, version)
            headers = dict(self.headers)
        if not self._answer_at_once(headers, stays):
            self._hand_over(headers)

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        if self._is_handed_over:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        if self._is_handed_over:
            super().on_message_complete()

    # Redirects:

    def _answer_at_once(self, headers: dict[bytes, bytes], stays: bool) -> bool:
        """Whether the request is answered at the end of this turn."""
        if self._is_unsent or self._is_busy or self.flow.write_paused:
            return False
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
        visit = None
        if not ahead:
            at = time.time_ns() // 1_000_000
            visit = click(found.link, at, headers, query, self._peer, self._edge.trusted_proxies)
        self._is_unsent = True
        self.is_ending = self._is_deaf = self._patience.leaving or not stays
        answer = Answer(self, found.link.status, found.answer)
        self._edge.turn.add(answer, visit, self.server_state.default_headers)
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
        found = self._edge.records.find(name)
        found.add_done_callback(lambda found: self._found(found, cycle, app))

    def _found(self, found: Found, cycle: RequestResponseCycle, app: Any) -> None:
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
        answer = Answer(_Turned(cycle), redirect.status, rest(redirect.location))
        self._edge.turn.add(answer, visit, self.server_state.default_headers)

    # The connection:

    @property
    def _is_busy(self) -> bool:
        """Whether a request that was handed over has not been answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _hand_over(self, headers: dict[bytes, bytes]) -> None:
        """Let the parent answer, in its turn."""
        url, listed = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers.extend(listed)
        self.expect_100_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        super().on_headers_complete()
        self._is_handed_over = True
        is_last = self._patience.leaving or len(self.pipeline) >= patience.MAX_PIPELINED
        if is_last or self.expect_100_continue:  # whose body may never be sent
            self.cycle.keep_alive = False
        self._is_deaf = not self.cycle.keep_alive

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # we have one watch for all
        self._since = self._patience.now
        if not self._is_busy:
            self._send_refusal()

    def shutdown(self) -> None:
        """The worker ends: the next answer is the last, also when its request is still to come."""
        self._patience.leave()
        if self._is_busy:
            self.cycle.keep_alive = False
            self._is_deaf = True

    def hurry(self, now: float, leaving_since: float | None) -> None:
        """Close when the client has kept us waiting for too long."""
        waited = now - self._since
        if self._refusal is not None and not self._is_busy:
            if waited > patience.LINGER:
                self.transport.close()
        elif self.transport.is_closing() or self.flow.write_paused:
            if waited > patience.WRITE_TIMEOUT:
                self.transport.abort()
        elif self._is_busy or self._is_unsent:
            return
        elif self._in_head:
            if waited > patience.HEAD_TIMEOUT:
                self._refuse(TooSlow())
        elif leaving_since is not None:
            if now - max(self._since, leaving_since) >= patience.LINGER:
                self.transport.close()
        elif waited > (patience.HEAD_TIMEOUT if self._is_new else patience.KEEP_ALIVE):
            self.transport.close()

    # Refusals:

    def _refuse(self, problem: Problem) -> None:
        """Answer a request that is none, after the earlier ones, and end the connection."""
        self._refusal, self._is_deaf = problem, True
        in_its_body = self._is_handed_over and self._in_message and not self.pipeline
        if in_its_body:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if in_its_body or not (self._is_unsent or self._is_busy):
            self._send_refusal()

    def _send_refusal(self) -> None:
        """Say it, and then only listen: a connection closed at once would cut the answer off."""
        problem = self._refusal
        if problem is None or self.transport.is_closing():
            return
        self.transport.write(heads.refusal(problem, self.server_state.default_headers))
        self.transport.write_eof()
        self._since = self._patience.now


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
