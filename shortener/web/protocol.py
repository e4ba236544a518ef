"""Redirects on one connection, with less ado than an ASGI application takes.

A `GET` or `HEAD` for a code, without a body, needs no scope, no task and no queue when no earlier
request of the connection is under way (`_answer_at_once`).  A link that is remembered and leads
everyone to the same place is answered at the end of the loop's turn (`Turn`), before anything that
is begun later in that turn can write.  Any other is looked up first; a request that comes behind
it meanwhile is kept back until it is answered.  So answers keep the order of requests.

A head that this worker knows to the byte is not parsed again (`web/familiar.py`).

What is no plain redirect goes on to the application, with what was found (`_hand_on`), as do
requests whose turn comes later (`_start_asgi_task`).
"""

import asyncio
import math
from time import perf_counter_ns
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shortener.errors import Problem
from shortener.journal import part
from shortener.links.redirects import Gated
from shortener.web.connection import Connection
from shortener.web.familiar import Head
from shortener.web.handed import LOOKUP
from shortener.web.memory import Remembered
from shortener.web.meter import Request
from shortener.web.records import Found
from shortener.web.sought import Sought
from shortener.web.turn import Later, rest
from shortener.web.visitor import NOBODY, Headers, Said, address, visitor

_READ = (b"GET", b"HEAD")
_UNUSUAL = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))
PASSED = 8  # reads of a connection behind a strange head, in which no head is looked for


