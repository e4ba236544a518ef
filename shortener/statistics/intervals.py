"""Time cut into hours, days, weeks and months as the clocks of a zone show them.

All times in and out are UTC: two moments of the hour that comes twice are told apart by nothing
else.  Where clocks change, a day has 23 or 25 hours, and an hour may be cut short.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

INTERVALS = ("hour", "day", "week", "month")
QUARTER = timedelta(minutes=15)  # every offset in use since 2015 is a multiple of it
FIRST_YEAR, LAST_YEAR = 1971, 2199  # of a question: a bound on what one may cost


def starts(start: datetime, end: datetime, interval: str, zone: ZoneInfo) -> Iterator[datetime]:
    """The start of every interval from `start` to `end`; the first one begins with the range."""
    while start < end:
        yield start
        start = _following(start, interval, zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day, which is one o'clock where clocks go forward at midnight."""
    at = datetime.combine(day, time(), zone).astimezone(UTC)
    while (at - QUARTER).astimezone(zone).date() == day:
        at -= QUARTER
    return at


def _following(at: datetime, interval: str, zone: ZoneInfo) -> datetime:
    """When the interval after the one that contains `at` begins."""
    if interval == "hour":
        return _next_hour(at, zone)
    day = at.astimezone(zone).date()
    if interval == "day":
        return midnight(day + timedelta(days=1), zone)
    if interval == "week":
        return midnight(day + timedelta(days=7 - day.weekday()), zone)
    return midnight((day.replace(day=28) + timedelta(days=4)).replace(day=1), zone)


def _next_hour(at: datetime, zone: ZoneInfo) -> datetime:
    """The next quarter at which the clock shows another hour, or was put forward or back."""
    here = _clock(at, zone)
    full = at + timedelta(minutes=60 - at.astimezone(zone).minute, seconds=-at.second)
    if _clock(full, zone)[1] == here[1]:  # as nearly always: no change of clocks lies between
        return full - timedelta(microseconds=at.microsecond)
    while _clock(at, zone) == here:
        at += QUARTER
    return at


def _clock(at: datetime, zone: ZoneInfo) -> tuple[int, timedelta | None]:
    local = at.astimezone(zone)
    return local.hour, local.utcoffset()
