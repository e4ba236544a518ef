"""The aggregator: tails the click journals of its host, has them tallied, tidies up.

One for each host, enforced by a lock.  It knows nothing that it could not read again: where it goes
on is what the marks in the store say, compared once a second and before a segment is deleted.  So
it may be killed at any moment, and a store that went back in time is noticed although nobody
clicks.  Segments are held for a while after they were applied, for just that case.
"""

import logging
import time
from collections import defaultdict
from pathlib import Path

from shortener import connections
from shortener.counting.increments import Increments
from shortener.counting.marks import Mark
from shortener.counting.pace import Pace
from shortener.counting.pieces import SITE_BUCKET, Pieces, apart
from shortener.counting.pulse import Pulse
from shortener.counting.salts import Salts
from shortener.counting.set_aside import SetAside
from shortener.counting.tally import Tally, parts_of
from shortener.flag import Flag
from shortener.segments import READ_BYTES, Batch, HeldJournal, held_journals
from shortener.status import Status, write_status

COMPARE = 1.0  # seconds between two looks at the marks
HOLD = 15 * 60.0  # seconds that a segment is held after it was applied
HOLD_TRACES = 24 * 3600.0  # seconds that the manifest of a finished journal is held
FINISH = 1.0  # seconds that a stop in order may take, and a batch: what waits is safe

log = logging.getLogger(__name__)


