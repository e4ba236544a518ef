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

from shortener.connections import REDIRECT_TIMEOUT

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

    async def _call(self, *command: bytes) -> Any:
        """One reply, waited for.  Errors are answered, not raised.  Raises `OSError`."""
        if self._transport is None:
            raise ConnectionResetError("Redis hung up")
        called = self._called = asyncio.get_running_loop().create_future()

        def answer(reply: Any) -> None:
            if not called.done():
                called.set_result(reply)

        self.ask(answer, *command)
        return await called

    async def greet(self, described: AbstractConnection, prefix: str) -> None:
        """Sign in, ask to be told of changes under `prefix`, and see that the server serves.

        A server that knows neither RESP3 nor tracking, or may not use it, is read all the same.
        Raises `OSError`.
        """
        user = (described.username or "default").encode()
        secret = (described.password or "").encode()
        signed_in = (b"AUTH", user, secret) if secret else ()
        greeted = await self._call(b"HELLO", b"3", *signed_in)
        if isinstance(greeted, hiredis.ReplyError) and secret:
            given = (user, secret) if described.username else (secret,)
            _check(await self._call(b"AUTH", *given))
        if described.db:
            _check(await self._call(b"SELECT", b"%d" % int(described.db)))
        if not isinstance(greeted, hiredis.ReplyError):
            tracking = (b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", prefix.encode())
            greeted = await self._call(*tracking)
        self.tracks = not isinstance(greeted, hiredis.ReplyError)
        _check(await self._call(b"PING"))
        if not self.tracks:
            log.warning("links are read for each redirect: Redis does not track (%s)", greeted)


async def connect(url: str, prefix: str, changed: Told, lost: Callable[[Tracked], None]) -> Tracked:
    """A connection that is ready within `REDIRECT_TIMEOUT`.  Raises `OSError`."""
    loop = asyncio.get_running_loop()
    described = ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
    made = Tracked(changed, lost)
    try:
        async with asyncio.timeout(REDIRECT_TIMEOUT):
            if path := getattr(described, "path", None):
                await loop.create_unix_connection(lambda: made, path)
            else:
                tls = described.ssl_context.get() if isinstance(described, SSLConnection) else None
                host, port = described.host, int(described.port)
                await loop.create_connection(lambda: made, host, port, ssl=tls)
            await made.greet(described, prefix)
    except BaseException:
        made.abort()
        raise
    return made


def _check(reply: Any) -> None:
    if isinstance(reply, hiredis.ReplyError):
        raise Refused(str(reply))
