"""`/-/links`: the list of links, and what is done with several of them at once.

The address has the parameters of the API's list; a date alone means its midnight in the site's
zone.  What is shown can be had as CSV, up to a bound: more is for `shortener export`.
"""

import contextlib
import csv
import io
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from flask import Blueprint, Response, request, url_for
from werkzeug.datastructures import MultiDict

from shortener.errors import Invalid, LinkNotFound
from shortener.links.catalogue import Catalogue
from shortener.links.filters import Question
from shortener.links.link import Link
from shortener.links.repository import Links
from shortener.links.tags import Tags
from shortener.statistics.intervals import midnight
from shortener.statistics.stats import Stats, link_subject
from shortener.web.api import bodies, listing
from shortener.web.api.access import account
from shortener.web.api.answers import LinkAnswer, LinkAnswers
from shortener.web.api.kinds import MAX_TAGS
from shortener.web.api.stats_forms import plain
from shortener.web.dashboard import charts, words
from shortener.web.dashboard.desk import Desk, page
from shortener.web.dashboard.reports import Reports
from shortener.web.domains import Domains

ROWS = 20  # of a page
MAX_EXPORT = 50_000  # links in one CSV
MAX_KNOWN = 200  # tags that are offered
FILTERS = ("search", "tag", "created_after", "created_before", "domain", "sort")
SORTS = {"-created": "Newest first", "created": "Oldest first", "-clicks": "Most clicked first"}
COLUMNS = (
    *("short_url", "url", "title", "tags", "clicks", "bots", "created_at", "expires_at"),
    *("max_clicks", "has_password"),
)


class Row(NamedTuple):
    """A link in the list; `name` tells it from all others."""

    name: str
    link: LinkAnswer
    domain: str | None
    shown: str
    state: str
    spark: Any
    made: str


def blueprint(
    desk: Desk,
    reports: Reports,
    links: Links,
    catalogue: Catalogue,
    stats: Stats,
    tags: Tags,
    shown: LinkAnswers,
    domains: Domains,
) -> Blueprint:
    """The list."""
    views = Blueprint("links", __name__)

    @views.get("/links")
    @desk.needs("links:read")
    def links_() -> Response:
        asked, wrong = _asked(reports), {}
        try:
            question = listing.question(asked, domains)
        except Invalid as problem:
            wrong = {one.field: one.message for one in problem.fields}
            question = Question()
        found = catalogue.page(question)
        behind = found.following
        return page(
            "links.html",
            422 if wrong else 200,
            rows=_rows(found.links),
            total=found.total,
            following=None
            if behind is None
            else _address(cursor=listing.cursor(behind, question.sort)),
            is_later="cursor" in asked,
            first=_address(cursor=None),
            asked=request.args,
            tags=request.args.getlist("tag"),
            without={tag: _without(tag) for tag in request.args.getlist("tag")},
            known=tags.names()[:MAX_KNOWN],
            domains=[] if domains.only else sorted(domains.all),
            sorts=SORTS,
            wrong=wrong,
            is_filtered=any(request.args.get(name) for name in FILTERS if name != "sort"),
            csv=url_for("dashboard.links.export") + _address(cursor=None),
        )

    @views.get("/links.csv")
    @desk.needs("links:read")
    def export() -> Response:
        question = listing.question(_asked(reports), domains)
        question = msgspec.structs.replace(question, limit=MAX_EXPORT, behind=None)
        found = catalogue.page(question)
        if found.following is not None:
            fault = f"are more than {MAX_EXPORT:,}: narrow the list, or use `shortener export`"
            raise Invalid.field("links", fault)
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(COLUMNS)
        rows.writerows(_cells(answer) for answer in shown.of(found.links))
        response = Response(text.getvalue(), mimetype="text/csv")
        response.headers["Content-Disposition"] = "attachment; filename=links.csv"
        return response

    @views.post("/links/selected")
    @desk.needs("links:write")
    def selected() -> Response:
        """Tag, untag or delete several links; deleting asks once more."""
        names = request.form.getlist("select")
        action = request.form.get("action", "")
        back = url_for("dashboard.links.links_") + _only_query(request.form.get("back", ""))
        if not names:
            return desk.go(back, "No link was selected.")
        if action == "delete" and "sure" not in request.form:
            some = [link for link in links.read(names) if link is not None]
            return page("delete.html", links=shown.of(some), names=names, back=back)
        if action == "delete":
            return desk.go(back, _done(_deleted(names), len(names), "deleted"))
        try:
            tag = bodies.tag(request.form.get("tag", ""), "tag")
        except Invalid as problem:
            return desk.go(back, f"Nothing was done: the tag {problem.fields[0].message}.")
        change = _tagged if action == "tag" else _untagged
        done = sum(_changed(name, lambda link: change(link, tag)) for name in names)
        word = "have" if action == "tag" else "do not have"
        return desk.go(back, f"{done:,} of {len(names):,} links {word} the tag {tag} now.")

    def _rows(found: list[Link]) -> list[Row]:
        now, zone = datetime.now(UTC), reports.zone()
        days: list[list[int]] = [[] for _ in found]
        if account().may("stats:read"):
            subjects = [link_subject(link.name, link.number) for link in found]
            days = stats.daily(subjects, charts.SPARK, now)
        return [
            Row(
                link.name,
                answer,
                link.domain,
                answer.short_url.partition("://")[2],
                words.state(link, answer.remaining, int(now.timestamp())),
                charts.sparkline(counts) if any(counts) else "",
                words.moment(link.created, zone),
            )
            for link, answer, counts in zip(found, shown.of(found), days, strict=True)
        ]

    def _deleted(names: list[str]) -> int:
        count = 0
        for name in names:
            try:
                links.delete(name, int(time.time()))
            except LinkNotFound:
                continue
            count += 1
        return count

    def _changed(name: str, change: Callable[[Link], Link]) -> bool:
        try:
            links.rewrite(name, lambda _, link: change(link))
        except (LinkNotFound, Invalid):
            return False
        return True

    return views


