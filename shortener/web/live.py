"""Live events: a stream (server-sent events) of what is being clicked.

The event loop serves it: Flask only says whether one may listen, with a key (`web/api/live.py`) or
signed in (`web/dashboard/overview.py`).  Whoever listens on a worker shares one subscription, a
thread that lives as long as anybody listens, and one event a second, made once for all.  A listener
who reads too slowly misses events, and nothing waits for it.  A stream ends after `MAX_SECONDS`,
when its key may have been revoked, and when the server stops; the browser connects again by itself.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import redis

from shortener import connections, keys
from shortener.counting.pulse import together
from shortener.web.bridge import Bridge, Message, Receive, Send
from shortener.web.domains import Domains
from shortener.web.handed import ROOM, Scope

PATHS = ("/api/v1/live", "/-/live")  # for a key, and for who is signed in
MAX_LISTENERS = 1_000  # of a worker
MAX_SECONDS = 600.0
BEAT = 1.0  # seconds between two events
QUIET = 5.0  # seconds without an event, then a comment: it finds out who is gone
BACKLOG = 100  # messages kept between two beats: one for each host

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events back
]
_OPENING = b"retry: 2000\n\n"
_COMMENT = b":\n\n"


class Live:
    """The ASGI application of one worker."""

    def __init__(
        self,
        bridge: Bridge,
        store: redis.Redis,
        domains: Domains,
        is_leaving: Callable[[], bool],
    ) -> None:
        self._bridge, self._store, self._domains = bridge, store, domains
        self._is_leaving = is_leaving
        self._listeners = 0
        self._messages: list[bytes] = []
        self._event, self._number = b"", 0
        self._next: asyncio.Future[None] | None = None
        self._beating: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: a stream, or what Flask says instead."""
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        room = self._listeners < MAX_LISTENERS
        await self._bridge(scope, receive, keep, {ROOM: room})
        if not answer or answer[0]["status"] != 204:
            for message in answer:
                await send(message)
            return
        self._listeners += 1
        try:
            if self._beating is None:
                self._beating = asyncio.create_task(self._beat())
            await self._stream(receive, send)
        finally:
            self._listeners -= 1

    async def _stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send(_part(_OPENING))
        gone = asyncio.ensure_future(receive())  # the body was read: what comes is the end
        began = spoken = time.monotonic()
        number = self._number
        try:
            while not self._is_leaving() and time.monotonic() - began < MAX_SECONDS:
                awaited: list[asyncio.Future[Any]] = [gone, self._change()]
                first = asyncio.FIRST_COMPLETED
                await asyncio.wait(awaited, return_when=first, timeout=2 * BEAT)
                if gone.done():
                    return
                if self._number != number:
                    number, spoken = self._number, time.monotonic()
                    await send(_part(self._event))
                elif time.monotonic() - spoken > QUIET:
                    spoken = time.monotonic()
                    await send(_part(_COMMENT))
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()

    def _change(self) -> "asyncio.Future[None]":
        """Done at the next beat."""
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    async def _beat(self) -> None:
        """Once a second, as long as anybody listens, make an event of what was told."""
        stop = threading.Event()
        hearing = threading.Thread(
            target=self._hear, args=(stop, asyncio.get_running_loop()), daemon=True
        )
        hearing.start()
        try:
            while self._listeners:
                await asyncio.sleep(BEAT)
                messages, self._messages = self._messages, []
                if messages:
                    self._number += 1
                    self._event = self._told(messages)
                if self._next is not None and not self._next.done():
                    self._next.set_result(None)
        finally:
            stop.set()
            self._beating = None

    def _told(self, messages: list[bytes]) -> bytes:
        told = together(messages)
        event = {
            "clicks": told.clicks,
            "links": [self._link(name) | {"clicks": n} for name, n in told.links.items()],
            "countries": _labels(told.labels["country"]),
            "referrers": _labels(told.labels["referrer"]),
        }
        return b"id: %d\ndata: %b\n\n" % (self._number, msgspec.json.encode(event))

    def _link(self, name: str) -> dict[str, Any]:
        domain, slash, code = name.rpartition("/")
        return {"code": code, "domain": self._domains.shown(domain if slash else None)}

    def _hear(self, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Subscribe, and again whenever the store was away; in a thread of its own."""
        while not stop.is_set():
            try:
                pubsub: Any = self._store.pubsub  # has no types
                with pubsub(ignore_subscribe_messages=True) as channel:
                    channel.subscribe(keys.PULSE)
                    while not stop.is_set():
                        message = channel.get_message(timeout=BEAT)
                        if message is not None:
                            loop.call_soon_threadsafe(self._take, message["data"])
            except connections.StoreError:
                stop.wait(BEAT)
            except RuntimeError:  # the loop is closed
                return

    def _take(self, message: bytes) -> None:
        if len(self._messages) < BACKLOG:
            self._messages.append(message)


def _part(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}


def _labels(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [{"value": value, "clicks": clicks} for value, clicks in counts.items()]
