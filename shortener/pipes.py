"""A connection to Redis for an event loop: commands go out, replies come back in the same order.

redis-py reads the URL; commands are packed and replies parsed by its hiredis.  The rest of its
connection is left out: it costs more time than the server does.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool, SSLConnection

Then = Callable[[Any], object]  # what happens with a reply
Command = tuple[bytes | str | int, ...]
P = TypeVar("P", bound="Pipe")

_pack = cast("Callable[[Command], bytes]", hiredis.pack_command)  # its stub takes one argument


log = logging.getLogger(__name__)


class Refused(OSError):
    """The server answered, but not what was asked."""


class Pipe(asyncio.Protocol):
    """One connection; `lost` is called once when it is gone."""

    def __init__(self, lost: Callable[[Any], None]) -> None:
        self._lost = lost
        self._reader = hiredis.Reader()
        self._waiting: deque[Then] = deque()
        self._transport: asyncio.Transport | None = None
        self._called: asyncio.Future[Any] | None = None

    # What a subclass may do better:

    preface: tuple[Command, ...] = ()  # what is sent with the greeting

    def notice(self, push: Any) -> None:
        """The server tells something that nobody has asked for."""

    def greeted(self, replies: list[Any]) -> None:
        """It has replied to the preface."""

    # What it is for:

    def ask(self, then: Then, *command: bytes) -> None:
        """Send a command.  `then` gets the reply, also when it is an error; never, when the
        connection is lost before."""
        if self._transport is not None:
            self._waiting.append(then)
            self._transport.write(_pack(command))

    async def call(self, *commands: Command) -> list[Any]:
        """The replies to commands that are sent together, errors too; one call at a time.

        Raises `OSError` when the connection is lost.
        """
        if self._transport is None:
            raise ConnectionResetError("Redis hung up")
        replies: list[Any] = []
        called = self._called = asyncio.get_running_loop().create_future()

        def answer(reply: Any) -> None:
            replies.append(reply)
            if len(replies) == len(commands) and not called.done():
                called.set_result(None)

        self._waiting.extend([answer] * len(commands))
        self._transport.write(b"".join(map(_pack, commands)))
        await called
        return replies

    def abort(self) -> None:
        """Give the connection up.  `lost` is called soon."""
        if self._transport is not None:
            self._transport.abort()

    async def greet(self, described: AbstractConnection) -> None:
        """Sign in, send the preface, and see that the server serves.

        A server that does not know RESP3 is spoken to as it likes.  Raises `OSError`.
        """
        user, secret = (described.username or "").encode(), (described.password or "").encode()
        rest = ((b"SELECT", int(described.db or 0)), *self.preface, (b"PING",))
        hello = (b"HELLO", b"3", *((b"AUTH", user or b"default", secret) if secret else ()))
        greeted, *replies = await self.call(hello, *rest)
        if is_error(greeted) and secret:
            auth = (b"AUTH", user, secret) if user else (b"AUTH", secret)
            greeted, *replies = await self.call(auth, *rest)
        for reply in (replies[0], replies[-1]):
            if is_error(reply):
                raise Refused(str(greeted if is_error(greeted) else reply))
        self.greeted(replies[1:-1])

    # The transport tells:

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if isinstance(reply, hiredis.PushNotification):
                    self.notice(reply)
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


async def connect(url: str, made: P) -> P:
    """The pipe, connected and ready.  Raises `OSError`; the caller says how long it may take."""
    loop = asyncio.get_running_loop()
    described = ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
    try:
        if path := getattr(described, "path", None):
            await loop.create_unix_connection(lambda: made, path)
        else:
            tls = described.ssl_context.get() if isinstance(described, SSLConnection) else None
            await loop.create_connection(lambda: made, described.host, int(described.port), ssl=tls)
        await made.greet(described)
    except BaseException:
        made.abort()
        raise
    return made


def is_error(reply: Any) -> bool:
    """Whether a reply says that the command was refused."""
    return isinstance(reply, hiredis.ReplyError)
