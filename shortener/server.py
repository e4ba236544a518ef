"""gunicorn: `python -m shortener.server FD` serves on a listening socket that it inherits.

Workers run an event loop (uvicorn's, with httptools and uvloop).  Nothing of a worker survives its
master: its heartbeat file is in memory, the control socket is off.
"""

import os
import sys
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from uvicorn_worker import UvicornWorker

from shortener import children
from shortener.app import create_edge
from shortener.config import ConfigError, Settings
from shortener.web.edge import Edge
from shortener.web.patience import KEEP_ALIVE
from shortener.web.protocol import RedirectProtocol

DRAIN = 8  # seconds that requests may go on after a stop


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


class Server(BaseApplication):
    """gunicorn, configured by our settings alone."""

    def __init__(self, settings: Settings, descriptor: int) -> None:
        self._settings, self._descriptor = settings, descriptor
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
            "post_fork": lambda _arbiter, _worker: children.dying_with_parent()(),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Edge:
        """The application of one worker, made after the fork."""
        return create_edge(self._settings)


def default_workers() -> int:
    """One for every two processors: the other is for Redis, the aggregator and the proxy."""
    return max(1, (os.cpu_count() or 2) // 2)


def main() -> None:
    """Serve until SIGTERM."""
    try:
        Server(Settings.load(), int(sys.argv[1])).run()
    except ConfigError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
