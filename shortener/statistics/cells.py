"""Cells: where clicks are kept, by time, and for how long.

    cell                      key   field                          kept
    quarter of an hour (UTC)  q:    its number in the week, kind   KEEP_QUARTERS
    day (site's zone)         d:    its number in the year, kind   KEEP_DAYS
    day's labels              b:    a label's number, the day      KEEP_LABELS
    month (site's zone)       t:    its number, kind               for ever
    month's labels            m:    the label                      for ever
    total                     t:    c, b, r; at                    for ever

A click writes all of them at once, so a month is as right as its days while it runs, nothing has to
be closed, and a click that comes late finds its month.  Every offset in use since 2015 is a
multiple of a quarter of an hour, so series in any time zone are exact while quarters are kept.

A kind is people, bots or repeats: clicks of people who made no new visitor.  So visitors are people
less repeats, which takes no room for a link where nobody comes twice.  Fields are whole numbers
where they can be (Redis packs these in two to five bytes), and every value but `at` is a sum:
statistics of two subjects are added by adding field to field.

A label is its dimension's letter and text; its number is 30 bits of its CRC.  `m:` has the numbers
in use as well, each with a 1: a label whose number is another's counts as *other*, as do labels
beyond a dimension's bound (`#` and the letter holds how many there are).  *Other* is the letter
alone, and the label that most clicks have by lacking one (`direct`) is not kept: it is the rest.
"""

import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shortener import keys
from shortener.config import Settings

QUARTER = 900  # seconds
QUARTERS_A_WEEK = 672
DAYS_A_STRETCH = 4  # whose labels share a hash: more would make hashes that are not packed
KINDS = 4  # of which there are three
PEOPLE, BOTS, REPEATS = range(3)
MAX_KEEP_QUARTERS = 100  # days; bounds on what operators may ask for
MAX_KEEP_LABELS = 400
MAX_KEEP_DAYS = 3_660
FIRST_MONTH = date(2024, 1, 1)  # no click is older
SPARE = timedelta(days=2)  # that hashes stay beyond what is promised: time zones
VISITORS_SPARE = timedelta(days=8)  # after their day, in case nobody deletes them


class Keep(NamedTuple):
    """How long cells are kept, in days."""

    quarters: int = 35
    labels: int = 92
    days: int = 800


class Cell(NamedTuple):
    """Where a count is kept: in which hash, in which field of it."""

    period: int  # the hash: a week or a year
    field: int  # of people; those of bots and repeats follow
    expires: int  # seconds since 1970: when the whole hash may go


class Day(NamedTuple):
    """Where the clicks of a day are kept, but for their quarters."""

    date: int  # 20261125
    cell: Cell
    month: int  # 202611
    month_field: int
    stretch: int  # of the month
    place: int  # in the stretch
    labels_expire: int  # seconds since 1970
    visitors_expire: int


class Cells:
    """The cells of a site whose days are those of `zone`."""

    def __init__(self, zone: ZoneInfo, keep: Keep | None = None) -> None:
        self.zone, self.keep = zone, keep or Keep()
        self._days: dict[int, Day] = {}  # by quarter: a click costs one look-up

    @classmethod
    def of(cls, settings: Settings) -> "Cells":
        """The cells of a site, kept as long as its settings say."""
        keep = Keep(settings.keep_quarters, settings.keep_labels, settings.keep_days)
        return cls(settings.timezone, keep)

    def quarter(self, number: int) -> Cell:
        """The quarter of an hour with this number since 1970."""
        week, place = divmod(number, QUARTERS_A_WEEK)
        end = (week + 1) * QUARTERS_A_WEEK * QUARTER
        kept = timedelta(days=self.keep.quarters) + SPARE
        return Cell(week, place * KINDS, end + int(kept.total_seconds()))

    def day(self, quarter: int) -> Day:
        """The day, in the site's zone, of the quarter with this number."""
        found = self._days.get(quarter)
        if found is None:
            if len(self._days) > 5_000:
                self._days.clear()
            day = datetime.fromtimestamp(quarter * QUARTER, self.zone).date()
            found = self._days[quarter] = self._day(day)
        return found

    def _day(self, day: date) -> Day:
        stretch, place = stretch_of(day)
        day_end = day + timedelta(days=1)
        stretch_end = day + timedelta(days=DAYS_A_STRETCH - place)
        return Day(
            date_number(day),
            Cell(day.year, day_field(day), _expiry(date(day.year + 1, 1, 1), self.keep.days)),
            month_number(day),
            month_field(day),
            stretch,
            place,
            _expiry(stretch_end, self.keep.labels),
            int((_utc(day_end) + VISITORS_SPARE).timestamp()),
        )


def _utc(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _expiry(end: date, kept: int) -> int:
    """When what ends with `end` and is kept for so many days may go."""
    return int((_utc(end) + timedelta(days=kept) + SPARE).timestamp())


def date_number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def month_number(day: date) -> int:
    return day.year * 100 + day.month


def day_field(day: date) -> int:
    """The field of a day's people in the hash of its year."""
    return day.timetuple().tm_yday * KINDS


def month_field(day: date) -> int:
    """The field of a month's people in the totals."""
    return (day.year * 12 + day.month) * KINDS


def stretch_of(day: date) -> tuple[int, int]:
    """Which stretch of its month a day lies in, and its place there."""
    return divmod(day.day - 1, DAYS_A_STRETCH)


@lru_cache(maxsize=20_000)
def label_number(label: bytes) -> int:
    """The number of a label (with its dimension's letter) in the hashes of days."""
    return zlib.crc32(label) & 0x3FFF_FFFF


def statistics(bucket: str, subject: str, now: int) -> list[str]:
    """Every hash that may hold statistics of a subject at `now` (seconds since 1970).

    All go by the field, and values are added; `at` in the totals is the latest instead.  When the
    totals are empty, so are all others.
    """
    today = datetime.fromtimestamp(now, UTC).date() + SPARE
    labelled = today - timedelta(days=MAX_KEEP_LABELS + DAYS_A_STRETCH) - 3 * SPARE
    oldest = today - timedelta(days=MAX_KEEP_DAYS + 366) - 3 * SPARE
    this_week = int(_utc(today).timestamp()) // (QUARTERS_A_WEEK * QUARTER)
    weeks = MAX_KEEP_QUARTERS // 7 + 3
    return [
        keys.totals(bucket, subject),
        *(keys.quarters(bucket, subject, this_week - n) for n in range(-1, weeks)),
        *(keys.days(bucket, subject, year) for year in range(oldest.year, today.year + 1)),
        *(keys.months(bucket, subject, month_number(m)) for m in months(FIRST_MONTH, today)),
        *(
            keys.labels(bucket, subject, month_number(month), stretch)
            for month in months(labelled, today)
            for stretch in range(31 // DAYS_A_STRETCH + 1)
        ),
    ]


def visitors(bucket: str, subject: str, now: int) -> list[str]:
    """Every key that may hold visitors of a subject, to be counted with: of no other use."""
    today = datetime.fromtimestamp(now, UTC).date() + SPARE
    first = today - 2 * SPARE - VISITORS_SPARE
    return [keys.visitors(bucket, subject, date_number(day)) for day in days(first, today)]


def days(first: date, last: date) -> Iterator[date]:
    """Every date from `first` to `last`, both included."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def months(first: date, last: date) -> Iterator[date]:
    """The first day of every month from that of `first` to that of `last`."""
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = next_month(month)


def next_month(day: date) -> date:
    """The first day of the month after that of `day`."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
