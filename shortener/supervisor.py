"""`shortener serve`: starts Redis (when it is ours), the aggregator and gunicorn, and watches them.

What dies is started again, at growing intervals.  The listening socket is opened here, so a busy
port is found at once and no connection is refused while gunicorn is replaced.  Stopping goes
backwards: first nobody asks any more, then what was clicked is counted, then Redis goes.
"""

import dataclasses
import json
import logging
import signal
import socket
import time
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit

from shortener import __version__, children, connections, data_dir, gauges, site
from shortener.accounts import Accounts
from shortener.config import Settings, StartError
from shortener.embedded import Embedded
from shortener.flag import Flag
from shortener.statistics import places

BACKLOG = 2048
START_PATIENCE = 30.0  # seconds until the first worker has to answer
STOP_PATIENCE = 12.0  # seconds; longer than gunicorn lets requests go on
MAX_PAUSE = 5.0  # seconds between two starts of what keeps dying

log = logging.getLogger(__name__)


class Watched:
    """A child process that is started again when it dies."""

    def __init__(self, name: str, start: Callable[[], children.Child]) -> None:
        self.name, self._start = name, start
        self.process = start()
        self._started = time.monotonic()
        self._pause = 0.1

    def watch(self) -> None:
        """Start it again when it is dead, later each time it dies soon after its start."""
        status = self.process.poll()
        if status is None:
            return
        lived = time.monotonic() - self._started
        if lived < self._pause:
            return
        self._pause = min(self._pause * 2, MAX_PAUSE) if lived < MAX_PAUSE else 0.1
        log.warning("%s stopped (%d); starting it again", self.name, status)
        self.process = self._start()
        self._started = time.monotonic()


class Supervisor:
    """One run of `shortener serve`."""

    def __init__(self, settings: Settings, with_aggregator: bool) -> None:
        self._settings, self._with_aggregator = settings, with_aggregator
        self._lock = -1
        self._embedded: Embedded | None = None
        self._watched: list[Watched] = []
        self._stop = Flag()
        self._reload = Flag()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT.  Raises `ConfigError` or `StartError`, with nothing left
        running."""
        for caught in (signal.SIGTERM, signal.SIGINT):
            signal.signal(caught, lambda *_: self._stop.set())
        signal.signal(signal.SIGHUP, lambda *_: self._reload.set())
        data_dir.prepare(self._settings.data_dir)
        if self._settings.geoip_db:
            places.finder(self._settings.geoip_db)  # what the aggregator would not start with
        self._lock = data_dir.lock(self._settings.data_dir)
        gauges.clear(gauges.directory(self._settings.data_dir))
        with _listen(self._settings.bind) as listener:
            try:
                new_key = self._start(listener)
                if not self._stop.is_set():
                    self._announce(_address(listener), new_key)
                self._watch()
            finally:
                listener.close()  # from now on nobody connects to what will not be answered
                self._stop_all()

    def _start(self, listener: socket.socket) -> str | None:
        """Start everything; answers the admin key when it was made just now."""
        settings = self._settings
        url = settings.redis_url
        if not url:
            self._embedded = Embedded(settings, self._lock)
            self._embedded.start(self._stop)
            if self._stop.is_set():
                return None
            url = self._embedded.url
        new_key = _settle(url, settings)
        self._fork(dataclasses.replace(settings, redis_url=url), listener)
        self._wait_for(self._watched[-1], _address(listener))
        return new_key

    def _fork(self, settings: Settings, listener: socket.socket) -> None:
        """Start the aggregator and gunicorn, which find everything read that they need."""
        from shortener import aggregate, server

        children.freeze()
        descriptor, lock = listener.fileno(), self._lock

        def count() -> children.Child:
            closing = [descriptor, lock]
            return children.fork("aggregator", lambda: aggregate.run(settings), closing)

        def serve() -> children.Child:
            return children.fork("web", lambda: server.run(settings, descriptor), [lock])

        if self._with_aggregator:
            self._watched.append(Watched("the aggregator", count))
        self._watched.append(Watched("gunicorn", serve))

    def _wait_for(self, web: Watched, address: str) -> None:
        """Wait until all answers, Flask too, which has no part in a GET of `/-/health`.  A gunicorn
        that dies before has said why."""
        deadline = time.monotonic() + START_PATIENCE
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(f"{address}/-/health", method="OPTIONS")  # noqa: S310 - ours
        while not self._stop.is_set():
            if web.process.poll() is not None:
                raise StartError("gunicorn did not start")
            try:
                with opener.open(request, timeout=1):
                    return
            except OSError:
                if time.monotonic() > deadline:
                    raise StartError("the web workers do not answer") from None
                time.sleep(0.02)

    def _announce(self, address: str, new_key: str | None) -> None:
        settings = self._settings
        (settings.data_dir / "address").write_text(address + "\n")
        key_file = settings.data_dir / "admin-key"
        lines = [
            f"shortener {__version__} listens on {address}",
            f"short links begin with {settings.base_url}",
        ]
        if new_key:
            lines.append(f"admin key (shown once, kept in {key_file}): {new_key}")
        key = f"$(cat {key_file})" if key_file.exists() and not settings.admin_key else "YOUR_KEY"
        body = json.dumps({"url": "https://www.example.com/a/long/address"})
        lines += [
            "try it:",
            f"  curl {address}/api/v1/links -H \"Authorization: Bearer {key}\" -d '{body}'",
            "stop it with Ctrl-C",
        ]
        print("\n".join(lines), flush=True)

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            if self._embedded is not None and not self._embedded.is_running:
                log.warning("the embedded Redis stopped; starting it again")
                try:
                    self._embedded.start(self._stop)
                except (StartError, OSError) as error:
                    log.error("%s", error)  # noqa: TRY400 - one line
                    self._stop.wait(1.0)
            for watched in self._watched:
                watched.watch()
            if self._reload.is_set():
                self._reload.clear()
                self._watched[-1].process.send_signal(signal.SIGHUP)

    def _stop_all(self) -> None:
        for watched in reversed(self._watched):
            children.stop(watched.process, STOP_PATIENCE)
        if self._embedded is not None:
            self._embedded.stop()
        gauges.clear(gauges.directory(self._settings.data_dir))
        (self._settings.data_dir / "address").unlink(missing_ok=True)


def _listen(bind: str) -> socket.socket:
    """The listening socket.  Raises `StartError` when the port is busy or not ours to open."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise StartError(f"SHORTENER_BIND: cannot listen on {bind}: {reason}") from None
    return listener


def _address(listener: socket.socket) -> str:
    """The URL at which this host reaches the listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _settle(url: str, settings: Settings) -> str | None:
    """What a first start fixes; answers the admin key when it was made just now."""
    store = connections.sync(url)
    try:
        site.settle(store, settings)
        file = settings.data_dir / "admin-key"
        return Accounts(store).admit_admin(settings.admin_key, file, int(time.time()))
    except connections.StoreError as error:
        raise StartError(f"SHORTENER_REDIS_URL: cannot use {_shown(url)}: {error}") from None
    finally:
        store.close()


def _shown(url: str) -> str:
    """A Redis URL without its password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
