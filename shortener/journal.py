"""The click journal: a click is in a file before its redirect is answered.

One worker process, one journal, append only, cut into segments by size.  A segment is named after
the journal and the offset of its first byte in it.  A record is length, CRC32, body: clicks that
were answered together, 16 at most.  Whoever reads stops at the first record that does not check,
which is where a crash tore the tail.  The file `….owner` is locked (`flock`) while its worker
lives, and holds the number of clicks that could not be kept.  `write` hands a record to the kernel,
so it survives the process; `sync` says when it has to survive the machine.

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
import weakref
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from shortener import gauges

SEGMENT_BYTES = 32 * 1024 * 1024
SEGMENT_SECONDS = 15 * 60.0  # addresses are in it: on a quiet site, too, a segment has to end
FRAME = struct.Struct("<II")  # length and CRC32 of the body that follows
MAX_BODY = 64 * 1024  # bytes of one record; a larger length is damage, not a record
MAX_CLICKS = 16  # of one record: what damage costs, and what is counted in one step or not at all
RETRY_AFTER = 1.0  # seconds until a journal that could not be written is tried again

log = logging.getLogger(__name__)


class Click(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One answered redirect, as its worker saw it; labels are worked out later, elsewhere.

    A visit to an unknown code is one, too: its number is 0.
    """

    at: int  # milliseconds since 1970, UTC
    number: int  # the link's, so that a name given to another link later takes nothing along
    name: str  # the link's
    tags: tuple[str, ...]
    address: str  # "" when the visitor asked not to be tracked
    agent: str
    referrer: str
    language: str
    country: str = ""  # as a trusted proxy says
    private: bool = False  # DNT or Sec-GPC
    utm: tuple[str, str, str] = ("", "", "")  # source, medium, campaign
    used: bool = False  # has taken one of the link's max_clicks


encode = msgspec.msgpack.Encoder().encode
_ARRAYS = [encode([None] * size)[: -size or None] for size in range(MAX_CLICKS + 1)]  # their heads
_HEAD = bytes((0x90 | len(Click.__struct_fields__), 0xCF))  # an array of these, a time of 8 bytes


def beginning(at: int) -> bytes:
    """The bytes of a click up to its time (milliseconds since 1970)."""
    return _HEAD + at.to_bytes(8, "big")


def part(*fields: object) -> bytes:
    """The bytes of fields that follow each other in a click."""
    return encode(fields)[1:]  # behind the head of an array of fewer than sixteen


