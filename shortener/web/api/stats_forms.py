"""What statistics are asked for, and what they look like: JSON and CSV."""

import csv as csv_format
import io
import re
from datetime import datetime
from typing import NamedTuple

from msgspec import UNSET
from werkzeug.datastructures import MIMEAccept

from shortener.errors import Invalid
from shortener.statistics.cells import Cells
from shortener.statistics.series import Counts
from shortener.statistics.stats import ORPHANS, SITE, Answer, Question, Subject, tag_subject
from shortener.statistics.visits import DIMENSIONS, Dimension
from shortener.web.api import bodies, queries
from shortener.web.api.answers import (
    ByRange,
    ClickCounts,
    IntervalCounts,
    LabelCount,
    StatsAnswer,
    time_text,
)
from shortener.web.api.kinds import MAX_TAG
from shortener.web.api.parameters import TEXT, Parameter, line, one_of, whole

DEFAULT_LIMIT = 20
MAX_LIMIT = 1_000  # labels of a dimension
_BY_NAME = {dimension.name: dimension for dimension in DIMENSIONS}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets would calculate

PARAMETERS = (
    *queries.PARAMETERS,
    Parameter(
        "group_by",
        f"Dimensions with commas between: {', '.join(_BY_NAME)}. Left out, all of them.",
        TEXT,
        "country,referrer",
    ),
    Parameter(
        "limit",
        "Labels of each dimension; the rest is *other*.",
        whole(1, MAX_LIMIT, DEFAULT_LIMIT),
    ),
    Parameter(
        "format",
        "CSV is the series, or with one `group_by` that dimension; also by `Accept: text/csv`.",
        one_of(("json", "csv"), "json"),
    ),
)
SUBJECTS = (
    Parameter("tag", "Clicks of links while they had this tag.", line(MAX_TAG), "news"),
    Parameter("orphans", "Visits to unknown codes instead.", one_of(("true", "false"), "false")),
)


class Asked(NamedTuple):
    """A question and the form of its answer; `limit` labels of each dimension."""

    question: Question
    limit: int
    as_csv: bool
    column: str | None  # the dimension that CSV is asked for; None is the series


def subject(query: queries.Query) -> Subject:
    """What `tag` or `orphans` speak of, else the site."""
    orphans = query.get("orphans", "false")
    if orphans not in ("true", "false"):
        raise Invalid.field("orphans", "must be true or false")
    tag = query.get("tag")
    if orphans == "true":
        if tag is not None:
            raise Invalid.field("tag", "cannot be asked for together with orphans")
        return ORPHANS
    if tag is None:
        return SITE
    try:
        return tag_subject(bodies.tags([tag])[0])
    except Invalid as problem:
        raise Invalid.field("tag", problem.fields[0].message) from None


def asked(query: queries.Query, accepted: MIMEAccept, cells: Cells, now: datetime) -> Asked:
    """Everything a query asks.  Raises `Invalid`."""
    question = queries.question(query, cells, now)
    dimensions = _dimensions(query.get("group_by"))
    as_csv = _is_csv(query.get("format"), accepted)
    column = None
    if as_csv:
        if dimensions is not None and len(dimensions) > 1:
            raise Invalid.field("group_by", "must be one dimension for CSV")
        column = dimensions[0].name if dimensions else None
        dimensions = dimensions or ()
    elif dimensions is None:
        dimensions = DIMENSIONS
    question = question._replace(dimensions=dimensions)
    return Asked(question, _limit(query.get("limit")), as_csv, column)


def _dimensions(text: str | None) -> tuple[Dimension, ...] | None:
    if text is None:
        return None
    names = text.split(",")
    for name in names:
        if name not in _BY_NAME:
            raise Invalid.field("group_by", f"must be one or more of {', '.join(_BY_NAME)}")
    return tuple(_BY_NAME[name] for name in dict.fromkeys(names))


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= MAX_LIMIT:
        raise Invalid.field("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _is_csv(text: str | None, accepted: MIMEAccept) -> bool:
    if text is None:
        return accepted.best_match(["application/json", "text/csv"]) == "text/csv"
    if text not in ("json", "csv"):
        raise Invalid.field("format", "must be json or csv")
    return text == "csv"


def answer(found: Answer, limit: int) -> StatsAnswer:
    """Statistics as JSON has them."""
    question = found.question

    def local(at: datetime) -> str:
        return time_text(at.astimezone(question.zone))

    return StatsAnswer(
        start=local(question.start),
        end=local(question.end),
        interval=question.interval,
        tz=question.zone.key,
        totals=ClickCounts(**found.totals._asdict()),
        series=[IntervalCounts(local(at), **counts._asdict()) for at, counts in found.series],
        by={
            name: [_label(label, clicks) for label, clicks in _cut(labels, limit)]
            for name, labels in found.by.labels.items()
        },
        by_range=ByRange(local(found.by.start), local(found.by.end)),
    )


def _label(label: str | None, clicks: int) -> LabelCount:
    return LabelCount(label, clicks, True if label is None else UNSET)


def _cut(labels: list[tuple[str | None, int]], limit: int) -> list[tuple[str | None, int]]:
    """The first labels, and all clicks of others as one."""
    shown = [entry for entry in labels if entry[0] is not None][:limit]
    rest = sum(clicks for _, clicks in labels) - sum(clicks for _, clicks in shown)
    return [*shown, (None, rest)] if rest else shown


def csv(found: Answer, wanted: Asked) -> str:
    """The series, or the labels of the dimension that was asked for; *other* has no value."""
    text = io.StringIO()
    rows = csv_format.writer(text)
    if wanted.column is None:
        rows.writerow(["start", *Counts._fields])
        zone = found.question.zone
        for start, counts in found.series:
            rows.writerow([time_text(start.astimezone(zone)), *counts])
    else:
        rows.writerow([wanted.column, "clicks"])
        for label, clicks in _cut(found.by.labels[wanted.column], wanted.limit):
            rows.writerow([plain(label or ""), clicks])
    return text.getvalue()


def plain(label: str) -> str:
    """A label that no spreadsheet takes for a formula."""
    return f"'{label}" if label.startswith(_FORMULA) else label
