"""A series: counts between moments that the cells tell apart, summed up from what was read.

Days are used wherever a whole one lies between two moments, months where days are not kept any
more, quarters of an hour for the days that a moment cuts.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
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

Hashes = Mapping[str, Mapping[bytes, bytes]]


class Counts(NamedTuple):
    """Clicks of people, their daily visitors, and clicks of bots."""

    clicks: int
    visitors: int
    bots: int


class Series:
    """Counts of a subject between each two of `bounds`, which are in order and told by `horizon`.

    `keys` are the hashes that they are made of.
    """

    def __init__(
        self, bounds: Sequence[datetime], horizon: Horizon, bucket: str, subject: str
    ) -> None:
        self._bounds, self._horizon = bounds, horizon
        self._bucket, self._subject = bucket, subject
        self.start, self.end = bounds[0], bounds[-1]
        first, last = horizon.day(self.start), horizon.day(self.end - timedelta(microseconds=1))
        self._months = [m for m in months(first, last) if m < horizon.days]
        cut = {horizon.day(at) for at in bounds if not horizon.is_midnight(at)}
        whole = days(max(first, horizon.days), last)
        self._days = [day for day in whole if day not in cut]
        self._slots = self._quarters(sorted(cut))
        weeks = {quarter // QUARTERS_A_WEEK for quarter in self._slots}
        self._weeks = {week: keys.quarters(bucket, subject, week) for week in weeks}
        years = {day.year for day in self._days}
        self._years = {year: keys.days(bucket, subject, year) for year in years}
        self._totals = keys.totals(bucket, subject)
        totals = [self._totals] if self._months else []
        self.keys = [*self._weeks.values(), *self._years.values(), *totals]

    def _quarters(self, cut: Sequence[date]) -> dict[int, int]:
        """Where the quarters of days that are cut belong: quarter -> interval."""
        slots: dict[int, int] = {}
        for day in cut:
            start = max(self._horizon.midnight(day), self.start)
            end = min(self._horizon.midnight(day + timedelta(days=1)), self.end)
            place = self._place(start)
            for quarter in range(_quarter(start), _quarter(end)):
                while place + 2 < len(self._bounds) and quarter >= _quarter(
                    self._bounds[place + 1]
                ):
                    place += 1
                slots[quarter] = place
        return slots

    def _place(self, at: datetime) -> int:
        return bisect_right(self._bounds, at) - 1

    def sums(self, hashes: Hashes) -> list[Counts]:
        """Counts of each interval."""
        sums = [[0] * KINDS for _ in self._bounds[1:]]
        for week, name in self._weeks.items():
            first, found = week * QUARTERS_A_WEEK, hashes[name]
            for field, count in zip(map(int, found), map(int, found.values()), strict=True):
                place = self._slots.get(first + field // KINDS)
                if place is not None:
                    sums[place][field % KINDS] += count
        for day in self._days:
            place = self._place(self._horizon.midnight(day))
            _add(sums[place], hashes[self._years[day.year]], day_field(day))
        for month in self._months:
            place = self._place(self._horizon.midnight(month))
            _add(sums[place], hashes[self._totals], month_field(month))
        return [Counts(s[PEOPLE], max(0, s[PEOPLE] - s[REPEATS]), s[BOTS]) for s in sums]


def _add(sums: list[int], found: Mapping[bytes, bytes], field: int) -> None:
    if not found:
        return
    for kind in (PEOPLE, BOTS, REPEATS):
        count = found.get(b"%d" % (field + kind))
        if count is not None:
            sums[kind] += int(count)


def _quarter(at: datetime) -> int:
    return int(at.timestamp()) // QUARTER
