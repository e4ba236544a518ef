"""Statistics of a subject as a page: one for links, tags, the site and unknown codes.

The address of a page has the parameters of the API's question, so either can be made of the other.
Where they leave the time zone out it is the visitor's own, which a script has told us in a cookie,
else the site's.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Response, request
from werkzeug.datastructures import MIMEAccept, MultiDict

from shortener.errors import Invalid
from shortener.statistics.cells import Cells
from shortener.statistics.intervals import INTERVALS
from shortener.statistics.series import Counts
from shortener.statistics.stats import Answer, Breakdown, Question, Stats, Subject
from shortener.statistics.visits import DIMENSIONS
from shortener.web.api import queries, stats_forms
from shortener.web.dashboard import charts, words
from shortener.web.dashboard.desk import page

SHOWN = 8  # labels of a card
ALL = 1_000  # labels of a dimension that is shown alone
MAX_ROWS = 130  # intervals in the table behind the chart; the CSV has them all
ZONE = "shortener-zone"  # the cookie
RANGES = {"7 days": 7, "30 days": 30, "90 days": 90, "12 months": 365}


class Chart(NamedTuple):
    """A series, drawn; `rows` are the numbers of each interval."""

    picture: Any
    scale: tuple[int, ...]
    times: list[str]
    rows: list[tuple[str, Counts]]
    has_bots: bool
    has_before: bool


class Row(NamedTuple):
    """A label with its clicks, and how many hundredths of all that is."""

    label: str
    clicks: int
    share: int
    bar: Any


class Card(NamedTuple):
    """The labels of a dimension; `hidden` more are not shown."""

    dimension: str
    title: str
    rows: list[Row]
    hidden: int
    map: Any


class Reports:
    """Answers with pages of statistics."""

    def __init__(self, stats: Stats, cells: Cells) -> None:
        self._stats, self._cells = stats, cells

    def answer(self, subject: Subject, template: str, **more: object) -> Response:
        """The page of `subject` that the address asks for, or its CSV.

        What is wrong with the address is said at its field, over the last 30 days.
        """
        now = datetime.now(UTC)
        asked = self.asked(request.args)
        if "format" in asked:
            return self._csv(subject, asked, now)
        wrong: dict[str, str] = {}
        try:
            question = queries.question(asked, self._cells, now)
            found = self._stats.ask(subject, question, now)
        except Invalid as problem:
            wrong = {one.field: one.message for one in problem.fields}
            question = queries.question(MultiDict(), self._cells, now)
            found = self._stats.ask(subject, question, now)
        shown = request.args.get("show")
        report = self.report(subject, found, now, shown)
        status = 422 if wrong else 200
        more |= {"report": report, "wrong": wrong, "given": asked, "change": words.change}
        return page(template, status, **more)

    @property
    def site_zone(self) -> ZoneInfo:
        """Whose days statistics keep."""
        return self._cells.zone

    def zone(self) -> ZoneInfo:
        """The zone that the page's times are in: the one asked for, or the visitor's own."""
        return self.zone_named(request.args.get("tz") or self._own_zone())

    def zone_named(self, name: str) -> ZoneInfo:
        """A time zone, or the site's for what is none."""
        try:
            return ZoneInfo(name) if name else self._cells.zone
        except (KeyError, ValueError, OSError):
            return self._cells.zone

    def last_month(self, subject: Subject, now: datetime) -> dict[str, Any]:
        """The report of the last 30 days."""
        question = queries.question(self.asked(MultiDict()), self._cells, now)
        return self.report(subject, self._stats.ask(subject, question, now), now, None)

    def report(
        self, subject: Subject, found: Answer, now: datetime, shown: str | None
    ) -> dict[str, Any]:
        """What a page shows of an answer."""
        question = found.question
        before = self._stats.ask(subject, _previous(question), now)
        is_alike = before.question.interval == question.interval
        start, end = (at.astimezone(question.zone) for at in (question.start, question.end))
        return {
            "totals": found.totals,
            "before": before.totals,
            "chart": _chart(found, before if is_alike else None),
            "cards": _cards(found.by, shown),
            "labels_differ": (found.by.start, found.by.end) != (question.start, question.end),
            "labelled": words.span(
                found.by.start.astimezone(self._cells.zone),
                found.by.end.astimezone(self._cells.zone),
            ),
            "span": words.span(start, end),
            "first": start.date().isoformat(),
            "last": (end - timedelta(seconds=1)).date().isoformat(),
            "interval": question.interval,
            "intervals": INTERVALS,
            "zone": question.zone.key,
            "zones": list(dict.fromkeys([self._cells.zone.key, self._own_zone(), "UTC"])),
            "ranges": list(_ranges(question, now)),
            "shown": shown,
            "address": _address,
            "has_all": len(found.series) <= MAX_ROWS,
        }

    def asked(self, args: "MultiDict[str, str]") -> "MultiDict[str, str]":
        """The question in an address, without fields that were left empty."""
        found: MultiDict[str, str] = MultiDict(
            (name, value) for name, value in args.items(multi=True) if value.strip()
        )
        found.setdefault("tz", self._own_zone())
        return found

    def _own_zone(self) -> str:
        """The visitor's time zone, as far as we know."""
        return self.zone_named(request.cookies.get(ZONE, "")).key

    def _csv(self, subject: Subject, asked: "MultiDict[str, str]", now: datetime) -> Response:
        wanted = stats_forms.asked(asked, MIMEAccept(), self._cells, now)
        found = self._stats.ask(subject, wanted.question, now)
        response = Response(stats_forms.csv(found, wanted), mimetype="text/csv")
        response.headers["Content-Disposition"] = "attachment; filename=clicks.csv"
        return response


