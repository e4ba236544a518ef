"""Columns: the clicks of a stretch, read: for whom each counts, and as what.

A subject is the link, each tag it carries, and the site; a visit to an unknown code counts for the
orphans alone.  There is a list for each thing that is counted, and what clicks have in common is
one object: so they are taken apart and counted by what costs little for each.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec

from shortener import keys
from shortener.journal import Click
from shortener.statistics.cells import QUARTER, Cells
from shortener.statistics.visits import LabelSet, Visits, Who

MILLISECONDS_A_QUARTER = QUARTER * 1000
REMEMBERED = 100_000  # targets of clicks
AT_ONCE = 1_000  # clicks

Target = tuple[str, int, str]  # a link's name and number, or another subject and 0; the bucket
Hash = Callable[[Sequence[int], Sequence[Who | None]], Sequence[int | None]]  # of who came on dates
_Counted = tuple[int, str, tuple[str, ...]]  # a link's number, name and tags

_COUNTED: Callable[[Click], _Counted] = attrgetter("number", "name", "tags")
_AT: Callable[[Click], int] = attrgetter("at")
_USED: Callable[[Click], bool] = attrgetter("used")


class Targets(msgspec.Struct, eq=False, gc=False):
    """For whom a click counts; clicks that count for the same share one of these."""

    all: tuple[Target, ...]


class Columns(NamedTuple):
    """Clicks, read, column by column: for whom they count, and as what."""

    targets: Sequence[Targets]
    at: Sequence[int]  # milliseconds since 1970
    quarters: Sequence[int]  # since 1970
    used: Sequence[bool]  # have taken one of the link's max_clicks
    are_bots: Sequence[bool]
    labels: Sequence[tuple[LabelSet, ...]]
    visitors: Sequence[int | None]

    def between(self, first: int, end: int) -> "Columns":
        """Those from one place to another."""
        columns: Iterable[Any] = (column[first:end] for column in self)
        return Columns(*columns)

    def at_places(self, places: Sequence[int]) -> "Columns":
        """Those at some places, of which all are different."""
        if len(places) == len(self.at):
            return self
        if len(places) == 1:
            return self.between(places[0], places[0] + 1)
        pick: Callable[[Any], Any] = itemgetter(*places)
        return Columns(*map(pick, self))

    def by_quarter(self) -> "list[tuple[int, Columns]]":
        """By quarter of an hour, in their order."""
        if len(set(self.quarters)) == 1:
            return [(self.quarters[0], self)]
        places: dict[int, list[int]] = defaultdict(list)
        for place, quarter in enumerate(self.quarters):
            places[quarter].append(place)
        return [(quarter, self.at_places(places[quarter])) for quarter in sorted(places)]


class Reader:
    """Reads clicks: their labels by `visits`, visitors hashed by `hashed`, days by `cells`."""

    def __init__(self, cells: Cells, visits: Visits, hashed: Hash) -> None:
        self._cells, self._visits, self._hashed = cells, visits, hashed
        self._targets: dict[_Counted, Targets] = {}

    def read(self, clicks: Sequence[Click]) -> Columns:
        """What is counted of each click, and for whom.

        It goes by stretches that the processor's cache holds, for each column looks at all clicks.
        """
        columns: list[list[Any]] = [[] for _ in Columns._fields]
        for first in range(0, len(clicks), AT_ONCE):
            some = self._read(clicks[first : first + AT_ONCE])
            for column, more in zip(columns, some, strict=True):
                column.extend(more)
        return Columns(*columns)

    def _read(self, clicks: Sequence[Click]) -> Columns:
        seen = self._visits.of(clicks)
        at = list(map(_AT, clicks))
        quarters = [time // MILLISECONDS_A_QUARTER for time in at]
        dates = {quarter: self._cells.day(quarter).date for quarter in set(quarters)}
        visitors = self._hashed(list(map(dates.__getitem__, quarters)), seen.visitors)
        targets = [self._targets.get(known) or self._find(known) for known in map(_COUNTED, clicks)]
        used = list(map(_USED, clicks))
        return Columns(targets, at, quarters, used, seen.are_bots, seen.labels, visitors)

    def _find(self, known: _Counted) -> Targets:
        if len(self._targets) >= REMEMBERED:
            self._targets.clear()
        targets = self._targets[known] = Targets(targets_of(*known))
        return targets


def targets_of(number: int, name: str, tags: tuple[str, ...]) -> tuple[Target, ...]:
    """For whom a click on a link counts; 0 is the number of none."""
    if not number:
        return (_subject(keys.ORPHANS_SUBJECT),)
    link = name, number, keys.bucket(name)
    return link, _subject(keys.SITE_SUBJECT), *(_subject(keys.tag_subject(tag)) for tag in tags)


def _subject(name: str) -> Target:
    return name, 0, keys.bucket(name)
