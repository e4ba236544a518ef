"""Query strings of `/api/v1`: parsed strictly, each parameter named in its error."""

import re
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from werkzeug.datastructures import MultiDict

from shortener.errors import Invalid
from shortener.statistics.cells import Cells
from shortener.statistics.intervals import FIRST_YEAR, INTERVALS, LAST_YEAR, midnight
from shortener.statistics.stats import Question, default_question
from shortener.web.api.parameters import TEXT, Parameter, one_of

Query = MultiDict[str, str]

_EDGE = {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}

PARAMETERS = (  # of statistics
    Parameter("from", "The first day, or a time with an offset.", _EDGE, "2026-11-01"),
    Parameter(
        "to", "The last day, which is included, or a time, which is not.", _EDGE, "2026-11-23"
    ),
    Parameter("interval", "How time is cut.", one_of(INTERVALS, "day"), "week"),
    Parameter(
        "tz",
        "The IANA time zone of days and of all times in the answer; left out, the site's.",
        TEXT,
        "UTC",
    ),
)


def known(query: Query, names: Collection[str], repeated: Collection[str] = ()) -> None:
    """Raises `Invalid` for a parameter that is not one of `names`, or is given twice though it is
    none of `repeated`."""
    for name in query:
        if name not in names:
            raise Invalid.field(name, "is not a known parameter")
        if len(query.getlist(name)) > 1 and name not in repeated:
            raise Invalid.field(name, "is given twice")


def question(query: Query, cells: Cells, now: datetime) -> Question:
    """`from`, `to`, `interval` and `tz`; what is left out is the last 30 days."""
    zone = _zone(query.get("tz"), cells.zone)
    default = default_question(zone, now)
    interval = query.get("interval", "day")
    if interval not in INTERVALS:
        raise Invalid.field("interval", f"must be one of {', '.join(INTERVALS)}")
    start = _edge(query, "from", zone, inclusive=False) or default.start
    end = _edge(query, "to", zone, inclusive=True) or default.end
    if start >= end:
        raise Invalid.field("to", "must be after from")
    return Question(start, end, interval, zone)


def _zone(name: str | None, default: ZoneInfo) -> ZoneInfo:
    if name is None:
        return default
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid.field("tz", "must be an IANA time zone, such as Asia/Riyadh") from None


def _edge(query: Query, name: str, zone: ZoneInfo, inclusive: bool) -> datetime | None:
    """A date (of which `to` includes the whole) or a time."""
    text = query.get(name)
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = date.fromisoformat(text)
            if FIRST_YEAR <= day.year <= LAST_YEAR:
                return midnight(day + timedelta(days=1 if inclusive else 0), zone)
        else:
            at = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that was not escaped
            if at.tzinfo is None:
                raise Invalid.field(name, "must have an offset, such as +03:00 or Z")
            if FIRST_YEAR <= at.year <= LAST_YEAR:
                return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid.field(name, "must be a date or an RFC 3339 time") from None
    raise Invalid.field(name, f"must be in a year from {FIRST_YEAR} to {LAST_YEAR}")
