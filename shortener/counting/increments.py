"""Increments: what a stretch of a journal adds to the store, by bucket and subject.

A subject is the link, each tag it carries, and the site; a visit to an unknown code counts for the
orphans alone.  Clicks are read once, put together by subject and quarter of an hour, and counted
there all at once; the keys are spelled once for all clicks that share them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from itertools import chain

import msgspec

from shortener import keys
from shortener.counting import marks
from shortener.journal import Click
from shortener.statistics.cells import DAYS_A_STRETCH, QUARTER, Cells, Day, label_number
from shortener.statistics.visits import Visits

MILLISECONDS_A_QUARTER = QUARTER * 1000
REMEMBERED = 100_000  # targets of clicks
EMPTY = msgspec.msgpack.encode([])  # packed: nothing is added

_Target = tuple[str, int, str]  # a link's name and number, or another subject and 0; the bucket
_Counted = tuple[int, str, tuple[str, ...]]  # a link's number, name and tags
_Group = list[object]  # what the script takes for a subject
_pack = msgspec.msgpack.Encoder().encode

Hash = Callable[[int, str], int | None]  # of a visitor, on a date such as 20261125


class Read(msgspec.Struct, gc=False):
    """A click, read: for whom it counts, and as what."""

    targets: tuple[_Target, ...]
    at: int  # milliseconds since 1970
    quarter: int  # since 1970
    used: bool  # has taken one of the link's max_clicks
    is_bot: bool
    labels: tuple[tuple[str, ...], ...]
    visitor: int | None


class Increments:
    """The increments of clicks, for some buckets.  `largest` is what the largest subject costs."""

    def __init__(self, clicks: Sequence[Read], cells: Cells, buckets: Collection[str]) -> None:
        self._cells = cells
        subjects: dict[_Target, dict[int, list[Read]]] = {}
        for click in clicks:
            for target in click.targets:
                if target[2] in buckets:
                    quarters = subjects.get(target)
                    if quarters is None:
                        quarters = subjects[target] = {}
                    found = quarters.get(click.quarter)
                    if found is None:
                        quarters[click.quarter] = [click]
                    else:
                        found.append(click)
        self._groups: dict[str, list[tuple[str, _Group]]] = defaultdict(list)
        self._costs: dict[str, int] = defaultdict(int)
        self.largest = 0
        for target, quarters in subjects.items():
            group, cost = self._group(target, quarters)
            self._groups[target[2]].append((target[0], group))
            self._costs[target[2]] += cost
            self.largest = max(self.largest, cost)

    def parts(self, bucket: str, fitting: int) -> int:
        """In how many parts the groups of a bucket are to be cut, of which each costs so much."""
        return -(-self._costs.get(bucket, 0) // fitting) or 1

    def packed(self, bucket: str, part: int, parts: int) -> bytes:
        """The groups in a part of a bucket as `tally.APPLY` takes them."""
        groups = self._groups.get(bucket, [])
        return _pack([g for name, g in groups if parts == 1 or marks.part_of(name, parts) == part])

    def concerning(
        self, clicks: Sequence[Click], bucket: str, part: int, parts: int
    ) -> list[Click]:
        """Those of some clicks that count in a part of a bucket."""
        here = {(name, bucket) for name, _ in self._groups.get(bucket, [])}
        here = {(name, b) for name, b in here if marks.part_of(name, parts) == part}
        return [
            click
            for click in clicks
            if any(
                (name, in_bucket) in here
                for name, _, in_bucket in _targets(click.number, click.name, click.tags)
            )
        ]

    def _group(self, target: _Target, quarters: dict[int, list[Read]]) -> tuple[_Group, int]:
        """What the script takes for a subject, and what that costs it, in increments."""
        name, number, bucket = target
        key = str(number) if number else name
        last = unused = 0
        days: dict[int, tuple[Day, list[_Group], list[tuple[str, ...]]]] = {}
        cost = 12
        for quarter, clicks in sorted(quarters.items()):
            people = [click for click in clicks if not click.is_bot]
            public = [click.visitor for click in people if click.visitor is not None]
            visitors = set(public)
            cell = self._cells.quarter(quarter)
            day = self._cells.day(quarter)
            _, counted, labels = days.setdefault(day.date, (day, [], []))
            labels += chain.from_iterable([click.labels for click in people])
            counted.append(
                [
                    keys.quarters(bucket, key, cell.period),
                    cell.expires,
                    cell.field,
                    len(people),
                    len(clicks) - len(people),
                    len(public),
                    list(visitors),
                ]
            )
            cost += 6 + len(visitors) // 2
            last = max([last, *[click.at for click in people]])
            unused += [click.used for click in clicks].count(False)
        packed: list[_Group] = []
        for day, counted, labels in days.values():
            counts = Counter(chain.from_iterable(labels))
            cost += 10 + 3 * len(counts)
            packed.append(
                [
                    keys.days(bucket, key, day.cell.period),
                    day.cell.expires,
                    day.cell.field,
                    day.month_field,
                    keys.visitors(bucket, key, day.date),
                    keys.visited(bucket, day.date),
                    day.visitors_expire,
                    key,
                    counted,
                    keys.months(bucket, key, day.month),
                    keys.labels(bucket, key, day.month, day.stretch),
                    day.labels_expire,
                    day.place,
                    list(counts),
                    [_number(label) * DAYS_A_STRETCH + day.place for label in counts],
                    list(counts.values()),
                ]
            )
        totals, uses = keys.totals(bucket, key), keys.uses(bucket, number)
        return [name, number, totals, last, uses, unused, packed], cost


class Sums:
    """Makes increments: with `cells`, by what `visits` read, visitors hashed by `visitor`."""

    def __init__(self, cells: Cells, visits: Visits, visitor: Hash) -> None:
        self._cells, self._visits, self._visitor = cells, visits, visitor
        self._targets: dict[_Counted, tuple[_Target, ...]] = {}

    def read(self, clicks: Sequence[Click]) -> list[Read]:
        """What is counted of each click, and for whom."""
        read: list[Read] = []
        for click, visit in zip(clicks, self._visits.of(clicks), strict=True):
            quarter = click.at // MILLISECONDS_A_QUARTER
            visitor = None
            if visit.visitor:
                visitor = self._visitor(self._cells.day(quarter).date, visit.visitor)
            known = click.number, click.name, click.tags
            targets = self._targets.get(known) or self._find(known)
            read.append(
                Read(targets, click.at, quarter, click.used, visit.is_bot, visit.labels, visitor)
            )
        return read

    def of(self, clicks: Sequence[Read], buckets: Collection[str]) -> Increments:
        """What these clicks add in some buckets."""
        return Increments(clicks, self._cells, buckets)

    def _find(self, known: _Counted) -> tuple[_Target, ...]:
        if len(self._targets) >= REMEMBERED:
            self._targets.clear()
        targets = self._targets[known] = _targets(*known)
        return targets


def _targets(number: int, name: str, tags: tuple[str, ...]) -> tuple[_Target, ...]:
    """For whom a click on a link counts; 0 is the number of none."""
    if not number:
        return (_subject(keys.ORPHANS_SUBJECT),)
    link = name, number, keys.bucket(name)
    return link, _subject(keys.SITE_SUBJECT), *(_subject(keys.tag_subject(tag)) for tag in tags)


def _subject(name: str) -> _Target:
    return name, 0, keys.bucket(name)


@lru_cache(maxsize=20_000)
def _number(label: str) -> int:
    return label_number(label.encode())
