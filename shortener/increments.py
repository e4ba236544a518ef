"""Increments: what a stretch of a journal adds to the store, by bucket and subject.

A subject is the link, each tag it carries, and the site; a visit to an unknown code counts for the
orphans alone.  Clicks are summed up by subject and quarter of an hour, their labels by subject and
day, and the keys are spelled once for all clicks that share them.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache

import msgspec

from shortener import keys
from shortener.cells import DAYS_A_STRETCH, QUARTER, Cells, Day, label_number
from shortener.journal import Click
from shortener.visits import Visit, Visits

MILLISECONDS_A_QUARTER = QUARTER * 1000
EMPTY = msgspec.msgpack.encode([])  # packed: nothing is added

_Target = tuple[str, int]  # a link's name and number, or the name of another subject and 0
_SITE: _Target = (keys.SITE_SUBJECT, 0)
_ORPHANS: _Target = (keys.ORPHANS_SUBJECT, 0)
_pack = msgspec.msgpack.Encoder().encode

Hash = Callable[[int, str], int | None]  # of a visitor, on a date such as 20261125


class _Quarter:
    """A quarter of an hour of one subject."""

    __slots__ = ("bots", "people", "public", "visitors")

    def __init__(self) -> None:
        self.people = self.bots = self.public = 0
        self.visitors: set[int] = set()


class _Subject:
    """What one subject gets.  `unused` clicks took no use of `max_clicks` when answered."""

    __slots__ = ("labels", "last", "quarters", "unused")

    def __init__(self) -> None:
        self.last = self.unused = 0
        self.quarters: dict[int, _Quarter] = {}
        self.labels: dict[int, dict[str, int]] = {}  # by the day's date


class Increments:
    """The increments of clicks."""

    def __init__(
        self,
        clicks: Sequence[Click],
        visits: Sequence[Visit],
        cells: Cells,
        visitor: Hash,
        buckets: Collection[str],
    ) -> None:
        self._cells = cells
        subjects: dict[_Target, _Subject] = {}
        for click, visit in zip(clicks, visits, strict=True):
            quarter = click.at // MILLISECONDS_A_QUARTER
            date = cells.day(quarter).date
            who = visitor(date, visit.visitor) if visit.visitor else None
            for target in _targets(click):
                if keys.bucket(target[0]) not in buckets:
                    continue
                subject = subjects.get(target)
                if subject is None:
                    subject = subjects[target] = _Subject()
                _count(subject, click, visit, quarter, date, who)
        self._groups: dict[str, list[list[object]]] = defaultdict(list)
        self._costs: dict[str, int] = defaultdict(int)
        for target, subject in subjects.items():
            bucket = keys.bucket(target[0])
            self._groups[bucket].append(self._group(bucket, target, subject))
            self._costs[bucket] += _cost(subject)

    @property
    def largest(self) -> int:
        """Increments in the fullest bucket."""
        return max(self._costs.values(), default=0)

    def packed(self, bucket: str) -> bytes:
        """The groups of a bucket as `tally.APPLY` takes them."""
        return _pack(self._groups.get(bucket, []))

    def _group(self, bucket: str, target: _Target, subject: _Subject) -> list[object]:
        name, number = target
        key = str(number) if number else name
        days: dict[int, list[list[object]]] = {}
        dates: dict[int, Day] = {}
        for number_of, quarter in sorted(subject.quarters.items()):
            day = self._cells.day(number_of)
            cell = self._cells.quarter(number_of)
            dates[day.date] = day
            days.setdefault(day.date, []).append(
                [
                    keys.quarters(bucket, key, cell.period),
                    cell.expires,
                    cell.field,
                    quarter.people,
                    quarter.bots,
                    quarter.public,
                    list(quarter.visitors),
                ]
            )
        return [
            name,
            number,
            keys.totals(bucket, key),
            subject.last,
            keys.uses(bucket, number),
            subject.unused,
            [
                [
                    keys.days(bucket, key, day.cell.period),
                    day.cell.expires,
                    day.cell.field,
                    day.month_field,
                    keys.visitors(bucket, key, day.date),
                    keys.visited(bucket, day.date),
                    day.visitors_expire,
                    key,
                    days[day.date],
                    keys.months(bucket, key, day.month),
                    keys.labels(bucket, key, day.month, day.stretch),
                    day.labels_expire,
                    day.place,
                    *_labels(subject.labels.get(day.date, {}), day.place),
                ]
                for day in dates.values()
            ],
        ]


class Sums:
    """Makes increments: with `cells`, by what `visits` read, visitors hashed by `visitor`."""

    def __init__(self, cells: Cells, visits: Visits, visitor: Hash) -> None:
        self._cells, self._visits, self._visitor = cells, visits, visitor

    def read(self, clicks: Sequence[Click]) -> list[Visit]:
        """What is counted of each click."""
        return [self._visits.of(click) for click in clicks]

    def of(
        self, clicks: Sequence[Click], visits: Sequence[Visit], buckets: Collection[str]
    ) -> Increments:
        """What these clicks, read already, add in some buckets."""
        return Increments(clicks, visits, self._cells, self._visitor, buckets)


def _targets(click: Click) -> list[_Target]:
    if not click.number:
        return [_ORPHANS]
    tags = [(keys.tag_subject(tag), 0) for tag in click.tags]
    return [(click.name, click.number), _SITE, *tags]


def _count(
    subject: _Subject, click: Click, visit: Visit, quarter: int, date: int, who: int | None
) -> None:
    """One more click."""
    count = subject.quarters.get(quarter)
    if count is None:
        count = subject.quarters[quarter] = _Quarter()
    subject.unused += not click.used
    if visit.is_bot:
        count.bots += 1
        return
    count.people += 1
    if click.at > subject.last:
        subject.last = click.at
    if who is not None:
        count.public += 1
        count.visitors.add(who)
    labels = subject.labels.get(date)
    if labels is None:
        labels = subject.labels[date] = {}
    for label in visit.labels:
        labels[label] = labels.get(label, 0) + 1


@lru_cache(maxsize=20_000)
def _number(label: str) -> int:
    return label_number(label.encode())


def _labels(labels: dict[str, int], place: int) -> tuple[list[str], list[int], list[int]]:
    """Labels, their fields in the hash of the day, and their clicks."""
    names = list(labels)
    fields = [_number(name) * DAYS_A_STRETCH + place for name in names]
    return names, fields, list(labels.values())


def _cost(subject: _Subject) -> int:
    """What a subject costs the script, in increments."""
    return (
        4
        + sum(4 + len(quarter.visitors) for quarter in subject.quarters.values())
        + sum(6 + 2 * len(labels) for labels in subject.labels.values())
    )
