"""A series: counts between moments that the cells tell apart, summed up from what was read.

Days are used wherever a whole one lies between two moments, months where days are not kept any
more, quarters of an hour for the days that a moment cuts.  The largest piece of such a day is what
the others leave of it: so days of another zone take the hours between the two zones, not all.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from shortener import keys
from shortener.statistics.cells import (
    BOTS,
    KINDS,
    PEOPLE,
    QUARTER,
    QUARTERS_A_WEEK,
    REPEATS,
    day_field,
    days,
    month_field,
    months,
)
from shortener.statistics.horizon import Horizon
from shortener.statistics.reading import Hashes, Reading, integers

_FIELDS_A_WEEK = QUARTERS_A_WEEK * KINDS


class Counts(NamedTuple):
    """Clicks of people, their daily visitors, and clicks of bots."""

    clicks: int
    visitors: int
    bots: int


class _Piece(NamedTuple):
    """Quarters of an hour that lie in one interval, the last one excluded; `rest` is the interval
    that has them taken off again, as all of their day was added there, or none."""

    first: int
    end: int
    interval: int
    rest: int | None = None

    @property
    def fields(self) -> range:
        """Numbers of the cells of people, since 1970."""
        return range(self.first * KINDS, self.end * KINDS, KINDS)

    @property
    def weeks(self) -> set[int]:
        """Those it lies in: one, or two."""
        return {self.first // QUARTERS_A_WEEK, (self.end - 1) // QUARTERS_A_WEEK}


class Series:
    """Counts of a subject between each two of `bounds`, in order and told by `horizon`."""

    def __init__(
        self, bounds: Sequence[datetime], horizon: Horizon, bucket: str, subject: str
    ) -> None:
        self._bounds, self._horizon = bounds, horizon
        self._bucket, self._subject = bucket, subject
        self.start, self.end = bounds[0], bounds[-1]
        first, last = horizon.day(self.start), horizon.day(self.end - timedelta(microseconds=1))
        cut: dict[date, list[datetime]] = {}
        for at in bounds:
            if not horizon.is_midnight(at):
                cut.setdefault(horizon.day(at), []).append(at)
        self._months = [(m, self._place(m)) for m in months(first, last) if m < horizon.days]
        self._days = [
            (day, self._place(day))
            for day in days(max(first, horizon.days), last)
            if day not in cut
        ]
        self._pieces: list[_Piece] = []
        for day, cuts in cut.items():
            self._cut(day, cuts)

    def _cut(self, day: date, cuts: Sequence[datetime]) -> None:
        """Cut a day in pieces.  The largest one is what the others leave, where that is less to
        read."""
        begins, ends = map(self._horizon.midnight, (day, day + timedelta(days=1)))
        edges = [at for at in (begins, *cuts, ends) if self.start <= at <= self.end]
        pieces = [
            _Piece(_quarter(at), _quarter(until), bisect_right(self._bounds, at) - 1)
            for at, until in pairwise(edges)
        ]
        largest = max(pieces, key=lambda piece: len(piece.fields))
        others = [piece for piece in pieces if piece is not largest]
        is_whole = self.start <= begins and ends <= self.end
        if is_whole and len(largest.fields) > sum(len(piece.fields) for piece in others):
            self._days.append((day, largest.interval))
            pieces = [piece._replace(rest=largest.interval) for piece in others]
        self._pieces += pieces

    def _place(self, day: date) -> int:
        """The interval that a day, or a month, begins in."""
        return bisect_right(self._bounds, self._horizon.midnight(day)) - 1

    def want(self, reading: Reading) -> None:
        """Say what counts are made of."""
        for piece in self._pieces:
            for week in piece.weeks:
                begins = week * _FIELDS_A_WEEK
                first = max(piece.fields.start - begins, 0)
                end = min(piece.fields.stop - begins, _FIELDS_A_WEEK)
                reading.cells(self._quarters(week), range(first, end, KINDS))
        for day, _ in self._days:
            reading.cells(self._year(day), [day_field(day)])
        for month, _ in self._months:
            reading.cells(self._totals, [month_field(month)])

    def sums(self, hashes: Hashes) -> list[Counts]:
        """Counts of each interval."""
        sums = [[0] * KINDS for _ in self._bounds[1:]]
        for day, interval in self._days:
            _add(sums[interval], hashes[self._year(day)], day_field(day))
        for month, interval in self._months:
            _add(sums[interval], hashes[self._totals], month_field(month))
        start, cells = self._cells(hashes)
        for piece in self._pieces:
            for kind in (PEOPLE, BOTS, REPEATS):
                fields = slice(piece.fields.start - start + kind, piece.fields.stop - start, KINDS)
                count = sum(cells[fields])
                sums[piece.interval][kind] += count
                if piece.rest is not None:
                    sums[piece.rest][kind] -= count
        return [Counts(s[PEOPLE], max(0, s[PEOPLE] - s[REPEATS]), s[BOTS]) for s in sums]

    def _cells(self, hashes: Hashes) -> tuple[int, list[int]]:
        """The number of the first cell of the weeks that are needed, and all from it on."""
        weeks = {week for piece in self._pieces for week in piece.weeks}
        if not weeks:
            return 0, []
        start = min(weeks) * _FIELDS_A_WEEK
        cells = [0] * ((max(weeks) + 1) * _FIELDS_A_WEEK - start)
        for week in weeks:
            found, first = hashes[self._quarters(week)], week * _FIELDS_A_WEEK - start
            for field, count in zip(integers(found), integers(found.values()), strict=True):
                cells[first + field] = count
        return start, cells

    def _quarters(self, week: int) -> str:
        return keys.quarters(self._bucket, self._subject, week)

    def _year(self, day: date) -> str:
        return keys.days(self._bucket, self._subject, day.year)

    @property
    def _totals(self) -> str:
        return keys.totals(self._bucket, self._subject)


def _add(sums: list[int], found: Mapping[bytes, bytes], field: int) -> None:
    if not found:
        return
    for kind in (PEOPLE, BOTS, REPEATS):
        count = found.get(b"%d" % (field + kind))
        if count is not None:
            sums[kind] += int(count)


def _quarter(at: datetime) -> int:
    return int(at.timestamp()) // QUARTER
