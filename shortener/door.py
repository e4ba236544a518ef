"""The door: takes connections, about as many in each worker.

All workers listen on one socket, and whoever is awake would take a burst of connections alone while
the others sleep: then one event loop and one office have all the work.  So a worker that has
`SLACK` connections more than another one leaves a newcomer to that, for `PAUSE`; then it takes who
is still there, for the other one may be held up.

We give up some time for each connection: a task of Python's takes it, not the loop's own C.
"""

import asyncio
import logging
import mmap
import socket
from collections.abc import Callable

MOST = 64  # workers that are told apart
SLACK = 2  # connections
PAUSE = 0.001  # seconds; no timer of the loop is shorter
NO_ROOM = 1.0  # seconds until the next try when the system has no room for a connection
NOBODY = 0xFFFF_FFFF

log = logging.getLogger(__name__)


class Crowd:
    """How many connections each worker has: in memory that processes forked from here share."""

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * MOST)).cast("I")
        for place in range(MOST):
            self._counts[place] = NOBODY

    def note(self, worker: int, connections: int) -> None:
        """The worker with this number has so many."""
        self._counts[worker % MOST] = connections

    def forget(self, worker: int) -> None:
        """It takes no more, or is gone."""
        self._counts[worker % MOST] = NOBODY

    def fewest(self) -> int:
        """What the worker with fewest has."""
        return min(self._counts)


class Door:
    """Takes connections on `listener` for the worker with a number in the `crowd`.

    `protocol` makes a protocol for each, `connections` answers how many there are.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        connections: Callable[[], int],
        crowd: Crowd,
        worker: int,
    ) -> None:
        self._listener, self._protocol, self._connections = listener, protocol, connections
        self._crowd, self._worker = crowd, worker
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[object]] = set()
        self._waiting: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin."""
        self._note()
        self._loop.add_reader(self._listener.fileno(), self._take)

    async def close(self) -> None:
        """Take no more; whoever was taken has a protocol then."""
        self._crowd.forget(self._worker)
        if self._waiting is not None:
            self._waiting.cancel()
        self._loop.remove_reader(self._listener.fileno())
        if self._coming:
            await asyncio.wait(self._coming)

    def _take(self) -> None:
        """Somebody is there: let them in, unless another worker ought to."""
        if self._note() > self._crowd.fewest() + SLACK:
            self._wait(PAUSE)
        else:
            self._accept()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was quicker, or the client is gone
        except OSError as error:
            log.error("no connection can be taken: %s", error)  # noqa: TRY400 - one line
            self._wait(NO_ROOM)
            return
        coming = self._loop.connect_accepted_socket(self._protocol, connection)
        task: asyncio.Task[object] = self._loop.create_task(coming)
        self._coming.add(task)
        task.add_done_callback(self._came)
        self._note()

    def _came(self, task: asyncio.Task[object]) -> None:
        self._coming.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.warning("a connection was lost as it came: %s", error)

    def _note(self) -> int:
        connections = self._connections() + len(self._coming)
        self._crowd.note(self._worker, connections)
        return connections

    def _wait(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._waiting = self._loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        """Whoever is still there has waited enough."""
        self._waiting = None
        self._loop.add_reader(self._listener.fileno(), self._take)
        self._accept()
