"""Ask about clicks: totals, series by hour, day, week or month, and labels.

A question is answered from cells that are whole, so it costs what these cost to read, however many
clicks they count.  Where only coarser ones are kept, it is answered for the smallest range of them
that covers it, in the site's zone when they are days, by longer intervals when they are longer; the
answer says what it is of.  All that an answer is made of is read in one step: it adds up, whatever
is counted meanwhile.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple, cast
from zoneinfo import ZoneInfo

import redis

from shortener import keys
from shortener.errors import Invalid
from shortener.statistics.cells import PEOPLE, Cells, day_field, days
from shortener.statistics.horizon import Horizon
from shortener.statistics.intervals import INTERVALS, midnight, starts
from shortener.statistics.labels import Labels
from shortener.statistics.reading import Reading
from shortener.statistics.series import Counts, Series
from shortener.statistics.visits import DIMENSIONS, Dimension

MAX_INTERVALS = 10_000


class Subject(NamedTuple):
    """What clicks are counted for, and the bucket its statistics lie in."""

    name: str
    bucket: str


def link_subject(name: str, number: int) -> Subject:
    return Subject(str(number), keys.bucket(name))


def tag_subject(tag: str) -> Subject:
    return Subject(keys.tag_subject(tag), keys.bucket(keys.tag_subject(tag)))


SITE = Subject(keys.SITE_SUBJECT, keys.bucket(keys.SITE_SUBJECT))
ORPHANS = Subject(keys.ORPHANS_SUBJECT, keys.bucket(keys.ORPHANS_SUBJECT))


class Totals(NamedTuple):
    """All clicks of a subject, and when the last one of a person was (milliseconds since 1970)."""

    clicks: int  # of people
    bots: int
    last: int | None


class Question(NamedTuple):
    """From `start` until `end` (exclusive), both in UTC, in intervals of the clocks of `zone`."""

    start: datetime
    end: datetime
    interval: str
    zone: ZoneInfo
    dimensions: tuple[Dimension, ...] = DIMENSIONS


class Breakdown(NamedTuple):
    """Clicks of people by label from `start` to `end`; the clicks of a dimension add up to
    `clicks`.  `labels` have the most clicked first, and None for *other*."""

    start: datetime
    end: datetime
    clicks: int
    labels: dict[str, list[tuple[str | None, int]]]


class Answer(NamedTuple):
    """What was really answered: its range, and counts by the start (UTC) of each interval."""

    question: Question
    series: list[tuple[datetime, Counts]]
    by: Breakdown

    @property
    def totals(self) -> Counts:
        """Of the whole range."""
        return Counts(*map(sum, zip(*(counts for _, counts in self.series), strict=True)))


class Stats:
    """Statistics of a site whose cells are `cells`."""

    def __init__(self, store: redis.Redis, cells: Cells) -> None:
        self._store, self._cells = store, cells

    def totals(self, subjects: Sequence[Subject]) -> list[Totals]:
        """Totals since the beginning, in the order asked."""
        pipeline = self._store.pipeline(transaction=False)
        for subject in subjects:
            pipeline.hmget(keys.totals(subject.bucket, subject.name), "c", "b", "at")
        return [
            Totals(int(clicks or 0), int(bots or 0), int(last) if last else None)
            for clicks, bots, last in cast("list[list[bytes | None]]", pipeline.execute())
        ]

    def ask(self, subject: Subject, question: Question, now: datetime) -> Answer:
        """Counts of `subject` by interval, zeros included, in the cells that cover the question.

        Raises `Invalid` for more than 10,000 intervals.
        """
        horizon = Horizon(self._cells, now)
        question, edges = _tellable(question, horizon)
        place = (subject.bucket, subject.name)
        series = Series([*edges, question.end], horizon, *place)
        first, end = horizon.labelled(question.start, question.end)
        whole = Series(
            [midnight(first, self._cells.zone), midnight(end, self._cells.zone)], horizon, *place
        )
        labels = Labels(first, end, horizon, *place)
        reading = Reading()
        series.want(reading)
        whole.want(reading)
        if question.dimensions:
            labels.want(reading)
        hashes = reading.read(self._store)
        (counts,) = whole.sums(hashes)
        by = {}
        if question.dimensions:
            by = labels.count(hashes, counts.clicks, question.dimensions)
        answered = list(zip(edges, series.sums(hashes), strict=True))
        return Answer(question, answered, Breakdown(whole.start, whole.end, counts.clicks, by))

    def daily(self, subjects: Sequence[Subject], span: int, now: datetime) -> list[list[int]]:
        """Clicks of people on each of the last `span` days with today, as far as days are kept, of
        each subject in the order asked."""
        today = now.astimezone(self._cells.zone).date()
        years: dict[int, list[int]] = {}
        for day in days(today - timedelta(days=span - 1), today):
            years.setdefault(day.year, []).append(day_field(day) + PEOPLE)
        pipeline = self._store.pipeline(transaction=False)
        for subject in subjects:
            for year, fields in years.items():
                pipeline.hmget(keys.days(subject.bucket, subject.name, year), fields)
        answers = iter(cast("list[list[bytes | None]]", pipeline.execute()))
        return [[int(count or 0) for _ in years for count in next(answers)] for _ in subjects]


def default_question(zone: ZoneInfo, now: datetime) -> Question:
    """The last 30 days with today, by day."""
    today = now.astimezone(zone).date()
    start = midnight(today - timedelta(days=29), zone)
    return Question(start, midnight(today + timedelta(days=1), zone), "day", zone)


def _tellable(question: Question, horizon: Horizon) -> tuple[Question, list[datetime]]:
    """The question for the smallest range of cells that covers it, and the start of each interval:
    as asked where cells tell that, else in the site's zone by the shortest interval that they tell.

    Raises `Invalid` for too many intervals.
    """
    if len(list(islice(_starts(question), MAX_INTERVALS + 1))) > MAX_INTERVALS:
        raise Invalid.field("interval", f"makes more than {MAX_INTERVALS} intervals")
    start, end = horizon.covering(question.start, question.end)
    covered = question._replace(start=start, end=end)
    edges = list(_starts(covered))
    coarser = INTERVALS[INTERVALS.index(question.interval) :]
    candidates = [covered._replace(zone=horizon.zone, interval=interval) for interval in coarser]
    while not all(map(horizon.tells, edges)) and candidates:
        covered = candidates.pop(0)
        edges = list(_starts(covered))
    return covered, edges


def _starts(question: Question) -> Iterator[datetime]:
    """The start of every interval."""
    return starts(question.start, question.end, question.interval, question.zone)
