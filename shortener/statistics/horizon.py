"""The horizon: which moments cells can tell apart, now.

A moment is told when the clicks before it and those after it lie in different cells that are kept:
while quarters are, at any quarter of an hour; before, at midnights of the site's zone; before that,
at the first of a month.  Hashes stay a little longer than promised, so the horizon may lie at a
midnight, and that of days at the first of a month: what is finer than another always ends inside of
what the other has whole.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from shortener.statistics.cells import Cells, next_month
from shortener.statistics.intervals import QUARTER, midnight

_midnight = lru_cache(maxsize=10_000)(midnight)


class Horizon:
    """What the cells of a site tell at `now`."""

    def __init__(self, cells: Cells, now: datetime) -> None:
        self.zone: ZoneInfo = cells.zone
        self.today = now.astimezone(cells.zone).date()
        keep = cells.keep
        self._quarters = self.midnight(
            (now - timedelta(days=keep.quarters)).astimezone(self.zone).date()
        )
        self.days = (self.today - timedelta(days=keep.days)).replace(day=1)  # the oldest kept
        self.labels = self.today - timedelta(days=keep.labels)

    def midnight(self, day: date) -> datetime:
        """The first moment of a day of the site, in UTC."""
        return _midnight(day, self.zone)

    def day(self, at: datetime) -> date:
        """The day of the site that a moment lies in."""
        return at.astimezone(self.zone).date()

    def is_midnight(self, at: datetime) -> bool:
        return at == self.midnight(self.day(at))

    def tells(self, at: datetime) -> bool:
        """Whether clicks before and after a moment can be told apart."""
        if at >= self._quarters:
            return not (at - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER
        day = self.day(at)
        return self.is_midnight(at) and (day >= self.days or day.day == 1)

    def covering(self, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        """The smallest range that covers another and whose ends are told."""
        past = (start - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER
        missing = -(end - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER
        start, end = start - past, end + missing
        if not self.tells(start):
            start = self.midnight(self._floor(self.day(start), self.days))
        if not self.tells(end):
            day = self.day(end) + timedelta(days=0 if self.is_midnight(end) else 1)
            end = self.midnight(self._ceiling(day, self.days))
        return start, end

    def labelled(self, start: datetime, end: datetime) -> tuple[date, date]:
        """The same for labels: its first day, and the day after its last."""
        last = self.day(end) + timedelta(days=0 if self.is_midnight(end) else 1)
        return self._floor(self.day(start), self.labels), self._ceiling(last, self.labels)

    @staticmethod
    def _floor(day: date, kept: date) -> date:
        return day if day >= kept else day.replace(day=1)

    @staticmethod
    def _ceiling(day: date, kept: date) -> date:
        return day if day >= kept or day.day == 1 else min(kept, next_month(day))
