"""Increments: what a stretch of a journal adds to the store, by bucket and subject.

Clicks are put together by subject and quarter of an hour, and counted there all at once; the keys
are spelled once for all clicks that share them.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, compress
from operator import not_

import msgspec

from shortener import keys
from shortener.counting import marks
from shortener.counting.columns import Columns, Target, Targets, targets_of
from shortener.journal import Click
from shortener.statistics.cells import DAYS_A_STRETCH, Cells, Day, label_number
from shortener.statistics.visits import LabelSet

REMEMBERED = 20_000  # numbers of labels
EMPTY = msgspec.msgpack.encode([])  # packed: nothing is added

_Group = list[object]  # what the script takes for a subject
_pack = msgspec.msgpack.Encoder().encode


class Increments:
    """The increments of clicks, for some buckets.

    `largest` is what the largest subject costs; `highest` is the highest number of a link that was
    clicked, whatever its bucket.
    """

    def __init__(self, clicks: Columns, cells: Cells, buckets: Collection[str]) -> None:
        self._cells = cells
        alike: dict[Targets, list[int]] = {}
        for place, targets in enumerate(clicks.targets):
            found = alike.get(targets)
            if found is None:
                alike[targets] = [place]
            else:
                found.append(place)
        links = [number for targets in alike for _, number, _ in targets.all]
        self.highest = max(links, default=0)
        subjects: dict[Target, list[list[int]]] = {}
        for targets, places in alike.items():
            for target in targets.all:
                if target[2] in buckets:
                    subjects.setdefault(target, []).append(places)
        self._groups: dict[str, list[tuple[str, _Group]]] = defaultdict(list)
        self._costs: dict[str, list[int]] = defaultdict(list)
        self._sorted: tuple[str, int, list[list[_Group]]] = "", 0, []  # by part, of one bucket
        self.largest = 0
        for target, parts in subjects.items():
            places = parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))
            group, cost = self._group(target, clicks.at_places(places).by_quarter())
            self._groups[target[2]].append((target[0], group))
            self._costs[target[2]].append(cost)
            self.largest = max(self.largest, cost)

    def parts(self, bucket: str, fitting: int) -> int:
        """In how many parts the groups of a bucket are to be cut, of which each costs about so
        much; what a subject costs cannot be cut."""
        costs = self._costs.get(bucket, [])
        return round(sum(costs) / max(fitting, *costs, 1)) or 1

    def packed(self, bucket: str, part: int, parts: int) -> bytes:
        """The groups in a part of a bucket as `tally.APPLY` takes them."""
        if self._sorted[:2] != (bucket, parts):  # parts are asked for one after the other
            sorted_ = [list[_Group]() for _ in range(parts)]
            for name, group in self._groups.get(bucket, []):
                sorted_[marks.part_of(name, parts)].append(group)
            self._sorted = bucket, parts, sorted_
        return _pack(self._sorted[2][part])

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
                for name, _, in_bucket in targets_of(click.number, click.name, click.tags)
            )
        ]

    def _group(self, target: Target, quarters: Iterable[tuple[int, Columns]]) -> tuple[_Group, int]:
        """What the script takes for a subject, and what that costs it, in increments."""
        name, number, bucket = target
        key = str(number) if number else name
        last = unused = 0
        days: dict[int, tuple[Day, list[_Group], Counter[LabelSet]]] = {}
        cost = 12
        for quarter, clicks in quarters:
            bots = sum(clicks.are_bots)
            public = len(clicks.visitors) - clicks.visitors.count(None)
            visitors = set(clicks.visitors)
            visitors.discard(None)
            cell = self._cells.quarter(quarter)
            day = self._cells.day(quarter)
            _, counted, sources = days.setdefault(day.date, (day, [], Counter()))
            sources.update(chain.from_iterable(clicks.labels))
            counted.append(
                [
                    keys.quarters(bucket, key, cell.period),
                    cell.expires,
                    cell.field,
                    len(clicks.at) - bots,
                    bots,
                    public,
                    list(visitors),
                ]
            )
            cost += 6 + len(visitors) // 2
            of_people = compress(clicks.at, map(not_, clicks.are_bots)) if bots else clicks.at
            last = max(last, max(of_people, default=0))
            unused += clicks.used.count(False)
        packed: list[_Group] = []
        for day, counted, sources in days.values():
            labels: dict[str, int] = {}
            for source, count in sources.items():
                for label in source.all:
                    labels[label] = labels.get(label, 0) + count
            cost += 10 + 3 * len(labels)
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
                    list(labels),
                    [n * DAYS_A_STRETCH + day.place for n in map(_numbers.__getitem__, labels)],
                    list(labels.values()),
                ]
            )
        totals, uses = keys.totals(bucket, key), keys.uses(bucket, number)
        return [name, number, totals, last, uses, unused, packed], cost


class _Numbers(dict[str, int]):
    """The numbers of labels, remembered."""

    def __missing__(self, label: str) -> int:
        if len(self) >= REMEMBERED:
            self.clear()
        number = self[label] = label_number(label.encode())
        return number


_numbers = _Numbers()
