"""Ask about clicks: totals, and series by hour, day, week or month, from the cells.

While quarters of an hour are kept (35 days) every question is answered exactly in any time zone;
further back by days of the site's own zone.  A question costs what its cells cost to read, however
many clicks they count.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
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

INTERVALS = ("hour", "day", "week", "month")
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
    """From `start` until `end` (exclusive), which bear the zone that intervals are cut in."""

    start: datetime
    end: datetime
    interval: str
    zone: ZoneInfo


class Answer(NamedTuple):
    """What was really answered: the question's range, and clicks by the start of each interval."""

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
        """Clicks of `subject` by interval, zeros included.

        Raises `Invalid` for more than 10,000 intervals, and for what the cells of that time do not
        tell: hours more than 35 days back, or days of another zone than the site's.
        """
        starts = _starts(question)
        if question.start >= now - KEEP_QUARTERS:
            counted = self._quarters(subject, question)
        else:
            _check_days_tell(question, self._cells, now)
            counted = self._days(subject, question)
        series = dict.fromkeys(starts, 0)
        for at, clicks in counted:
            series[_clip(_interval_start(at, question), question.start)] += clicks
        return Answer(question, list(series.items()))

    def _quarters(self, subject: Subject, question: Question) -> Iterator[tuple[datetime, int]]:
        weeks = weeks_between(question.start, question.end)
        hashes = self._hashes(keys.quarters(subject.bucket, subject.name, week) for week in weeks)
        for week, fields in zip(weeks, hashes, strict=True):
            for field, clicks in fields.items():
                at = quarter_time(week, int(field))
                if question.start <= at < question.end:
                    yield at.astimezone(question.zone), int(clicks)

    def _days(self, subject: Subject, question: Question) -> Iterator[tuple[datetime, int]]:
        last = (question.end - timedelta(microseconds=1)).date()
        days = list(days_between(question.start.date(), last))
        years = range(days[0].year, days[-1].year + 1)
        hashes = self._hashes(keys.days(subject.bucket, subject.name, year) for year in years)
        by_year = dict(zip(years, hashes, strict=True))
        for day in days:
            clicks = by_year[day.year].get(b"%d" % day_cell(day).field)
            if clicks:
                yield midnight(day, question.zone), int(clicks)

    def _hashes(self, names: Iterable[str]) -> list[dict[bytes, bytes]]:
        pipeline = self._store.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(name)
        return cast("list[dict[bytes, bytes]]", pipeline.execute())


def default_question(cells: Cells, now: datetime) -> Question:
    """The last 30 days with today, by day, in the site's zone."""
    today = cells.today(now)
    start = midnight(today - timedelta(days=29), cells.zone)
    return Question(start, midnight(today + timedelta(days=1), cells.zone), "day", cells.zone)


def _check_days_tell(question: Question, cells: Cells, now: datetime) -> None:
    kept = f"{KEEP_QUARTERS.days} days"
    if question.interval == "hour":
        raise Invalid.field("from", f"hours are kept for {kept}")
    if question.zone.key != cells.zone.key:
        raise Invalid.field("tz", f"more than {kept} back only days of {cells.zone.key} are kept")
    if question.start < now - KEEP_DAYS - timedelta(days=1):
        raise Invalid.field("from", f"days are kept for {KEEP_DAYS.days} days")
    for field, edge in (("from", question.start), ("to", question.end)):
        if edge != midnight(edge.date(), question.zone):
            raise Invalid.field(field, f"more than {kept} back only whole days are kept")


def _starts(question: Question) -> list[datetime]:
    """The start of every interval; the first one begins with the range."""
    starts = []
    at = question.start
    while at < question.end:
        starts.append(at)
        if len(starts) > MAX_INTERVALS:
            raise Invalid.field("interval", f"makes more than {MAX_INTERVALS} intervals")
        at = _next_start(at, question)
    return starts


def _next_start(at: datetime, question: Question) -> datetime:
    start = _interval_start(at, question)
    if question.interval == "hour":
        return (start.astimezone(UTC) + timedelta(hours=1)).astimezone(question.zone)
    day = start.date()
    if question.interval == "month":
        following = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    else:
        following = day + timedelta(days=7 if question.interval == "week" else 1)
    return midnight(following, question.zone)


def _interval_start(at: datetime, question: Question) -> datetime:
    """When the interval that contains `at` (in the question's zone) begins."""
    if question.interval == "hour":
        # Through UTC: of the two hours at the end of summer time each is its own.
        into = timedelta(minutes=at.minute, seconds=at.second, microseconds=at.microsecond)
        return (at.astimezone(UTC) - into).astimezone(question.zone)
    day = at.date()
    if question.interval == "week":
        day -= timedelta(days=day.weekday())
    elif question.interval == "month":
        day = day.replace(day=1)
    return midnight(day, question.zone)


def _clip(start: datetime, first: datetime) -> datetime:
    return max(start, first)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day; where clocks are put forward at midnight, that is one o'clock."""
    naive = datetime.combine(day, time(), zone)
    return naive.astimezone(UTC).astimezone(zone)
