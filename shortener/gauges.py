"""Counters that all processes of a host share, cheap enough for every redirect.

Each process adds to a file of its own that is mapped into its memory, so an addition is a store to
memory, is there for others at once and survives the process.  Whoever reads adds all files up, and
folds those whose process is dead into one, so that they do not pile up while workers come and go:
no number ever goes down while the service runs.  A start of the service begins at zero.

The files are in memory (`/dev/shm`) and not in the data directory: a mapped file on a disk holds
its writer up while the disk is busy, and kills it (SIGBUS) when the disk is full.  What we give up
is the numbers of before a reboot.

Threads may add without a lock: CPython changes threads at calls and at jumps backwards, and there
is neither between the read and the write of `+=` (a test adds from many threads at once).  A
process that forks gets a file of its own at its first addition.
"""

import contextlib
import fcntl
import hashlib
import itertools
import logging
import mmap
import os
import secrets
import stat
import tempfile
import weakref
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from shortener.decoders import decoder

KINDS = ("redirect", "api", "page", "static", "operations")
STATUSES = (
    *(200, 201, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410),
    *(412, 413, 415, 422, 429, 500, 503),
)
OTHER = 0  # in place of a status that is not in the table
LATENCIES = (  # microseconds
    *(100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000),
    *(1_000_000, 2_500_000),
)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # codes

log = logging.getLogger(__name__)


class Histogram(NamedTuple):
    """Slots of a histogram: from `first` on one for each bound and one for what is above, then
    one for the sum of what was observed.  Counts add up over the bounds at reading time."""

    first: int
    bounds: tuple[int, ...]

    @property
    def sum(self) -> int:
        """The slot of the sum."""
        return self.first + len(self.bounds) + 1


def _histogram(name: str, bounds: tuple[int, ...]) -> tuple[str, ...]:
    return (*(f"{name}_{bound}" for bound in (*bounds, "more")), f"{name}_sum")


# Every slot by name; a process adds by place.
NAMES: tuple[str, ...] = (
    *(f"{kind}_{status}" for kind in KINDS for status in (*STATUSES, OTHER)),
    *_histogram("redirect_latency", LATENCIES),  # microseconds
    *_histogram("api_latency", LATENCIES),
    *_histogram("batch", BATCHES),  # codes in one read of Redis; its sum is the codes read
    "cache_hits",  # redirects answered from memory because what is there is known to be right
    "cache_misses",  # redirects for which Redis had to be asked
    "cache_stale",  # redirects answered from memory because Redis did not answer
    "redis_errors",  # times that Redis did not do what it was asked for
    "clicks_written",
    "clicks_dropped",
    "journal_bytes",  # written, not held
    "forwarded",  # requests with as many entries in X-Forwarded-For as TRUSTED_PROXIES, or more
    "forwarded_untrusted",  # requests with any, from a private address, while that is 0
    "forwarded_missing",  # the others
    "limited_keys",  # requests refused by a limit
    "limited_creation",
    "limited_password",
    "limited_unknown",
)
_PLACES = {name: place for place, name in enumerate(NAMES)}

REQUESTS = {  # by kind, by status; statuses that are not in it count as `OTHER`
    kind: {status: _PLACES[f"{kind}_{status}"] for status in (*STATUSES, OTHER)} for kind in KINDS
}
REDIRECT_LATENCY = Histogram(_PLACES["redirect_latency_100"], LATENCIES)
API_LATENCY = Histogram(_PLACES["api_latency_100"], LATENCIES)
BATCH = Histogram(_PLACES["batch_1"], BATCHES)
CACHE_HITS, CACHE_MISSES = _PLACES["cache_hits"], _PLACES["cache_misses"]
CACHE_STALE, REDIS_ERRORS = _PLACES["cache_stale"], _PLACES["redis_errors"]
CLICKS_WRITTEN, CLICKS_DROPPED = _PLACES["clicks_written"], _PLACES["clicks_dropped"]
JOURNAL_BYTES = _PLACES["journal_bytes"]
FORWARDED = _PLACES["forwarded"]
FORWARDED_UNTRUSTED = _PLACES["forwarded_untrusted"]
FORWARDED_MISSING = _PLACES["forwarded_missing"]
LIMITED = {name: _PLACES[f"limited_{name}"] for name in ("keys", "creation", "password", "unknown")}

