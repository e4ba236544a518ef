"""Pieces: the clicks of a batch, cut so that no subject gets more in a piece than a script may add.

How many clicks fit changes slowly, so the last size is where the next try begins.  The bucket of
the site has most to do, as every click counts there: it goes in pieces of its own, smaller ones,
and the others in larger ones, where clicks on one link share their steps.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence

from shortener import keys
from shortener.counting.columns import Columns, Reader
from shortener.counting.increments import Increments
from shortener.counting.marks import Mark
from shortener.counting.tally import MAX_INCREMENTS
from shortener.journal import Click
from shortener.segments import Batch
from shortener.statistics.cells import Cells

MAX_CLICKS = 60_000  # of a piece
SITE_BUCKET = keys.bucket(keys.SITE_SUBJECT)


def apart(buckets: Iterable[str]) -> list[list[str]]:
    """Buckets whose pieces are cut together.  The site's comes last: whoever sees a click in the
    totals of the site sees it everywhere."""
    parts = [[b for b in buckets if (b == SITE_BUCKET) is alone] for alone in (False, True)]
    return [part for part in parts if part]


class Pieces:
    """Cuts batches."""

    def __init__(self, reader: Reader, cells: Cells) -> None:
        self._reader, self._cells = reader, cells
        self._sizes = {True: 100, False: 1_000}  # that are likely to fit; True: for the site
        self._read: tuple[list[Click], Columns] | None = None  # the last batch is cut twice

    def cut(self, batch: Batch, buckets: Collection[str]) -> Iterator[tuple[Batch, Increments]]:
        """The pieces of a batch in order, each with its increments for these buckets.

        What is damaged goes with the last.
        """
        read, done, total = self._of(batch), 0, len(batch.clicks)
        is_site = SITE_BUCKET in buckets
        while True:
            end = _between_records(batch.ends, done, min(total, done + self._sizes[is_site]))
            clicks = batch.clicks[done:end]
            increments = Increments(read.between(done, end), self._cells, buckets)
            self._sizes[is_site] = _next(self._sizes[is_site], len(clicks), increments.largest)
            is_one = batch.ends[done] == batch.ends[end - 1] if clicks else True
            if increments.largest > MAX_INCREMENTS and not is_one:
                continue
            if end == total:
                yield batch._replace(clicks=clicks, ends=batch.ends[done:]), increments
                return
            yield Batch(clicks, batch.ends[done:end], batch.ends[end - 1], b""), increments
            done = end

    def begun(self, batch: Batch, buckets: Collection[str], mark: Mark) -> tuple[Batch, Increments]:
        """The stretch that some buckets have begun, from the batch that has it at its front."""
        clicks = [c for c, end in zip(batch.clicks, batch.ends, strict=True) if end <= mark.end]
        damaged = batch.damaged if batch.end == mark.end else b""
        piece = Batch(clicks, batch.ends[: len(clicks)], mark.end, damaged)
        columns = self._of(batch).between(0, len(clicks))
        return piece, Increments(columns, self._cells, buckets)

    def _of(self, batch: Batch) -> Columns:
        if self._read is None or self._read[0] is not batch.clicks:
            self._read = batch.clicks, self._reader.read(batch.clicks)
        return self._read[1]


def _between_records(ends: Sequence[int], first: int, place: int) -> int:
    """Where clicks may be cut that begin at `first`: at `place`, or where the record in which that
    lies begins; where it ends, when it is the first."""
    if place in (first, len(ends)) or ends[place - 1] != ends[place]:
        return place
    begin = bisect_left(ends, ends[place], first, place)
    return begin if begin > first else bisect_right(ends, ends[place], place)


def _next(size: int, clicks: int, cost: int) -> int:
    """How many clicks are likely to fit, when so many cost so many increments; the last time `size`
    were.  A batch's last piece is smaller: that says nothing against the size."""
    fitting = clicks * MAX_INCREMENTS * 9 // (max(1, cost) * 10)
    likely = max(1, min(fitting, 2 * clicks + 100, MAX_CLICKS))
    return likely if clicks >= size or cost > MAX_INCREMENTS else max(size, likely)