class RedirectProtocol(Connection):
    """One connection; what is an answer at once, `is_ending` says whether it is the last."""

    __slots__ = (
        *("_kept_back", "_passing", "_reason", "_sought", "_strange", "_who"),
        "is_ending",
    )

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.is_ending = False
        self._sought: Sought | None = None  # nothing behind it may be begun
        self._kept_back: tuple[RequestResponseCycle, Any] | None = None  # next, and who answers
        self._reason: tuple[Found, Gated | Problem] | None = None  # why a request is handed on
        self._passing: float = math.inf  # reads in which no familiar head is looked for
        self._strange: bytes | None = None  # behind the target of a `GET` that is being read
        self._who = NOBODY  # the address of who is connected, for the journal

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._passing = 0 if self._edge.learns else math.inf
        self._who = part(address({}, self._peer, 0))

    def data_received(self, data: bytes) -> None:
        if self._passing:
            self._passing -= 1
        elif data[:5] == b"GET /" and self._is_free():
            end = data.find(b" ", 5)
            behind = data[end:]
            head = self._edge.familiar.get(behind)
            if head is None:
                self._passing = PASSED
            elif self._answer_familiar(data[5:end], head):
                return
            self._strange = behind
        super().data_received(data)
        self._strange = None

    def _is_free(self) -> bool:
        """Whether a request that comes now is at its beginning, and may be answered now."""
        if self._in_message or self._is_unsent or self._is_deaf or self.flow.write_paused:
            return False
        return self.cycle is None or self.cycle.response_complete

    def _answer_familiar(self, code: bytes, head: Head) -> bool:
        """As `_answer_at_once`, for a `GET` that the parser, which is between two requests, never
        sees.  What is not of ASCII it shall refuse."""
        text = code.decode("latin-1")
        found: Any = self._edge.records.known(text)  # there is one domain
        if found is None or found.answer is None:
            path = b"/" + code
            found = self._find_otherwise(text, path, head.headers) if code.isascii() else None
            if found is None:
                return False
        self._is_new = False
        listed, headers, is_private, told = head
        who = (NOBODY if is_private else self._who) + told
        if isinstance(found, str):
            began = perf_counter_ns()
            self._look_up(found, Sought(b"GET", "1.1", True, path, listed, headers, who, began))
        else:
            self._answer_known(found, found.counted + who, True, None)
        return True

    def _answer_at_once(self, headers: Headers, stays: bool) -> bool:
        """Whether the request is answered at the end of this turn, or when its link is known."""
        if self._is_unsent or self._is_busy or self.flow.write_paused:
            return False
        method = self.parser.get_method()
        if method not in _READ or not _UNUSUAL.isdisjoint(headers):
            return False
        path, _, query = self.url.partition(b"?")
        found = self._find(path, headers)
        if found is None:
            return False
        said = self._edge.said(method.decode(), headers)
        if said is not None and stays and self._strange is not None:
            self._edge.familiar.learn(self._strange, self.headers, headers, said)
        who = None if said is None else self._visitor(said, headers, query)
        if isinstance(found, Remembered):
            visit = None if who is None else found.counted + who
            self._answer_known(found, visit, stays, self._request(method, self.url, headers))
        else:
            version, began = self.parser.get_http_version(), perf_counter_ns()
            sought = Sought(method, version, stays, self.url, self.headers, headers, who, began)
            self._look_up(found, sought)
        return True

    def _find(self, path: bytes, headers: Headers) -> Remembered | str | None:
        """The link at a path when it is known and leads everyone to the same place; else its name,
        to be looked up.  None when the path is for Flask alone."""
        code = path[1:].decode("ascii")
        found = self._edge.known(code)
        if found is None or found.answer is None:
            return self._find_otherwise(code, path, headers)
        return found

    def _find_otherwise(self, code: str, path: bytes, headers: Headers) -> Remembered | str | None:
        """The same when there is nothing under the code as it is spelled in the path."""
        name = self._edge.name_at(path, headers)
        if name is None or name == code:
            return name
        found = self._edge.records.known(name)
        return name if found is None or found.answer is None else found

    def _answer_known(
        self,
        found: Remembered,
        visit: bytes | None,
        stays: bool,
        request: Request | None,
    ) -> None:
        """Answer at the end of this turn a request whose link leads everyone to the same place."""
        self._is_unsent = True
        self.is_ending = self._is_deaf = self._patience.leaving or not stays
        status, date = found.link.status, self.server_state.default_headers
        self._edge.turn.add(self, status, found.answer or b"", visit, date, request)

    def _look_up(self, name: str, sought: Sought) -> None:
        self._sought = sought
        self._is_unsent, self._is_deaf = True, self._patience.leaving or not sought.stays
        self._edge.records.find(name, self._looked_up)

    def _looked_up(self, found: Found) -> None:
        """Answer, or leave it to the application; the client may be gone."""
        sought, self._sought = self._sought, None
        if sought is None or self.transport.is_closing():
            self._is_unsent = False
            return
        who = sought.visitor
        if isinstance(found, Remembered) and found.answer is not None:
            status, answer = found.link.status, found.answer
            visit = None if who is None else found.counted + who
        else:
            try:
                query = sought.url.partition(b"?")[2]
                redirect, visit = self._edge.visit(found, who, query)
            except (Gated, Problem) as reason:
                self._is_unsent = False
                self._hand_on(sought, found, reason)
                return
            status, answer = redirect.status, rest(redirect.location)
        self.is_ending = self._is_last(sought)
        request = self._request(sought.method, sought.url, sought.headers)
        date, began = self.server_state.default_headers, sought.began
        self._edge.turn.add(self, status, answer, visit, date, request, began)

    def _visitor(self, said: Said, headers: Headers, query: bytes) -> bytes:
        """What the journal says of a visitor."""
        proxies = self._edge.trusted_proxies
        who = part(address(headers, self._peer, proxies)) if proxies else self._who
        return visitor(said, who, query)

    def _request(self, method: bytes, url: bytes, headers: Headers) -> Request | None:
        """What the access log wants to know; None when there is no log."""
        if not self._edge.meter.logs:
            return None
        return Request(method.decode(), url.partition(b"?")[0], headers, self._peer)

    @property
    def _peer(self) -> str:
        return self.client[0] if self.client else ""

    def send(self, answer: bytes) -> None:
        """The end of the turn for an answer that was given without a task."""
        self._is_unsent = False
        self._since = self._patience.now
        if not self.transport.is_closing():
            self.transport.write(answer)
            if self.is_ending or (self._is_deaf and not self._is_busy and self._refusal is None):
                self.transport.close()
            elif self._kept_back is not None:
                (cycle, app), self._kept_back = self._kept_back, None
                self._start_asgi_task(cycle, app)
        if self._refusal is not None and not self._is_busy:
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
        return not sought.stays or self._patience.leaving or (self._is_deaf and not self._refusal)

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
        began = perf_counter_ns()
        self._edge.records.find(name, lambda found: self._found(found, cycle, app, began))

    def _found(self, found: Found, cycle: RequestResponseCycle, app: Any, began: int) -> None:
        """Answer, or leave it to the application; the client may be gone."""
        if cycle.disconnected or self.transport.is_closing():
            return
        scope = cast("dict[str, Any]", cycle.scope)
        try:
            redirect, visit = self._edge.visit_in(found, scope)
        except (Gated, Problem) as reason:
            scope[LOOKUP] = found, reason
            super()._start_asgi_task(cycle, app)
            return
        location, request = rest(redirect.location), self._edge.request(scope)
        date, turned = self.server_state.default_headers, Later(cycle)
        self._edge.turn.add(turned, redirect.status, location, visit, date, request, began)
