"""Cells: which quarter of an hour and which day a click counts in, and how long these are kept.

Every offset in use since 2015 is a multiple of a quarter of an hour, so series in any time zone are
exact while quarters are kept; days are those of the site's own zone.  A cell is a field of a hash;
a hash holds a week of quarters or a year of days and expires as a whole.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shortener import keys

QUARTER = 900  # seconds
QUARTERS_A_WEEK = 672
KEEP_QUARTERS = timedelta(days=35)
KEEP_DAYS = timedelta(days=800)


class Cell(NamedTuple):
    """Where a count is kept: which hash (`period`: a week or a year), which field of it."""

    period: int
    field: int
    expires: int  # seconds since 1970: when the whole hash may go


class Cells:
    """The cells of a site whose days are those of `zone`."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self._days: dict[int, Cell] = {}  # by quarter: a click costs one look-up

    def quarter(self, at: int) -> Cell:
        """The quarter of an hour of a time in milliseconds since 1970."""
        week, field = divmod(at // (QUARTER * 1000), QUARTERS_A_WEEK)
        end = (week + 1) * QUARTERS_A_WEEK * QUARTER
        return Cell(week, field, end + int(KEEP_QUARTERS.total_seconds()))

    def day(self, at: int) -> Cell:
        """The day, in the site's zone, of a time in milliseconds since 1970."""
        quarter = at // (QUARTER * 1000)
        cell = self._days.get(quarter)
        if cell is None:
            if len(self._days) > 1_000:
                self._days.clear()
            cell = day_cell(datetime.fromtimestamp(quarter * QUARTER, self.zone).date())
            self._days[quarter] = cell
        return cell


def day_cell(day: date) -> Cell:
    """The cell of a date."""
    year_end = datetime(day.year + 1, 1, 1, tzinfo=UTC) + timedelta(days=1) + KEEP_DAYS
    return Cell(day.year, day.timetuple().tm_yday, int(year_end.timestamp()))


def quarter_time(week: int, field: int) -> datetime:
    """When a quarter begins."""
    return datetime.fromtimestamp((week * QUARTERS_A_WEEK + field) * QUARTER, UTC)


def weeks_between(start: datetime, end: datetime) -> range:
    """The weeks (of quarters) that a span of time touches."""
    seconds = QUARTERS_A_WEEK * QUARTER
    return range(int(start.timestamp()) // seconds, -(-int(end.timestamp()) // seconds))


def kept_weeks(now: int) -> range:
    """The weeks of which quarters may be left at `now` (seconds since 1970), with one to spare."""
    end = datetime.fromtimestamp(now, UTC) + timedelta(days=7)
    return weeks_between(end - KEEP_QUARTERS - timedelta(days=21), end)


def kept_years(now: int) -> range:
    """The years of which days may be left at `now` (seconds since 1970), with one to spare."""
    end = datetime.fromtimestamp(now, UTC) + timedelta(days=2)
    return range((end - KEEP_DAYS - timedelta(days=366)).year, end.year + 1)


def statistics(bucket: str, subject: str, now: int) -> list[str]:
    """Every key that may hold statistics of a subject at `now` (seconds since 1970)."""
    return [
        keys.totals(bucket, subject),
        *(keys.quarters(bucket, subject, week) for week in kept_weeks(now)),
        *(keys.days(bucket, subject, year) for year in kept_years(now)),
    ]


def days_between(first: date, last: date) -> Iterator[date]:
    """Every date from `first` to `last`, both included."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)
