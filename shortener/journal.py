"""The click journal: a click is in a file before its redirect is answered.

One worker process, one journal, append only, cut into segments by size.  A segment is named after
the journal and the offset of its first byte in it.  A record is length, CRC32, body; whoever reads
stops at the first record that does not check, which is where a crash tore the tail.  The file
`….owner` is locked (`flock`) while its worker lives, and holds the number of clicks that could not
be kept.  `write` hands a record to the kernel, so it survives the process; `sync` says when it has
to survive the machine.

We give up ordering between workers (nothing that is counted depends on it), and, when the disk is
full or the limit reached, the click: the redirect goes on, and the loss is counted.
"""

import fcntl
import logging
import os
import secrets
import struct
import threading
import time
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

SEGMENT_BYTES = 32 * 1024 * 1024
FRAME = struct.Struct("<II")  # length and CRC32 of the body that follows
MAX_BODY = 64 * 1024  # bytes of one record; a larger length is damage, not a record
RETRY_AFTER = 1.0  # seconds until a journal that could not be written is tried again

log = logging.getLogger(__name__)


class Click(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One answered redirect, as its worker saw it; labels are worked out later, elsewhere."""

    at: int  # milliseconds since 1970, UTC
    number: int  # the link's, so that a name given to another link later takes nothing along
    name: str  # the link's
    tags: tuple[str, ...]
    address: str  # "" when the visitor asked not to be tracked
    agent: str
    referrer: str
    language: str
    utm: tuple[str, str, str]  # source, medium, campaign
    private: bool  # DNT or Sec-GPC
    used: bool = False  # has taken one of the link's max_clicks


_encode = msgspec.msgpack.Encoder().encode


def frame(click: Click) -> bytes:
    """The bytes of one record."""
    body = _encode(click)
    return FRAME.pack(len(body), zlib.crc32(body)) + body


def segment_name(journal: str, start: int) -> str:
    """File name of the segment of `journal` whose first byte has the offset `start`."""
    return f"{journal}.{start:020d}.clicks"


def held_bytes(directory: Path) -> int:
    """Size of all segments in `directory`."""
    total = 0
    for path in directory.glob("*.clicks"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # the aggregator was quicker
            continue
    return total


class Journal:
    """The writing end, one for each process; safe to use from several threads.

    `host` is the data directory's identity and begins the journal's name.  `sync` is `never`,
    `second` or `always`; `limit` is in bytes, over all journals of the directory.  The files are
    made at the first append, so a process that forks afterwards gets a journal of its own.
    """

    def __init__(self, directory: Path, host: str, sync: str, limit: int) -> None:
        self._directory, self._host, self._sync, self._limit = directory, host, sync, limit
        self._segment_bytes = min(SEGMENT_BYTES, limit // 16)
        self._lock = threading.Lock()
        self._pid = 0
        self._owner = self._segment = -1
        self._name = ""
        self._start = self._size = 0
        self._dropped = 0
        self._retry_at = 0.0
        self._unsynced: list[int] = []  # descriptors of finished segments
        self._stop = threading.Event()
        self._syncer: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Clicks of this process that could not be kept."""
        return self._dropped

    def append(self, clicks: Sequence[Click]) -> None:
        """Write the clicks down, with one `write`.  Never raises for a full disk: it counts."""
        data = b"".join(map(frame, clicks))
        with self._lock:
            try:
                if self._pid != os.getpid() or self._segment < 0:
                    self._open()
                self._write(data)
            except OSError as error:
                self._drop(len(clicks), error)

    def close(self) -> None:
        """Force what was written to the disk and let go of the lock."""
        self._stop.set()
        if self._syncer is not None:
            self._syncer.join()
        with self._lock:
            self._sync_finished()
            for descriptor in (self._segment, self._owner):
                if descriptor >= 0 and self._pid == os.getpid():
                    os.fsync(descriptor)
                    os.close(descriptor)
            self._segment = self._owner = -1

    def _open(self) -> None:
        """Begin a journal (first use, or first use after a fork) or its next segment."""
        if time.monotonic() < self._retry_at:
            raise OSError("waiting before the next try")
        if held_bytes(self._directory) >= self._limit:
            raise OSError("the journals have reached JOURNAL_LIMIT")
        if self._pid != os.getpid() or self._owner < 0:
            self._begin()
        path = self._directory / segment_name(self._name, self._start)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._segment = os.open(path, flags, 0o600)
        self._size = 0

    def _begin(self) -> None:
        """A new journal.  Its lock is taken under another name: nobody ever sees it unlocked."""
        self._name = f"{self._host}-{secrets.token_hex(6)}"
        self._start = self._size = 0
        new = self._directory / f"{self._name}.new"
        self._owner = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        self._dropped = self._dropped if self._pid == os.getpid() else 0
        self._note_dropped()
        new.rename(self._directory / f"{self._name}.owner")
        self._unsynced, self._segment, self._pid = [], -1, os.getpid()
        if self._sync == "second":
            self._syncer = threading.Thread(target=self._sync_each_second, daemon=True)
            self._syncer.start()

    def _write(self, data: bytes) -> None:
        written = os.write(self._segment, data)
        if written != len(data):  # the disk is full: nothing good may follow something torn
            try:
                os.ftruncate(self._segment, self._size)
            except OSError:
                self._finish_segment()
            raise OSError("the disk is full")
        self._size += written
        if self._sync == "always":
            _sync(self._segment)
        if self._size >= self._segment_bytes:
            self._finish_segment()

    def _finish_segment(self) -> None:
        self._unsynced.append(self._segment)
        self._start += self._size
        self._segment, self._size = -1, 0
        if self._sync != "second":
            self._sync_finished()

    def _drop(self, clicks: int, error: OSError) -> None:
        if not self._dropped:
            log.error("clicks are being dropped: %s", error)
        self._dropped += clicks
        if self._segment < 0 and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + RETRY_AFTER
        if self._owner >= 0:
            self._note_dropped()

    def _note_dropped(self) -> None:
        """Where others can read it; rewritten in place, which a full disk allows."""
        os.pwrite(self._owner, b"%020d\n" % self._dropped, 0)

    def _sync_each_second(self) -> None:
        while not self._stop.wait(1.0):
            with self._lock:
                current = os.dup(self._segment) if self._segment >= 0 else -1
                finished, self._unsynced = self._unsynced, []
            _sync_and_close(finished)
            if current >= 0:
                _sync_and_close([current])

    def _sync_finished(self) -> None:
        finished, self._unsynced = self._unsynced, []
        if self._sync == "never":
            for descriptor in finished:
                os.close(descriptor)
        else:
            _sync_and_close(finished)


def _sync(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        log.error("the click journal could not be synced: %s", error)  # noqa: TRY400 - one line


def _sync_and_close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        _sync(descriptor)
        os.close(descriptor)