def _asked(reports: Reports) -> "MultiDict[str, str]":
    """The parameters, without empty ones, dates as midnights."""
    found: MultiDict[str, str] = MultiDict()
    for name, value in request.args.items(multi=True):
        if not value.strip():
            continue
        if name.startswith("created_") and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            with contextlib.suppress(ValueError, OverflowError):
                value = midnight(date.fromisoformat(value), reports.site_zone).isoformat()
        found.add(name, value)
    found.setdefault("limit", str(ROWS))
    return found


def _address(cursor: str | None) -> str:
    """This list's query, at another place of it."""
    kept = [(name, value) for name in FILTERS for value in request.args.getlist(name) if value]
    if cursor is not None:
        kept.append(("cursor", cursor))
    return _query(kept)


def _without(tag: str) -> str:
    kept = [(name, value) for name in FILTERS for value in request.args.getlist(name) if value]
    return url_for("dashboard.links.links_") + _query(
        [pair for pair in kept if pair != ("tag", tag)]
    )


def _query(pairs: list[tuple[str, str]]) -> str:
    return f"?{urlencode(pairs)}" if pairs else ""


def _only_query(text: str) -> str:
    """What a form says of the list that it was on: a query and nothing else."""
    return text if re.fullmatch(r"\?[\w%.~=&+*/:@!,;$'()-]*", text, re.ASCII) else ""


def _tagged(link: Link, tag: str) -> Link:
    if tag in link.tags:
        return link
    if len(link.tags) >= MAX_TAGS:
        raise Invalid.field("tags", f"must be at most {MAX_TAGS}")
    return msgspec.structs.replace(link, tags=(*link.tags, tag), updated=int(time.time()))


def _untagged(link: Link, tag: str) -> Link:
    if tag not in link.tags:
        return link
    left = tuple(one for one in link.tags if one != tag)
    return msgspec.structs.replace(link, tags=left, updated=int(time.time()))


def _done(count: int, wanted: int, what: str) -> str:
    if count == wanted == 1:
        return f"The link is {what}."
    return f"{count:,} of {wanted:,} links are {what}."


def _cells(answer: LinkAnswer) -> Iterator[object]:
    for column in COLUMNS:
        value = getattr(answer, column)
        if column == "tags":
            value = ",".join(value)
        yield plain(value) if isinstance(value, str) else value
