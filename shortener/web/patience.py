"""How long a connection may keep us waiting.

One look at all connections once a second, instead of a timer for each request.  While the worker
ends, connections are asked for one more request, whose answer says `connection: close`: whoever was
about to send it finds nobody gone.
"""

import asyncio
import contextlib
import fcntl
import struct
import termios
import time
from typing import Protocol

MAX_PIPELINED = 64  # requests that wait for their turn on one connection
HEAD_TIMEOUT = 15.0  # seconds for the whole of it, and until the first on a connection begins
KEEP_ALIVE = 65.0  # seconds between two requests: longer than proxies in front keep theirs
WRITE_TIMEOUT = 30.0  # seconds in which a client takes next to nothing of its answer
LEAST_TAKEN = 16 * 1024  # bytes that are more than that
LINGER = 1.0  # seconds for one more request on a quiet connection when the worker ends
INTERVAL = 1.0  # seconds between two looks


class Connection(Protocol):
    """What is looked at."""

    def hurry(self, now: float, leaving_since: float | None) -> None:
        """Close when the client has kept us waiting for too long."""


def untaken(transport: asyncio.Transport) -> int:
    """Bytes of its answers that a client has not taken, as far as the system tells."""
    unsent = transport.get_write_buffer_size()
    with contextlib.suppress(OSError, ValueError):  # it is closed, or the system cannot be asked
        asked = fcntl.ioctl(
            transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4
        )
        unsent += struct.unpack("i", asked)[0]
    return unsent


class Patience:
    """Looks at `connections`.  `now` is the time of the last look, monotonic, in seconds."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.now = time.monotonic()
        self.leaving_since: float | None = None
        self.leaving = False  # whether the worker ends; asked for each redirect

    async def watch(self) -> None:
        """Look, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            self.look()

    def leave(self) -> None:
        """The worker ends."""
        if not self.leaving:
            self.leaving = True
            self.leaving_since = self.now = time.monotonic()
            asyncio.get_running_loop().call_later(LINGER, self.look)

    def look(self) -> None:
        """Close what has kept us waiting for too long."""
        self.now = time.monotonic()
        for connection in list(self.connections):
            connection.hurry(self.now, self.leaving_since)
