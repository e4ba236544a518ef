"""From the event loop to Flask and back.

The loop reads the body, bounded in size and time, before Flask is asked, so a slow client costs no
thread.  Answers come whole: streams do not come this way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from shortener.errors import Problem, TooLarge, TooSlow, Unavailable
from shortener.web.handed import PROBLEM, Answer, Scope, asked
from shortener.web.meter import Meter, Request
from shortener.web.office import Office
from shortener.web.shape import problem_body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 1024 * 1024  # bytes
LARGER_BODIES = {"/api/v1/import": 16 * 1024 * 1024}  # bytes
BODY_TIMEOUT = 15.0  # seconds for the whole of it


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
        extra = dict(extra or {})
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await _read_body(receive, LARGER_BODIES.get(scope["path"], MAX_BODY))
        except TimeoutError:
            body, extra[PROBLEM] = b"", TooSlow()
        except TooLarge as problem:
            body, extra[PROBLEM] = b"", problem
        if body is None:
            return  # the client is gone
        began = time.perf_counter_ns()
        try:
            answer = await self._office.ask(asked(scope, body, extra), not needs_store)
        except Unavailable as problem:
            answer = _told(problem)
            self._meter.stood_in(
                scope["path"], answer.status, len(answer.content), began, self._request(scope)
            )
        headers = answer.headers
        if PROBLEM in extra:  # the rest of the body is still on its way
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    def open(self) -> None:
        """Have the office started."""
        self._office.open()

    async def close(self) -> None:
        """Wait for the requests that are being answered, and for what they wrote down."""
        await self._office.close()


def _told(problem: Problem) -> Answer:
    """A problem for which Flask cannot be asked: in JSON alone."""
    content = msgspec.json.encode(problem_body(problem))
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(content)),
        (b"cache-control", b"no-store"),
        (b"retry-after", b"%d" % (problem.retry_after or 1)),
    ]
    return Answer(problem.status, headers, content)


async def _read_body(receive: Receive, limit: int) -> bytes | None:
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