def _previous(question: Question) -> Question:
    """The same length of time right before, by the calendar; without labels."""
    start, end = (at.astimezone(question.zone) for at in (question.start, question.end))
    length = end.replace(tzinfo=None) - start.replace(tzinfo=None)
    return question._replace(
        start=(start - length).astimezone(UTC), end=question.start, dimensions=()
    )


def _chart(found: Answer, before: Answer | None) -> Chart:
    question = found.question
    earlier = [] if before is None else [counts.clicks for _, counts in before.series]
    rows = [
        (words.interval(at.astimezone(question.zone), question.interval), counts)
        for at, counts in found.series
    ]
    columns = [
        charts.Column(
            _said(name, counts, earlier[place] if place < len(earlier) else None),
            counts.clicks,
            counts.bots,
            earlier[place] if place < len(earlier) else None,
        )
        for place, (name, counts) in enumerate(rows)
    ]
    most = max([counts.clicks + counts.bots for _, counts in rows] + earlier[: len(rows)])
    axis = charts.axis(most)
    title = f"Clicks by {question.interval}: {found.totals.clicks:,} in all"
    return Chart(
        charts.series(columns, axis.top, title),
        axis.labels,
        _times([name for name, _ in rows]),
        rows[:MAX_ROWS],
        bool(found.totals.bots),
        bool(sum(earlier)),
    )


def _said(name: str, counts: Counts, before: int | None) -> str:
    said = f"{name}: {counts.clicks:,} clicks, {counts.visitors:,} visitors, {counts.bots:,} bots"
    return said if before is None else f"{said}; before: {before:,} clicks"


def _times(names: Sequence[str]) -> list[str]:
    """A few of the intervals' names, evenly."""
    if len(names) <= 5:
        return list(names)
    return [names[round(place * (len(names) - 1) / 4)] for place in range(5)]


def _cards(by: Breakdown, shown: str | None) -> list[Card]:
    """A card for each dimension, or of the one that is to be shown alone."""
    names = [one.name for one in DIMENSIONS]
    return [
        _card(name, by.labels[name], by.clicks, ALL if name == shown else SHOWN)
        for name in ([shown] if shown in names else names)
        if name in by.labels
    ]


def _card(name: str, labels: list[tuple[str | None, int]], clicks: int, limit: int) -> Card:
    rows = []
    for label, count in labels[:limit]:
        share = charts.share(count, clicks)
        rows.append(Row(words.spoken(name, label), count, share, charts.bar(share)))
    world = None
    if name == "country" and labels:
        world = charts.world({label: n for label, n in labels if label}, "Clicks by country")
    return Card(name, words.plural(name), rows, max(0, len(labels) - limit), world)


def _ranges(question: Question, now: datetime) -> "Sequence[tuple[str, str, bool]]":
    """The usual ranges: what each is called, its address, and whether it is the one shown."""
    today = now.astimezone(question.zone).date()
    shown = question.start.astimezone(question.zone).date(), _last(question)
    found = []
    for name, days in RANGES.items():
        first = today - timedelta(days=days - 1)
        interval = "day" if days < 365 else "month"
        changed = {"from": first.isoformat(), "to": today.isoformat(), "interval": interval}
        found.append((name, _address(**changed), shown == (first, today)))
    return found


def _last(question: Question) -> date:
    return (question.end.astimezone(question.zone) - timedelta(seconds=1)).date()


def _address(**changed: str | None) -> str:
    """This page's query with some parameters changed; None takes one out."""
    kept = {name: value for name, value in request.args.items() if name != "format"}
    kept |= {name: value for name, value in changed.items() if value is not None}
    for name, value in changed.items():
        if value is None:
            kept.pop(name, None)
    return f"?{urlencode(kept)}"