def frame(clicks: Sequence[bytes]) -> bytes:
    """The bytes of one record, or of as many as are needed, of encoded clicks."""
    if len(clicks) <= MAX_CLICKS:
        body = _ARRAYS[len(clicks)] + b"".join(clicks)
        if len(body) <= MAX_BODY or len(clicks) == 1:
            return FRAME.pack(len(body), zlib.crc32(body)) + body
    middle = len(clicks) // 2
    return frame(clicks[:middle]) + frame(clicks[middle:])


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

    def __init__(
        self,
        directory: Path,
        host: str,
        sync: str,
        limit: int,
        counters: gauges.Counters | None = None,
    ) -> None:
        self._counters = counters or gauges.Counters()
        self._directory, self._host, self._sync, self._limit = directory, host, sync, limit
        self._segment_bytes = min(SEGMENT_BYTES, limit // 16)
        self._lock = threading.Lock()
        self._dropped, self._retry_at = 0, 0.0
        self._forget_files()
        leave = weakref.WeakMethod(self._leave)
        os.register_at_fork(after_in_child=lambda: (method := leave()) and method())

    @property
    def dropped(self) -> int:
        """Clicks of this process that could not be kept."""
        return self._dropped

    def append(self, clicks: Sequence[Click]) -> None:
        """Write the clicks down, with one `write`.  Never raises for a full disk: it counts."""
        self.append_encoded([encode(click) for click in clicks])

    def append_encoded(self, clicks: Sequence[bytes]) -> None:
        """The same with clicks whose bytes are known already."""
        data = frame(clicks)
        with self._lock:
            try:
                if self._segment < 0:
                    self._open()
                self._write(data)
                self._counters.add(gauges.CLICKS_WRITTEN, len(clicks))
                self._counters.add(gauges.JOURNAL_BYTES, len(data))
            except OSError as error:
                self._drop(len(clicks), error)

    def close(self) -> None:
        """Force what was written to the disk and let go of the lock."""
        self._stop.set()
        if self._keeper is not None:
            self._keeper.join()
        with self._lock:
            _sync_and_close([*self._finished, self._segment, self._owner])
            self._forget_files()

    def _leave(self) -> None:
        """In a child after a fork: the files are its parent's, and so is who holds the lock."""
        self._lock = threading.Lock()
        self._dropped = 0
        self._forget_files()

    def _forget_files(self) -> None:
        """As before the first append."""
        self._name = ""
        self._owner = self._segment = -1
        self._start = self._size = 0
        self._opened = 0.0
        self._finished: list[int] = []  # descriptors of segments still to be synced and closed
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None

    def _open(self) -> None:
        """Begin a segment, in a new journal at first use and at the first use after a fork."""
        if time.monotonic() < self._retry_at:
            raise OSError("waiting before the next try")
        if self._owner < 0:
            self._begin()
        if held_bytes(self._directory) >= self._limit:
            raise OSError("the journals have reached JOURNAL_LIMIT")
        path = self._directory / segment_name(self._name, self._start)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._segment = os.open(path, flags, 0o600)
        self._size, self._opened = 0, time.monotonic()
        if self._sync != "never":
            self._sync_directory()

    def _begin(self) -> None:
        """A new journal.  Its lock is taken under another name: nobody ever sees it unlocked.

        Raises `OSError` and leaves nothing behind when the disk has no room even for that.
        """
        name = f"{self._host}-{secrets.token_hex(6)}"
        new = self._directory / f"{name}.new"
        owner = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(owner, fcntl.LOCK_EX)
            _note(owner, self._dropped)
            new.rename(self._directory / f"{name}.owner")
        except OSError:
            os.close(owner)
            new.unlink(missing_ok=True)
            raise
        self._name, self._owner, self._start = name, owner, 0
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, args=(self._stop,), daemon=True)
            self._keeper.start()

    def _write(self, data: bytes) -> None:
        written = os.write(self._segment, data)
        if written != len(data):  # the disk is full: nothing good may follow something torn
            try:
                os.ftruncate(self._segment, self._size)
            except OSError:
                self._abandon()
            raise OSError("the disk is full")
        self._size += written
        if self._sync == "always":
            _sync(self._segment)
        if self._size >= self._segment_bytes:
            self._finish_segment()

    def _finish_segment(self) -> None:
        """End the segment; the keeper syncs it, off the path of redirects."""
        self._finished.append(self._segment)
        self._start += self._size
        self._segment, self._size = -1, 0

    def _abandon(self) -> None:
        """End the journal, whose last bytes are torn; the next append begins another."""
        for descriptor in (self._segment, self._owner):
            os.close(descriptor)
        self._owner = self._segment = -1

    def _drop(self, clicks: int, error: OSError) -> None:
        if not self._dropped:
            log.error("clicks are being dropped: %s", error)
        self._dropped += clicks
        self._counters.add(gauges.CLICKS_DROPPED, clicks)
        if self._segment < 0 and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + RETRY_AFTER
        if self._owner >= 0:
            try:
                _note(self._owner, self._dropped)
            except OSError as failure:
                log.error("%d dropped clicks cannot be noted: %s", self._dropped, failure)  # noqa: TRY400

    def _keep(self, stop: threading.Event) -> None:
        """Every second: sync what was written, end a segment that is old, so that it can go."""
        while not stop.wait(1.0):
            try:
                with self._lock:
                    if self._size and time.monotonic() - self._opened > SEGMENT_SECONDS:
                        self._finish_segment()
                        self._open()
                    finished, self._finished = self._finished, []
                    current = os.dup(self._segment) if self._segment >= 0 else -1
                if self._sync == "never":
                    for descriptor in (*finished, current):
                        _close(descriptor)
                else:
                    _sync_and_close([*finished, current])
            except OSError as error:
                log.error("the click journal could not be kept: %s", error)  # noqa: TRY400 - one line

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _note(owner: int, dropped: int) -> None:
    """Where others can read it; rewritten in place, which takes no room on the disk."""
    os.pwrite(owner, b"%020d\n" % dropped, 0)


def _sync(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        log.error("the click journal could not be synced: %s", error)  # noqa: TRY400 - one line


def _sync_and_close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            _sync(descriptor)
            os.close(descriptor)


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
