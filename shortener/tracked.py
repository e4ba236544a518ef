"""A connection to Redis that reads keys and is told when they change.

Client tracking in broadcast mode (Redis 6 and newer): the server names every key under our prefix
that anybody writes, deletes or evicts.  Notices and replies share one connection (RESP3), and so
one order: whatever a reply says was so when the notices in front of it had been given, and a change
that was acknowledged before a request was sent is noticed in front of its reply.  No value that
was read earlier can come in behind the notice that it is old.

redis-py reads the URL; requests are packed and replies parsed by its hiredis.  The rest of its
connection is left out: it costs more time than the server does.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool, SSLConnection

Told = Callable[[Iterable[bytes] | None], None]  # the keys that changed; None: any may have
Then = Callable[[Any], object]  # what happens with a reply

_pack = cast("Callable[[tuple[bytes, ...]], bytes]", hiredis.pack_command)  # its stub takes one

log = logging.getLogger(__name__)


class Refused(OSError):
    """The server answered, but not what was asked."""


class Tracked(asyncio.Protocol):
    """One connection; `tracks` says whether the server tells of changes.

    `changed` is told of changes, `lost` once that the connection is gone.
    """

    def __init__(self, changed: Told, lost: Callable[["Tracked"], None]) -> None:
        self._changed, self._lost = changed, lost
        self._reader = hiredis.Reader()
        self._waiting: deque[Then] = deque()
        self._transport: asyncio.Transport | None = None
        self._called: asyncio.Future[Any] | None = None
        self.tracks = False

    def ask(self, then: Then, *command: bytes) -> None:
        """Send a command.  `then` gets the reply, also when it is an error; never, when the
        connection is lost before."""
        if self._transport is not None:
            self._waiting.append(then)
            self._transport.write(_pack(command))

    def abort(self) -> None:
        """Give the connection up.  `lost` is called soon."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if isinstance(reply, hiredis.PushNotification):
                    self._notice(reply)
                else:
                    self._waiting.popleft()(reply)
        except (hiredis.ProtocolError, IndexError):
            log.error("what answers in place of Redis does not speak its protocol")  # noqa: TRY400
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it
        self._transport = None
        self._waiting.clear()
        if self._called is not None and not self._called.done():
            self._called.set_exception(ConnectionResetError("Redis hung up"))
        self._lost(self)

    def _notice(self, push: "hiredis.PushNotification") -> None:
        if push[0] == b"invalidate":
            self._changed(push[1])

    async def _call(self, *commands: tuple[bytes, ...]) -> list[Any]:
        """The replies to commands that are sent together, errors too.  Raises `OSError`."""
        if self._transport is None:
            raise ConnectionResetError("Redis hung up")
        replies: list[Any] = []
        called = self._called = asyncio.get_running_loop().create_future()

        def answer(reply: Any) -> None:
            replies.append(reply)
            if len(replies) == len(commands) and not called.done():
                called.set_result(None)

        for command in commands:
            self.ask(answer, *command)
        await called
        return replies

    async def greet(self, described: AbstractConnection, prefix: str) -> None:
        """Sign in, ask to be told of changes under `prefix`, and see that the server serves.

        A server that knows neither RESP3 nor tracking, or may not use it, is read all the same.
        Raises `OSError`.
        """
        user, secret = (described.username or "").encode(), (described.password or "").encode()
        select = (b"SELECT", b"%d" % int(described.db or 0))
        hello = (b"HELLO", b"3", *((b"AUTH", user or b"default", secret) if secret else ()))
        tracking = (b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", prefix.encode())
        greeted, selected, tracked, served = await self._call(hello, select, tracking, (b"PING",))
        if _is_error(greeted) and secret:
            auth = (b"AUTH", user, secret) if user else (b"AUTH", secret)
            greeted, selected, served = await self._call(auth, select, (b"PING",))
        for reply in (selected, served):
            if _is_error(reply):
                raise Refused(str(greeted if _is_error(greeted) else reply))
        self.tracks = not _is_error(tracked)
        if not self.tracks:
            log.warning("links are read for each redirect: Redis does not track (%s)", tracked)


async def connect(url: str, prefix: str, changed: Told, lost: Callable[[Tracked], None]) -> Tracked:
    """A connection that is ready.  Raises `OSError`; the caller says how long it may take."""
    loop = asyncio.get_running_loop()
    described = ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
    made = Tracked(changed, lost)
    try:
        if path := getattr(described, "path", None):
            await loop.create_unix_connection(lambda: made, path)
        else:
            tls = described.ssl_context.get() if isinstance(described, SSLConnection) else None
            await loop.create_connection(lambda: made, described.host, int(described.port), ssl=tls)
        await made.greet(described, prefix)
    except BaseException:
        made.abort()
        raise
    return made


def _is_error(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError)
