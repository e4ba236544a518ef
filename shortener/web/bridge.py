"""From the event loop to Flask and back.

The loop reads the body, bounded in size and time, before Flask is asked, so a slow client costs no
thread.  Answers come whole: streams do not come this way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

import msgspec

from shortener.errors import Problem, TooLarge, TooSlow, Unavailable
from shortener.web.handed import PROBLEM, Answer, Scope, asked
from shortener.web.headers import FOR_ALL
from shortener.web.meter import Meter, Request
from shortener.web.office import Office
from shortener.web.shape import problem_body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 1024 * 1024  # bytes
LARGER_BODIES = {"/api/v1/import": 16 * 1024 * 1024}  # bytes
BODY_TIMEOUT = 15.0  # seconds for the whole of it


class Body(NamedTuple):
    """The whole body of a request, or why it was not read."""

    content: bytes
    problem: Problem | None = None


class Bridge:
    """Has requests answered in the `office`; `request` says what the log wants to know of one."""

    def __init__(
        self, office: Office, meter: Meter, request: Callable[[Scope], Request | None]
    ) -> None:
        self._office, self._meter, self._request = office, meter, request

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        extra: dict[str, Any] | None = None,
        needs_store: bool = True,
    ) -> None:
        """Answer one request.  `extra` goes into the WSGI environment.

        What `needs_store` waits for Redis; what does not is answered beside it, at once.
        """
        body = await read_body(scope, receive)
        if body is not None:
            await self.hand_in(scope, body, send, extra, needs_store)

    async def hand_in(
        self,
        scope: Scope,
        body: Body,
        send: Send,
        extra: dict[str, Any] | None = None,
        needs_store: bool = True,
    ) -> Answer:
        """The same for a request whose body was read; this is what was answered."""
        extra = dict(extra or {})
        if body.problem is not None:
            extra[PROBLEM] = body.problem
        began = time.perf_counter_ns()
        try:
            answer = await self._office.ask(asked(scope, body.content, extra), not needs_store)
        except Unavailable as problem:
            answer = told(problem)
            self.stand_in(scope, answer, began)
        if body.problem is not None:  # the rest of the body is still on its way
            answer.headers.append((b"connection", b"close"))
        await give(answer, send)
        return answer

    def stand_in(self, scope: Scope, answer: Answer, began: int) -> None:
        """Count and log an answer that Flask was not asked for."""
        size = len(answer.content)
        self._meter.stood_in(scope, answer.status, size, began, self._request(scope))

    def open(self) -> None:
        """Have the office started."""
        self._office.open()

    async def close(self) -> None:
        """Wait for the requests that are being answered, and for what they wrote down."""
        await self._office.close()


def told(problem: Problem) -> Answer:
    """A problem for which Flask is not asked: in JSON alone."""
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return in_json(problem.status, problem_body(problem), headers, "application/problem+json")


def in_json(
    status: int, body: object, headers: Mapping[str, str], media: str = "application/json"
) -> Answer:
    """An answer as Flask dresses it."""
    content = msgspec.json.encode(body)
    whole = {"Content-Type": media, "Content-Length": str(len(content)), **headers, **FOR_ALL}
    return Answer(status, [(k.lower().encode(), v.encode()) for k, v in whole.items()], content)


async def give(answer: Answer, send: Send) -> None:
    """Send a whole answer."""
    start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.content})


async def read_body(scope: Scope, receive: Receive) -> Body | None:
    """The body of a request, bounded in size and time; None when the client went away."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            content = await _read(receive, LARGER_BODIES.get(scope["path"], MAX_BODY))
    except TimeoutError:
        return Body(b"", TooSlow())
    except TooLarge as problem:
        return Body(b"", problem)
    return None if content is None else Body(content)


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None when the client went away.  Raises `TooLarge`."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise TooLarge
        if not message.get("more_body"):
            return b"".join(parts)
