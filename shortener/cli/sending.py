"""Records on their way to a server: batches, some of them at once, each sent until it is answered.

Repeating a call changes nothing on the server, so a lost connection costs a repetition and never a
link too many.  A batch that the server refuses as a whole is halved until what is wrong with it is
one record: a line that only the server can see through fails alone.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

import msgspec

from shortener.cli.sources import Line
from shortener.client import CallError, Client, Patience

MAX_RECORDS = 1000  # a call
MAX_PASSWORDS = 50  # a call: some 3 seconds of the server's, several times that on a busy one
MAX_BYTES = 8 << 20  # a call, unless one record is larger
AT_ONCE = 4  # calls under way: fewer may all come to one of two workers
TIMEOUT = 180.0  # seconds
_REFUSED = frozenset({400, 413, 422})


class Batch(NamedTuple):
    """Records for one call, and the export they come from."""

    lines: list[Line]
    export: bytes


class Outcome(NamedTuple):
    """What became of a batch; `failed` are line numbers with reasons."""

    created: int
    existing: int
    failed: list[tuple[int, str]]


class _Problem(msgspec.Struct):
    detail: str = "was refused"


class _Failed(msgspec.Struct):
    index: int
    error: _Problem


class _Answer(msgspec.Struct):
    created: int
    existing: int
    errors: list[_Failed]


def batches(lines: Iterator[Line]) -> Iterator[Batch]:
    """The records in batches.  What describes the export goes with each of its batches."""
    export, gathered, size, passwords = b"null", list[Line](), 0, 0
    for line in lines:
        is_full = (
            len(gathered) == MAX_RECORDS
            or size + len(line.record) > MAX_BYTES
            or passwords + line.has_password > MAX_PASSWORDS
        )
        if gathered and (is_full or line.kind == "export"):
            yield Batch(gathered, export)
            gathered, size, passwords = [], 0, 0
        if line.kind == "export":
            export = line.record
        else:
            gathered.append(line)
            size += len(line.record) + 1
            passwords += line.has_password
    if gathered:
        yield Batch(gathered, export)


def send(client: Client, batch: Batch, patience: Patience) -> Outcome:
    """Send a batch until it is answered.  Raises `CallError`."""
    try:
        return _send(client, batch, patience)
    except CallError as error:
        if error.status not in _REFUSED:
            raise
        _send(client, Batch([], batch.export), patience)  # raises if it is not about the records
        return _narrow(client, batch, error, patience)


def _narrow(client: Client, batch: Batch, error: CallError, patience: Patience) -> Outcome:
    """Send the halves of a refused batch."""
    if len(batch.lines) == 1:
        return Outcome(0, 0, [(batch.lines[0].number, str(error))])
    middle = len(batch.lines) // 2
    outcomes = []
    for lines in (batch.lines[:middle], batch.lines[middle:]):
        half = Batch(lines, batch.export)
        try:
            outcomes.append(_send(client, half, patience))
        except CallError as again:
            if again.status not in _REFUSED:
                raise
            outcomes.append(_narrow(client, half, again, patience))
    created, existing, failed = zip(*outcomes, strict=True)
    return Outcome(sum(created), sum(existing), [line for part in failed for line in part])


def _send(client: Client, batch: Batch, patience: Patience) -> Outcome:
    records = b",".join(line.record for line in batch.lines)
    body = b'{"export":' + batch.export + b',"records":[' + records + b"]}"
    answer = client.call("POST", "/import", body, kind=_Answer, patience=patience, timeout=TIMEOUT)
    failed = [(batch.lines[f.index].number, f.error.detail) for f in answer.errors]
    return Outcome(answer.created, answer.existing, failed)


class Lanes:
    """Sends up to `AT_ONCE` batches at a time; outcomes come in the order of the batches.

    Until the first one is answered it goes alone: what fails for all fails once.  The threads are
    daemons, so a call that hangs does not keep the command from ending.
    """

    def __init__(self, work: Callable[[Batch], Outcome]) -> None:
        self._work = work
        self._waiting: queue.SimpleQueue[tuple[Batch, Future[Outcome]]] = queue.SimpleQueue()
        self._under_way: deque[tuple[Batch, Future[Outcome]]] = deque()
        self._room = 0
        for _ in range(AT_ONCE):
            threading.Thread(target=self._run, daemon=True).start()

    def put(self, batch: Batch) -> Iterator[tuple[Batch, Outcome]]:
        """Send a batch; answers those that ended to make room.  Raises `CallError`."""
        entry: tuple[Batch, Future[Outcome]] = (batch, Future())
        self._waiting.put(entry)
        self._under_way.append(entry)
        while len(self._under_way) > self._room:
            yield self._next()

    def rest(self) -> Iterator[tuple[Batch, Outcome]]:
        """Those still under way.  Raises `CallError`."""
        while self._under_way:
            yield self._next()

    def _next(self) -> tuple[Batch, Outcome]:
        batch, future = self._under_way.popleft()
        outcome = future.result()
        self._room = AT_ONCE
        return batch, outcome

    def _run(self) -> None:
        while True:
            batch, future = self._waiting.get()
            try:
                future.set_result(self._work(batch))
            except BaseException as error:
                future.set_exception(error)
