"""Ask about clicks: totals, and series by hour, day, week or month, from the cells.

While quarters of an hour are kept (35 days) every question is answered exactly in any time zone;
further back by days of the site's own zone.  A question costs what its cells cost to read, however
many clicks they count.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple, cast
from zoneinfo import ZoneInfo

import redis

from shortener import keys
from shortener.cells import (
    KEEP_DAYS,
    KEEP_QUARTERS,
    Cells,
    day_cell,
    days_between,
    quarter_time,
    weeks_between,
)
from shortener.errors import Invalid
from shortener.intervals import QUARTER, midnight, starts

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


class Totals(NamedTuple):
    """All clicks of a subject, and when the last one was (milliseconds since 1970)."""

    clicks: int
    last: int | None


class Question(NamedTuple):
    """From `start` until `end` (exclusive), both in UTC, in intervals of the clocks of `zone`."""

    start: datetime
    end: datetime
    interval: str
    zone: ZoneInfo

    def covering(self) -> "Question":
        """The same for the smallest range of quarters of an hour that covers it."""
        past = timedelta(seconds=self.start.timestamp() % QUARTER.total_seconds())
        missing = timedelta(seconds=-self.end.timestamp() % QUARTER.total_seconds())
        return self._replace(start=self.start - past, end=self.end + missing)


class Answer(NamedTuple):
    """What was really answered: its range, and clicks by the start (UTC) of each interval."""

    question: Question
    series: list[tuple[datetime, int]]

    @property
    def clicks(self) -> int:
        return sum(clicks for _, clicks in self.series)


class Stats:
    """Statistics of a site whose cells are `cells`."""

    def __init__(self, store: redis.Redis, cells: Cells) -> None:
        self._store, self._cells = store, cells

    def totals(self, subjects: Sequence[Subject]) -> list[Totals]:
        """Totals since the beginning, in the order asked."""
        pipeline = self._store.pipeline(transaction=False)
        for subject in subjects:
            pipeline.hmget(keys.totals(subject.bucket, subject.name), "c", "at")
        return [
            Totals(int(clicks or 0), int(last) if last else None)
            for clicks, last in cast("list[list[bytes | None]]", pipeline.execute())
        ]

    def ask(self, subject: Subject, question: Question, now: datetime) -> Answer:
        """Clicks of `subject` by interval, zeros included, in the quarters that cover the question.

        Raises `Invalid` for more than 10,000 intervals, and for what the cells of that time do not
        tell: hours more than 35 days back, or days of another zone than the site's.
        """
        question = question.covering()
        edges = _edges(question)
        if question.start >= now - KEEP_QUARTERS:
            counted = self._quarters(subject, question)
        else:
            _check_days_tell(question, self._cells, now)
            counted = self._days(subject, question)
        clicks = [0] * len(edges)
        for at, number in counted:
            clicks[bisect_right(edges, at) - 1] += number
        return Answer(question, list(zip(edges, clicks, strict=True)))

    def _quarters(self, subject: Subject, question: Question) -> Iterator[tuple[datetime, int]]:
        weeks = weeks_between(question.start, question.end)
        hashes = self._hashes(keys.quarters(subject.bucket, subject.name, week) for week in weeks)
        for week, fields in zip(weeks, hashes, strict=True):
            for field, clicks in fields.items():
                at = quarter_time(week, int(field))
                if question.start <= at < question.end:
                    yield at, int(clicks)

    def _days(self, subject: Subject, question: Question) -> Iterator[tuple[datetime, int]]:
        first = question.start.astimezone(question.zone).date()
        last = (question.end - QUARTER).astimezone(question.zone).date()
        years = range(first.year, last.year + 1)
        hashes = self._hashes(keys.days(subject.bucket, subject.name, year) for year in years)
        by_year = dict(zip(years, hashes, strict=True))
        for day in days_between(first, last):
            clicks = by_year[day.year].get(b"%d" % day_cell(day).field)
            if clicks:
                yield midnight(day, question.zone), int(clicks)

    def _hashes(self, names: Iterable[str]) -> list[dict[bytes, bytes]]:
        pipeline = self._store.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(name)
        return cast("list[dict[bytes, bytes]]", pipeline.execute())


def default_question(zone: ZoneInfo, now: datetime) -> Question:
    """The last 30 days with today, by day."""
    today = now.astimezone(zone).date()
    start = midnight(today - timedelta(days=29), zone)
    return Question(start, midnight(today + timedelta(days=1), zone), "day", zone)


def _check_days_tell(question: Question, cells: Cells, now: datetime) -> None:
    kept = f"{KEEP_QUARTERS.days} days"
    if question.interval == "hour":
        raise Invalid.field("from", f"hours are kept for {kept}")
    if question.zone.key != cells.zone.key:
        raise Invalid.field("tz", f"more than {kept} back only days of {cells.zone.key} are kept")
    if question.start < now - KEEP_DAYS - timedelta(days=1):
        raise Invalid.field("from", f"days are kept for {KEEP_DAYS.days} days")
    for field, edge in (("from", question.start), ("to", question.end)):
        if edge != midnight(edge.astimezone(question.zone).date(), question.zone):
            raise Invalid.field(field, f"more than {kept} back only whole days are kept")


def _edges(question: Question) -> list[datetime]:
    """The start of every interval.  Raises `Invalid` for too many."""
    every = starts(question.start, question.end, question.interval, question.zone)
    edges = list(islice(every, MAX_INTERVALS + 1))
    if len(edges) > MAX_INTERVALS:
        raise Invalid.field("interval", f"makes more than {MAX_INTERVALS} intervals")
    return edges