class Aggregator:
    """Reads the journals in `data_dir`.  `step`, `compare` and `tidy` are its whole work."""

    def __init__(
        self,
        tally: Tally,
        pieces: Pieces,
        salts: Salts,
        pulse: Pulse,
        data_dir: Path,
        limit: int,
    ) -> None:
        self._tally, self._pieces, self._salts, self._pulse = tally, pieces, salts, pulse
        self._data_dir, self._limit, self._pace = data_dir, limit, Pace(limit)
        self._marks: dict[str, dict[str, Mark]] = {}  # journal -> bucket
        self._applied_at: dict[Path, float] = {}  # segment -> when it was seen wholly applied
        self._aside = SetAside(data_dir)
        self._highest = 0  # number of a link among the clicks applied
        self._lost: dict[str, int] = {}  # journal -> clicks
        self._reported = 0.0
        self.status = Status()

    @property
    def _journals(self) -> list[HeldJournal]:
        return held_journals(self._data_dir / "journal")

    def step(self, size: int = READ_BYTES) -> bool:
        """Apply a stretch of every journal, at most `size` bytes; whether there may be more."""
        progress = False
        for journal in self._journals:
            if not journal.segments:
                continue
            alive = journal.alive()
            if journal.name not in self._marks:
                self._marks[journal.name] = self._tally.register(journal.name)
            try:
                progress |= self._catch_up(journal, alive, size)
            except OSError as error:  # a journal that cannot be read holds no other one up
                log.error("cannot read %s: %s", journal.name, error)  # noqa: TRY400 - one line
        self._look()
        return progress

    def _catch_up(self, journal: HeldJournal, alive: bool, size: int) -> bool:
        """One batch for every group of buckets that stand at the same place; whether any moved."""
        marks = self._marks[journal.name]
        groups: dict[Mark, list[str]] = defaultdict(list)
        for bucket, mark in marks.items():
            groups[mark].append(bucket)
        before = dict(marks)
        for mark, group in sorted(groups.items()):
            if mark.offset < journal.start:
                self._skip_lost(journal, group, mark)
                continue
            began = time.monotonic()
            batch = journal.read(mark.offset, alive, max(size, mark.end - mark.offset))
            for buckets in apart(group) if batch.end != mark.offset else ():
                self._work_off(journal, buckets, mark, batch)
            self._pace.took(batch.end - mark.offset, time.monotonic() - began)
        return marks != before

    def _work_off(self, journal: HeldJournal, buckets: list[str], mark: Mark, batch: Batch) -> None:
        """Apply a batch, piece by piece, to the buckets that stand at `mark` and follow."""
        marks = self._marks[journal.name]
        if mark.end:  # somebody did not finish
            pieces = iter([self._pieces.begun(batch, buckets, mark)])
        else:
            pieces = self._pieces.cut(batch, buckets)
        for piece, increments in pieces:
            for bucket in buckets:
                if marks[bucket] == mark:
                    self._apply(journal, bucket, piece, increments)
            mark = Mark(piece.end)

    def _apply(
        self, journal: HeldJournal, bucket: str, piece: Batch, increments: Increments
    ) -> None:
        """Apply a piece to a bucket, part by part."""
        marks = self._marks[journal.name]
        while True:
            mark = marks[bucket]
            applied = self._tally.apply(journal.name, bucket, mark, piece.end, increments)
            marks[bucket] = applied.mark
            self.status.refused += applied.refused
            if applied.failure:
                if self._aside.has_failed_often(journal.name, bucket, mark, applied.failure):
                    self._step_over(journal, bucket, piece, increments)
                return
            self._aside.has_worked(journal.name, bucket, mark)
            if applied.mark == Mark(piece.end):
                break
            if not (applied.mark.end == piece.end and applied.mark > mark):
                return  # it stood elsewhere, and nothing has changed
        if bucket == SITE_BUCKET:  # every click counts there
            self._highest = max(self._highest, increments.highest)
            self._note(journal, mark, piece)

    def _note(self, journal: HeldJournal, mark: Mark, piece: Batch) -> None:
        """A piece is counted."""
        self.status.applied += len(piece.clicks)
        self._pulse.note(piece.clicks)
        if piece.damaged:
            self.status.damaged += len(piece.damaged)
            self._aside.damage(journal.name, mark, piece.damaged)

    def _step_over(
        self, journal: HeldJournal, bucket: str, piece: Batch, increments: Increments
    ) -> None:
        """Set aside what a part of a piece has for a bucket, and go on behind it."""
        mark = self._marks[journal.name][bucket]
        parts = parts_of(bucket, mark, increments)
        clicks = increments.concerning(piece.clicks, bucket, mark.done, parts)
        self._aside.clicks(journal.name, bucket, mark, clicks)
        skipped = self._tally.skip(journal.name, bucket, mark, mark.after(piece.end, parts))
        if not skipped.failure:
            self._marks[journal.name][bucket] = skipped.mark
            self.status.set_aside += len(clicks)
            self._aside.has_worked(journal.name, bucket, mark)

    def _skip_lost(self, journal: HeldJournal, group: list[str], mark: Mark) -> None:
        """The store stands before the oldest byte we hold: say what is lost, and go on."""
        self._report_lost(journal, mark.offset)
        for bucket in group:
            skipped = self._tally.skip(journal.name, bucket, mark, Mark(journal.start))
            self._marks[journal.name][bucket] = skipped.mark

    def _report_lost(self, journal: HeldJournal, mark: int) -> None:
        lost = journal.lost(mark)
        if lost > self._lost.get(journal.name, 0):
            log.error("the store forgot %d clicks of %s that are not held", lost, journal.name)
            self._lost[journal.name] = lost
            self.status.lost = sum(self._lost.values())

    def compare(self) -> dict[str, dict[str, Mark]]:
        """Look whether the store still stands where we left it; answers its marks."""
        stored = self._tally.marks()
        for journal, marks in self._marks.items():
            behind = False
            for bucket, mark in marks.items():
                found = stored[bucket].get(journal)
                behind |= found is None or found < mark
                if found is not None:
                    marks[bucket] = found
            if behind:
                self.status.replayed += 1
                log.warning("the store went back in time: %s is read again", journal)
        missing = [
            journal
            for journal, marks in self._marks.items()
            if any(journal not in stored[bucket] for bucket in marks)
        ]
        for journal in missing:
            del self._marks[journal]  # the next step registers it again
        if self._highest:
            self._tally.raise_number(self._highest)
        return stored

    def tidy(self) -> None:
        """Delete segments that were applied a while ago, and what is left of finished journals."""
        stored = self.compare()
        journals = self._journals
        held = sum(segment.size for j in journals for segment in j.segments)
        for journal in journals:
            try:
                held -= self._tidy(journal, stored, held)
            except OSError as error:
                log.error("cannot tidy %s: %s", journal.name, error)  # noqa: TRY400 - one line
        self.status.dropped = sum(journal.dropped() for journal in journals)
        self._salts.tidy(self._journals, time.time())

    def _tidy(self, journal: HeldJournal, stored: dict[str, dict[str, Mark]], held: int) -> int:
        """Delete what may go of one journal; `held` bytes lie there in all.  How many went."""
        now, gone = time.monotonic(), 0
        applied = min(self._marks.get(journal.name, {"": Mark(0)}).values()).offset
        alive = journal.alive()
        for segment in journal.segments[:-1] if alive else list(journal.segments):
            if segment.end > applied:
                self._applied_at.pop(segment.path, None)  # a replay begins the wait anew
                continue
            since = self._applied_at.setdefault(segment.path, now)
            if segment is journal.segments[0] and (
                now - since >= HOLD or held - gone >= self._limit // 2
            ):
                gone += segment.size
                journal.delete(segment)
                self._applied_at.pop(segment.path, None)
        if not journal.segments and not alive:
            marks = [marks[journal.name] for marks in stored.values() if journal.name in marks]
            self._report_lost(journal, min(marks, default=Mark(1 << 62)).offset)
            self._forget(journal)
        return gone

    def _forget(self, journal: HeldJournal) -> None:
        """First the marks, then the files: files without marks are looked at again, that is all."""
        if not journal.manifest() or time.time() - journal.last_change > HOLD_TRACES:
            self._tally.forget(journal.name)
            self._marks.pop(journal.name, None)
            journal.forget()

    def run(self, stop: Flag) -> None:
        """Work until `stop` is set; a store that is away is waited for."""
        compared = tidied = 0.0
        size = self._pace.batch
        while not stop.is_set():
            try:
                is_stuck = size > 0 and not self.step(size)
                if time.monotonic() - compared >= COMPARE:
                    self.compare()
                    self._pulse.beat()
                    compared = time.monotonic()
                if time.monotonic() - tidied >= 10 * COMPARE:
                    self.tidy()
                    tidied = time.monotonic()
                self.status.store = True
            except connections.StoreError as error:
                is_stuck = True
                if self.status.store:
                    log.warning("the store is away, clicks wait in the journals: %s", error)
                self.status.store = False
                self._marks.clear()  # what was applied is the store's to say
                self._salts.forget()
            self._report()
            size = self._pace.rest(stop, (lambda: 0) if is_stuck else self._look)

    def _look(self) -> int:
        """Bytes that wait; a finished segment, to which nobody adds, is worth a full batch."""
        journals = [journal for journal in self._journals if journal.segments]
        waiting = [self._waiting(journal) for journal in journals]
        behind = any(w > j.segments[-1].size for w, j in zip(waiting, journals, strict=True))
        self.status.lag = sum(waiting)
        return max(self.status.lag, self._pace.batch if behind else 0)

    def _waiting(self, journal: HeldJournal) -> int:
        """Bytes of a journal that are not counted, as far as we know."""
        marks = self._marks.get(journal.name)
        if not marks or not journal.segments:
            return 0
        return journal.segments[-1].end - min(marks.values()).offset

    def finish(self) -> None:
        """Apply what is there, before a stop in order, as far as that goes in a few seconds."""
        deadline = time.monotonic() + FINISH
        try:
            self.compare()
            while self.step(self._pace.batch) and time.monotonic() < deadline:
                pass
        except connections.StoreError as error:
            log.warning("stopped before everything was applied; it will be: %s", error)
        self._report(always=True)

    def _report(self, always: bool = False) -> None:
        """Rewrite the status file, once a second."""
        if not always and time.monotonic() - self._reported < COMPARE:
            return
        self._reported, self.status.at = time.monotonic(), time.time()
        try:
            write_status(self._data_dir, self.status)
        except OSError as error:
            log.warning("cannot write the status: %s", error)
