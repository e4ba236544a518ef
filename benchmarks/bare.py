"""The event loop alone: what a Python process can answer when there is nothing to find out.

`python -m benchmarks.bare FD` reads requests on the listening socket with the parser that ours
uses, every header of them, and answers each with the same redirect as soon as it is whole.  It
looks nothing up, counts nothing, keeps nobody waiting and refuses nothing: what is between this
and ours is what a shortener costs, and what is between this and nginx is what Python costs.
"""

import asyncio
import os
import signal
import socket
import sys
from typing import cast

import httptools
import uvloop

from benchmarks.contenders import Alike
from benchmarks.destinations import destination

BACKLOG = 2048
ANSWER = (
    "HTTP/1.1 302 Found\r\n"
    "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    f"location: {destination(0)}\r\n"
    "cache-control: private, max-age=0\r\n"
    "content-length: 0\r\n\r\n"
).encode("ascii")


class Bare(Alike):
    """A process for each processor, on one listening socket, as ours has it."""

    name = "event loop alone"

    def _start(self) -> None:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(BACKLOG)
            command = [sys.executable, "-m", "benchmarks.bare", str(listener.fileno())]
            for _ in range(os.cpu_count() or 1):
                process = self._run(command, os.environ, (listener.fileno(),))
        self._wait(process, "/no-such-code", 302)


class Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._headers: list[tuple[bytes, bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_message_complete(self) -> None:
        self._headers.clear()
        self._transport.write(ANSWER)


async def main() -> None:
    """Answer until SIGTERM."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(Answering, sock=socket.socket(fileno=int(sys.argv[1])))
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(main())
