"""One connection's manners: what HTTP asks of a server, and what a client may cost.

uvicorn's protocol parses, queues what is pipelined and runs the ASGI application.  Added here are
limits (`web/heads.py`, `web/patience.py`), refusals that come after the answers to earlier requests
and reach the client, an answer for whoever has closed its half, and the leave that is taken when
the worker ends.  Whatever of a request the parser has not seen whole is bounded.
"""

import asyncio
import select
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from shortener.errors import BadRequest, HeadTooLarge, Problem, TooSlow
from shortener.web import heads, patience
from shortener.web.edge import Edge
from shortener.web.visitor import Headers, read_headers


class Connection(HttpToolsProtocol):
    """One connection; the ASGI application is an `Edge`.

    The parent's `cycle` is of the newest request that it was handed; before the first it is None.
    What we add has slots: CPython is quicker with an object of no more than 30 other attributes.
    """

    __slots__ = (
        *("_answering", "_begun_with", "_chunk", "_edge", "_head_bytes", "_in_head", "_in_message"),
        *("_is_deaf", "_is_handed_over", "_is_new", "_is_refused", "_is_unsent", "_patience"),
        *("_refusal", "_since", "_untaken"),
    )

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
        self.url, self.headers = b"", []  # of the newest request that was parsed
        self._since = self._patience.now  # when the client's turn began, or its head
        self._chunk = 0  # bytes that are being read
        self._begun_with = 0  # bytes in which the head of the request began
        self._head_bytes = 0  # bytes behind those, or behind the last ones of a body
        self._in_head = self._in_message = False
        self._is_new = True  # had no request yet
        self._is_handed_over = False  # the request that is being read is the parent's
        self._is_unsent = False  # an answer without a task is still to be sent
        self._is_deaf = False  # the connection ends: further requests are not answered
        self._answering: RequestResponseCycle | None = None  # the request that the application has
        self._refusal: Problem | None = None
        self._is_refused = False  # and told so
        self._untaken = 0  # bytes that the client was to take when it last had taken many

    # What a subclass may do better:

    def _answer_at_once(self, headers: Headers, stays: bool) -> bool:  # noqa: ARG002
        """Whether the request is answered without a task (`_is_unsent` until then).

        `stays` says whether the client wants the connection to go on.
        """
        return False

    # The transport tells:

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience.connections.add(self)
        self._since = self._patience.now

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.connections.discard(self)
        super().connection_lost(exc)
        for cycle in (self._answering, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:  # the parent tells the newest one alone
                cycle.disconnected = True
                cycle.message_event.set()

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
        if self._is_busy and self._is_handed_over and self._in_message and self._refusal is None:
            self._refuse(BadRequest())  # the rest of its body will not come
        if self._refusal is not None:
            return not self._is_refused
        if self._is_busy:
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
        self._head_bytes, self._begun_with = 0, self._chunk
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
        headers = read_headers(self.headers, self._edge.trusted_proxies)
        stays = self.parser.should_keep_alive()
        is_long = self._begun_with + self._head_bytes > heads.MAX_HEAD
        if (
            not stays
            or is_long
            or b"connection" in headers
            or not heads.is_usual(self.url, self.headers, headers)
        ):
            version = self.parser.get_http_version()
            stays = stays and version != "1.0"  # as the parent has it
            self.url, self.headers = heads.check(self.url, self.headers, version)
            headers = read_headers(self.headers, self._edge.trusted_proxies)
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

    # The connection:

    @property
    def _is_busy(self) -> bool:
        """Whether a request that was handed over has not been answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _hand_over(self, headers: Headers) -> None:
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
        if self.transport.is_closing() or self.flow.write_paused:
            untaken = patience.untaken(self.transport)
            if self._untaken - untaken >= patience.LEAST_TAKEN:
                self._untaken, self._since = untaken, now
            elif waited > patience.WRITE_TIMEOUT:
                self.transport.abort()
            self._untaken = max(self._untaken, untaken)
        elif self._is_refused:
            if waited > patience.LINGER:
                self.transport.close()
        elif self._is_busy or self._is_unsent:
            return
        elif self._in_head:
            if waited > patience.HEAD_TIMEOUT:
                self._refuse(TooSlow())
        elif leaving_since is not None:
            if now - max(self._since, leaving_since) >= patience.LINGER:
                self._close_quiet()
        elif waited > (patience.HEAD_TIMEOUT if self._is_new else patience.KEEP_ALIVE):
            self._close_quiet()

    def _close_quiet(self) -> None:
        """Close, unless something has arrived: we may be late ourselves and have not read it."""
        arrived = select.poll()
        arrived.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        if not arrived.poll(0):
            self.transport.close()

    # Refusals:

    def _refuse(self, problem: Problem) -> None:
        """Answer a request that is none, after the earlier ones, and end the connection."""
        self._refusal, self._is_deaf = problem, True
        if self._is_handed_over and self._in_message:  # its body is bad: nobody shall wait for it
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if not self._waits:
                self.loop.call_soon(self._send_refusal)
        elif not (self._is_unsent or self._is_busy):
            self._send_refusal()

    @property
    def _waits(self) -> bool:
        """Whether the turn of the newest request that was handed over is still to come."""
        return bool(self.pipeline)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """The turn of a request has come; if its body is bad, that of the refusal."""
        if cycle.disconnected:
            cycle.response_complete = True
            self._send_refusal()
        else:
            self._answering = cycle
            super()._start_asgi_task(cycle, app)

    def _send_refusal(self) -> None:
        """Say it, and then only listen: a connection closed at once would cut the answer off."""
        problem = self._refusal
        if problem is None or self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self.transport.write(heads.refusal(problem, self.server_state.default_headers))
        self.transport.write_eof()
        self._since = self._patience.now
