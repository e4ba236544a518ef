"""Clicks by label over whole days of the site.

Whole months are read as such.  Of others the days are read that lie within the range, or those that
do not and are taken off the month: whichever are fewer, so that the running month costs nothing.
Days have numbers instead of labels; the month, which has all of its days' labels, says whose.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from shortener import keys
from shortener.statistics.cells import (
    DAYS_A_STRETCH,
    days,
    label_number,
    month_number,
    months,
    next_month,
    stretch_of,
)
from shortener.statistics.horizon import Horizon
from shortener.statistics.reading import Hashes, Reading, integers
from shortener.statistics.visits import Dimension


class _Month(NamedTuple):
    """A month, and days of it to be counted (`sign` 1) or taken off its sum (-1)."""

    key: str
    sign: int
    stretches: dict[str, frozenset[int]]  # hash -> places of days in it


class Labels:
    """Labels of a subject from the day `first` to the one before `end`."""

    def __init__(self, first: date, end: date, horizon: Horizon, bucket: str, subject: str) -> None:
        self._horizon, self._bucket, self._subject = horizon, bucket, subject
        last = end - timedelta(days=1)
        self._months = [self._month(month, first, last) for month in months(first, last)]

    def want(self, reading: Reading) -> None:
        """Say what counts are made of."""
        for month in self._months:
            for key in (month.key, *month.stretches):
                reading.whole(key)

    def _month(self, month: date, first: date, last: date) -> _Month:
        every = list(days(month, next_month(month) - timedelta(days=1)))
        inside = [day for day in every if first <= day <= last]
        outside = [day for day in every if not first <= day <= last]
        key = keys.months(self._bucket, self._subject, month_number(month))
        if self._cost(outside) <= self._cost(inside):
            return _Month(key, -1, self._stretches(outside))
        return _Month(key, 1, self._stretches(inside))

    def _cost(self, some: Iterable[date]) -> int:
        """How many days have to be read, more than any number if one is not kept."""
        return sum(
            1_000 if day < self._horizon.labels else day <= self._horizon.today for day in some
        )

    def _stretches(self, some: Iterable[date]) -> dict[str, frozenset[int]]:
        places: dict[str, set[int]] = defaultdict(set)
        for day in some:
            stretch, place = stretch_of(day)
            month = month_number(day)
            places[keys.labels(self._bucket, self._subject, month, stretch)].add(place)
        return {key: frozenset(found) for key, found in places.items()}

    def count(
        self, hashes: Hashes, clicks: int, dimensions: Iterable[Dimension]
    ) -> dict[str, list[tuple[str | None, int]]]:
        """By dimension its labels, those with most clicks first; None is *other*.

        The clicks of each add up to `clicks`, which are those of the whole range: what has no other
        label lacks one.
        """
        found: dict[bytes, dict[bytes, int]] = {d.letter.encode(): {} for d in dimensions}
        for month in self._months:
            if hashes[month.key]:
                self._add(found, month, hashes)
        return {d.name: _ranked(d, found[d.letter.encode()], clicks) for d in dimensions}

    def _add(self, found: dict[bytes, dict[bytes, int]], month: _Month, hashes: Hashes) -> None:
        of_days: dict[int, int] = {}
        for key, places in month.stretches.items():
            fields, counts = integers(hashes[key]), integers(hashes[key].values())
            for field, count in zip(fields, counts, strict=True):
                if field % DAYS_A_STRETCH in places:
                    number = field // DAYS_A_STRETCH
                    of_days[number] = of_days.get(number, 0) + count
        for label, clicks in hashes[month.key].items():
            of_dimension = found.get(label[:1])
            if of_dimension is not None:
                counted = of_days.get(label_number(label), 0) if of_days else 0
                if month.sign < 0:
                    counted = int(clicks) - counted
                if counted:
                    of_dimension[label] = of_dimension.get(label, 0) + counted


def _ranked(
    dimension: Dimension, found: dict[bytes, int], clicks: int
) -> list[tuple[str | None, int]]:
    other = found.pop(dimension.letter.encode(), 0)
    labels: list[tuple[str | None, int]] = [
        (label[1:].decode("utf-8", "replace"), count) for label, count in found.items()
    ]
    missing = clicks - other - sum(count for _, count in labels)
    if missing > 0:
        labels.append((dimension.missing, missing))
    labels.sort(key=lambda entry: (-entry[1], entry[0] or ""))
    return [*labels, (None, other)] if other else labels