_SIZE = -(-8 * len(NAMES) // mmap.PAGESIZE) * mmap.PAGESIZE  # bytes of a file
_LAYOUT = f"{zlib.crc32(' '.join(NAMES).encode()):08x}"  # files of another version are not read
_UNOPENED = memoryview(b"").cast("q")


class Counters:
    """The counters of this process; without `directory`, for itself alone.

    Nothing here ever fails for want of a file.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._cells, self._file = _UNOPENED, -1
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def add(self, slot: int, n: int = 1) -> None:
        """Add `n` to one slot (0.1 us)."""
        try:
            self._cells[slot] += n
        except IndexError:  # not opened yet
            self._open()
            self._cells[slot] += n

    def observe(self, histogram: Histogram, value: int, times: int = 1) -> None:
        """Count a value so many times, in the unit of the histogram's bounds (0.25 us)."""
        first, bounds = histogram
        cells = self._cells or self._open()
        cells[first + bisect_left(bounds, value)] += times
        cells[first + len(bounds) + 1] += value * times

    def count(self, kind: str, status: int) -> None:
        """Count one answer."""
        slots = REQUESTS[kind]
        self.add(slots.get(status) or slots[OTHER])

    def read(self) -> dict[str, int]:
        """What all processes have counted, by name."""
        return dict.fromkeys(NAMES, 0) if self._directory is None else read_all(self._directory)

    def _forget(self) -> None:
        """In a child after a fork: the file is its parent's."""
        self._cells, self._file = _UNOPENED, -1

    def _open(self) -> memoryview:
        try:
            mapped = self._create(self._directory) if self._directory else mmap.mmap(-1, _SIZE)
        except OSError as error:
            log.warning("this process counts for itself alone, metrics lack it: %s", error)
            mapped = mmap.mmap(-1, _SIZE)
        self._cells = memoryview(mapped).cast("q")
        return self._cells

    def _create(self, directory: Path) -> mmap.mmap:
        """The file of this process: locked before it can be seen, with all the room it needs."""
        directory.mkdir(mode=0o700, exist_ok=True)
        _refuse_strange(directory)
        name = f"{_LAYOUT}-{os.getpid()}-{secrets.token_hex(4)}"
        new = directory / f"{name}.new"
        file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.posix_fallocate(file, 0, _SIZE)
            mapped = mmap.mmap(file, _SIZE)
            new.rename(directory / f"{name}.counters")
        except OSError:
            new.unlink(missing_ok=True)
            os.close(file)
            raise
        self._file = file  # stays open: its lock says that we live
        return mapped


class _Folded(msgspec.Struct):
    """The sums of the dead.  Files in `names` are in them, should they still be there."""

    names: list[str]
    values: list[int]


def directory(data_dir: Path) -> Path:
    """Where the counters of a data directory are; without `/dev/shm`, in the data directory."""
    memory = Path("/dev/shm")  # noqa: S108 - a directory that is ours alone in it
    if not os.access(memory, os.W_OK):
        return data_dir / "counters"
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return memory / f"shortener-{os.getuid()}-{digest}"


def clear(directory: Path) -> None:
    """Begin at zero, before any process counts; or leave nothing behind, when none does."""
    with contextlib.suppress(OSError):  # there is none, or it is not ours
        for path in directory.iterdir():
            path.unlink(missing_ok=True)
        directory.rmdir()


def read_all(directory: Path) -> dict[str, int]:
    """The sums over all processes, living and dead, by name; zeros when nothing can be read."""
    try:
        _refuse_strange(directory)
        with _locked(directory):
            folded = _fold(directory)
            living = [_values(path) for path in _files(directory) if path.name not in folded.names]
    except FileNotFoundError:  # nobody has counted yet
        return dict.fromkeys(NAMES, 0)
    except OSError as error:
        log.warning("the counters cannot be read: %s", error)
        return dict.fromkeys(NAMES, 0)
    sums = map(sum, zip(folded.values, *living, strict=True))
    return dict(zip(NAMES, sums, strict=True))


def _refuse_strange(directory: Path) -> None:
    """Raises `OSError` when someone else made the directory, which many may write beside."""
    found = directory.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{directory} is not ours")


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One reader at a time."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _fold(directory: Path) -> _Folded:
    """Take the files of the dead into one.  A reader killed in between counts nothing twice."""
    file = directory / f"{_LAYOUT}.folded"
    try:
        folded = decoder(_Folded).decode(file.read_bytes())
    except (FileNotFoundError, msgspec.MsgspecError):
        folded = _Folded([], [0] * len(NAMES))
    left = [path for path in _files(directory) if path.name in folded.names]
    dead = [path for path in _files(directory) if path not in left and not _is_alive(path)]
    if dead:
        values = [sum(row) for row in zip(folded.values, *map(_values, dead), strict=True)]
        folded = _Folded([path.name for path in (*left, *dead)], values)
        descriptor, scratch = tempfile.mkstemp(dir=directory)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(msgspec.json.encode(folded))
        Path(scratch).replace(file)
    for path in itertools.chain(left, dead):
        path.unlink(missing_ok=True)
    return folded


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"{_LAYOUT}-*.counters"))


def _is_alive(path: Path) -> bool:
    """Whether the process that adds to the file holds its lock."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _values(path: Path) -> list[int]:
    """What is in a file: each number is read in one piece."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), _SIZE, access=mmap.ACCESS_READ) as found:
        cells = memoryview(found).cast("q")
        try:
            return cells[: len(NAMES)].tolist()
        finally:
            cells.release()
