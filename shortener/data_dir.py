"""The data directory: made, checked, and its identity.

admin-key         the API key made at the first start
host              random identity; journals bear it, so that hosts may share a store
journal/          the click journals of this host
redis/            the embedded server's files
aggregator.json   what the aggregator reports      aggregator.lock   one aggregator a host
serve.lock        one `shortener serve` a directory
address           where the running server listens
"""

import fcntl
import os
import re
import secrets
import time
from pathlib import Path

from shortener.config import ConfigError, StartError

LOCK_PATIENCE = 1.5  # seconds: the children of a killed server need a moment to die


def prepare(directory: Path) -> str:
    """Make the directory and what must be in it; answers the host's identity.

    Raises `ConfigError` when it cannot be written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "journal").mkdir(mode=0o700, exist_ok=True)
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(f"no permission to write {directory}")
        return _identity(directory / "host")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"SHORTENER_DATA_DIR: cannot use {directory}: {reason}") from None


def lock(directory: Path) -> int:
    """The descriptor of the directory's lock, to be kept open.  Raises `StartError`."""
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            return _locked(directory / "serve.lock")
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StartError(f"another server uses the data directory {directory}") from None
            time.sleep(0.05)


def lock_aggregator(directory: Path) -> int:
    """The same for the lock that makes it one aggregator a host."""
    try:
        return _locked(directory / "aggregator.lock")
    except BlockingIOError:
        raise StartError(f"an aggregator runs already on {directory}") from None


def _locked(file: Path) -> int:
    """The descriptor of a file that is locked.  Raises `BlockingIOError` when somebody has it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def _identity(file: Path) -> str:
    """What the file says; the first of several processes writes it."""
    if not file.exists():
        scratch = file.with_suffix(f".{secrets.token_hex(4)}")
        write_durably(scratch, secrets.token_hex(4))
        try:
            os.link(scratch, file)
        except FileExistsError:
            pass
        finally:
            scratch.unlink()
    identity = file.read_text().strip()
    if not re.fullmatch(r"[0-9a-f]{8}", identity):
        raise ConfigError(f"SHORTENER_DATA_DIR: {file} is damaged; delete it")
    return identity


def write_durably(file: Path, text: str) -> None:
    """Write a new file of ours alone (mode 0600), which a power cut leaves whole."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(descriptor)
