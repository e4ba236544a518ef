"""gunicorn, forked by `shortener serve`, on a listening socket that it inherits.

A worker has its office forked before it begins: both have read all that they need.  Workers run an
event loop (uvicorn's, with httptools and uvloop).  Nothing of a worker survives its master: its
heartbeat file is in memory, the control socket is off.
"""

import asyncio
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any, cast

import uvicorn
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker
from uvicorn_worker import UvicornWorker

from shortener import children, office
from shortener.config import Settings
from shortener.door import Crowd, Door
from shortener.front import create_edge
from shortener.web.edge import Edge
from shortener.web.office import Begun, lines
from shortener.web.patience import KEEP_ALIVE
from shortener.web.protocol import RedirectProtocol

SWITCH_INTERVAL = 0.0002  # seconds that the threads of journal and log may hold up the event loop
MOST_WORKERS = 8  # unless more are asked for: a container may see more processors than it has
DRAIN = 8  # seconds that requests may go on after a stop

_crowd = Crowd()  # made before workers are forked


class _Listening(uvicorn.Server):
    """uvicorn's server for the worker with a number, which shares connections with the others and
    takes leave of its clients.

    Whoever has connected by the time that we listen no more is answered, and told to connect anew.
    """

    def __init__(self, config: uvicorn.Config, crowd: Crowd, worker: int) -> None:
        super().__init__(config)
        self._crowd, self._worker = crowd, worker
        self._doors: list[Door] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        for listener in sockets or []:
            self._doors.append(
                Door(listener, self._protocol, self._connections, self._crowd, self._worker)
            )
        for door in self._doors:
            door.open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        edge = cast("Edge", self.config.app)
        edge.patience.leave()
        for door in self._doors:
            await door.close()
        for listener in sockets or []:
            await self._take_waiting(listener)
        await super().shutdown(sockets)

    async def _take_waiting(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # nobody waits any more
                return
            await loop.connect_accepted_socket(self._protocol, connection)

    def _connections(self) -> int:
        return len(self.server_state.connections)

    def _protocol(self) -> RedirectProtocol:
        return RedirectProtocol(self.config, self.server_state, self.lifespan.state)


class EventLoopWorker(UvicornWorker):
    """uvicorn's worker with our settings; who the visitor is, we find out ourselves."""

    CONFIG_KWARGS = {  # noqa: RUF012 - read, never changed
        "loop": "uvloop",
        "http": RedirectProtocol,
        "ws": "none",
        "lifespan": "on",
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "timeout_graceful_shutdown": DRAIN,
    }

    async def _serve(self) -> None:
        """As uvicorn's worker does it, with our server."""
        self.config.app = self.wsgi
        server = _Listening(self.config, _crowd, self.age)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class Server(BaseApplication):
    """gunicorn, configured by our settings alone."""

    def __init__(self, settings: Settings, descriptor: int) -> None:
        self._settings, self._descriptor = settings, descriptor
        self._office: Begun | None = None  # of this worker
        super().__init__()

    def load_config(self) -> None:
        memory = "/dev/shm"  # noqa: S108 - nothing is kept there
        options: dict[str, Any] = {
            "bind": f"fd://{self._descriptor}",
            "workers": self._settings.workers or default_workers(),
            "worker_class": EventLoopWorker,
            "worker_tmp_dir": memory if Path(memory).is_dir() else None,
            "control_socket_disable": True,
            "graceful_timeout": DRAIN + 2,
            "timeout": 30,
            "keepalive": int(KEEP_ALIVE),
            "loglevel": "warning",
            "proc_name": "shortener",
            "post_fork": self._begin,
            "child_exit": lambda _arbiter, worker: _crowd.forget(worker.age),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Edge:
        """The application of one worker, made after the fork."""
        return create_edge(self._settings, self._office)

    def _begin(self, _arbiter: Arbiter, worker: Worker) -> None:
        """A worker was forked; it has no thread and no event loop yet.

        Until it has its own way with SIGTERM, that ends it: the master's would let it be lost.
        """
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        children.dying_with_parent()()
        if os.getppid() != worker.ppid:  # it has died meanwhile
            sys.exit()
        ours, theirs = lines()
        closing = [end.fileno() for end in (*ours, *worker.sockets)]
        process = children.fork("office", lambda: office.run(theirs), closing, False)
        for end in theirs:
            end.close()
        self._office = Begun(process, ours)
        sys.setswitchinterval(SWITCH_INTERVAL)


def default_workers() -> int:
    """One for each processor that we may use; from three on, one is left to Redis and the rest.

    Measured on two, with Redis, aggregator and the load beside them: two workers redirect as often
    as one over 16 connections, a sixth more often over 64 (a twelfth more than three), and the API
    has two interpreters.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    return min(processors if processors < 3 else processors - 1, MOST_WORKERS)


def run(settings: Settings, descriptor: int) -> None:
    """Serve until SIGTERM, with as many connections as the system allows.  Raises `ConfigError`."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Server(settings, descriptor).run()
