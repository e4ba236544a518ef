"""The click journals of a host, as their reader sees them.

An offset counts the bytes of a journal from its beginning, over all its segments.  What does not
check at the end of a live journal is *not yet*; anywhere else it is damage: it is skipped, and
said.  Of a segment that is deleted the number of clicks stays behind in a manifest, so that a store
that has gone back further than the files reach can be told what that cost.
"""

import contextlib
import fcntl
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import msgspec

from shortener.journal import FRAME, MAX_BODY, Click

READ_BYTES = 4 * 1024 * 1024  # at most so much at a time: about 26,000 clicks, 50 MB in memory

_decode = msgspec.msgpack.Decoder(list[Click]).decode
_unpack, _crc, _HEAD = FRAME.unpack_from, zlib.crc32, FRAME.size


class Segment(NamedTuple):
    """One file of a journal; `start` is the offset of its first byte."""

    path: Path
    start: int

    @property
    def size(self) -> int:
        """Bytes in it, as of now."""
        return self.path.stat().st_size

    @property
    def end(self) -> int:
        """Offset behind its last byte, as of now."""
        return self.start + self.size


class Batch(NamedTuple):
    """Clicks in order with the end of each one's record, the offset to go on from, and what was
    bad."""

    clicks: list[Click]
    ends: list[int]
    end: int
    damaged: bytes


class HeldJournal:
    """One journal's files.  `segments` are in order and may be empty when only traces are left."""

    def __init__(self, directory: Path, name: str, starts: list[int]) -> None:
        self.directory, self.name = directory, name
        self.segments = [
            Segment(directory / f"{name}.{start:020d}.clicks", start) for start in sorted(starts)
        ]

    @property
    def start(self) -> int:
        """Offset of the oldest byte still held; 0 when none is."""
        return self.segments[0].start if self.segments else 0

    def alive(self) -> bool:
        """Whether the worker that writes it still lives (holds the lock)."""
        try:
            descriptor = os.open(self._owner, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def dropped(self) -> int:
        """Clicks that its worker could not keep."""
        try:
            return int(self._owner.read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0

    def read(self, offset: int, alive: bool, size: int = READ_BYTES) -> Batch:
        """Clicks from `offset` on, at most `size` bytes of one segment.

        `alive` must have been asked before: a worker may write its last click and die in between.
        """
        index = max(i for i, segment in enumerate(self.segments) if segment.start <= offset)
        segment = self.segments[index]
        following = self.segments[index + 1 :]
        with segment.path.open("rb") as file:
            file.seek(offset - segment.start)
            data = file.read(size)
        at_end = len(data) < size
        is_whole = at_end and (bool(following) or not alive)  # nothing will be added to it
        batch = _parse(data, offset, is_whole)
        if batch.end == offset and not at_end:  # no record in front of so much: damage
            batch = _parse(data, offset, True)
        if is_whole and following:
            return batch._replace(end=following[0].start)
        return batch

    def delete(self, segment: Segment) -> None:
        """Delete the oldest segment; its number of clicks stays in the manifest, if it can."""
        manifest = self.manifest()
        manifest[str(segment.start)] = (segment.end, _count(segment.path.read_bytes()))
        scratch = self._manifest.with_suffix(".tmp")
        with contextlib.suppress(OSError):  # a full disk: deleting is what it needs
            scratch.write_bytes(msgspec.json.encode(manifest))
            scratch.replace(self._manifest)
        segment.path.unlink()
        self.segments.remove(segment)

    def manifest(self) -> dict[str, tuple[int, int]]:
        """By the start of each deleted segment: its end, and how many clicks were in it."""
        try:
            return msgspec.json.decode(self._manifest.read_bytes(), type=dict[str, tuple[int, int]])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def lost(self, offset: int) -> int:
        """How many clicks, at most, were in deleted segments at `offset` or behind it."""
        return sum(clicks for end, clicks in self.manifest().values() if end > offset)

    def forget(self) -> None:
        """Delete what is left of a journal whose segments are gone."""
        for path in (self._owner, self._manifest):
            path.unlink(missing_ok=True)

    @property
    def last_change(self) -> float:
        """When the journal or its manifest last changed, in seconds since 1970."""
        paths = [self._manifest, self._owner, *(segment.path for segment in self.segments)]
        return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)

    @property
    def _owner(self) -> Path:
        return self.directory / f"{self.name}.owner"

    @property
    def _manifest(self) -> Path:
        return self.directory / f"{self.name}.json"


def held_journals(directory: Path) -> list[HeldJournal]:
    """All journals of which a file is left in `directory`."""
    starts: dict[str, list[int]] = {}
    for path in directory.iterdir():
        name, _, rest = path.name.partition(".")
        if rest in ("owner", "json"):
            starts.setdefault(name, [])
        elif rest.endswith(".clicks") and rest.removesuffix(".clicks").isdecimal():
            starts.setdefault(name, []).append(int(rest.removesuffix(".clicks")))
    return [HeldJournal(directory, name, found) for name, found in sorted(starts.items())]


def first_time(segment: Path) -> int | None:
    """When the first click of a segment was, in milliseconds since 1970; None without a whole one.

    Raises `OSError`, but for a segment that is gone.
    """
    try:
        with segment.open("rb") as file:
            clicks = _parse(file.read(2 * MAX_BODY), 0, True).clicks
    except FileNotFoundError:
        return None
    return clicks[0].at if clicks else None


def _parse(data: bytes, offset: int, is_whole: bool) -> Batch:
    """The records at the front of `data`, which lies at `offset`.

    Of data that is whole, what does not check is stepped over to the next record that does.
    """
    clicks: list[Click] = []
    ends: list[int] = []
    damaged: list[bytes] = []
    view, at, size = memoryview(data), 0, len(data)
    while at < size:
        begin = at + _HEAD
        if begin <= size:  # what `_record_end` asks, without a call for each
            length, checksum = _unpack(data, at)
            end = begin + length
            if end <= size and _crc(body := data[begin:end]) == checksum and 0 < length <= MAX_BODY:
                try:
                    found = _decode(body)
                    clicks += found
                    ends += [offset + end] * len(found)
                except msgspec.MsgspecError:  # whole, but no clicks: step over it
                    damaged.append(data[at:end])
                at = end
                continue
        if not is_whole:
            break
        end = _next_record(view, at + 1)
        damaged.append(data[at:end])
        at = end
    return Batch(clicks, ends, offset + at, b"".join(damaged))


def _record_end(data: memoryview, at: int) -> int | None:
    """Where the record at `at` ends; None when there is no whole one."""
    begin = at + _HEAD
    if begin > len(data):
        return None
    length, checksum = _unpack(data, at)
    end: int = begin + length
    if not 0 < length <= MAX_BODY or end > len(data):
        return None
    return end if _crc(data[begin:end]) == checksum else None


def _next_record(data: memoryview, at: int) -> int:
    """Where the next whole record begins, or the end of the data."""
    while at < len(data) and _record_end(data, at) is None:
        at += 1
    return at


def _count(data: bytes) -> int:
    return len(_parse(data, 0, True).clicks)
