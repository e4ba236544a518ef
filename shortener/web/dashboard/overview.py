"""`/-/`: what one sees first.  Make a link, how the last 30 days went, what happens just now.

The form carries a value that is used once, as an API client would send an `Idempotency-Key`: sent
twice, it makes one link.
"""

import secrets
import time
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, request, url_for

from shortener.errors import CodeTaken, Invalid, LinkNotFound, Problem
from shortener.links.catalogue import Catalogue
from shortener.links.filters import Question
from shortener.links.mint import Mint
from shortener.links.repository import Links
from shortener.statistics.stats import SITE, Stats, link_subject
from shortener.web.api import bodies, live
from shortener.web.api.access import account
from shortener.web.api.answers import LinkAnswers
from shortener.web.api.wishes import Wishes
from shortener.web.dashboard import charts, words
from shortener.web.dashboard.desk import Desk, page
from shortener.web.dashboard.forms import faults, repetition
from shortener.web.dashboard.reports import Reports
from shortener.web.domains import Domains
from shortener.web.preview import picture

TOP = 6  # links that are clicked most


def blueprint(
    desk: Desk,
    reports: Reports,
    links: Links,
    mint: Mint,
    catalogue: Catalogue,
    stats: Stats,
    shown: LinkAnswers,
    wishes: Wishes,
    domains: Domains,
) -> Blueprint:
    """The overview."""
    views = Blueprint("overview", __name__)

    @views.get("/")
    @desk.needs()
    def overview() -> Response:
        return _page({}, {})

    @views.post("/")
    @desk.needs("links:write")
    @desk.access.limited
    def create() -> Response:
        given = {name: request.form.get(name, "").strip() for name in ("url", "code", "once")}
        fields = {name: given[name] for name in ("url", "code") if given[name]}
        now = int(time.time())
        try:
            wish = wishes.read(bodies.convert(fields, bodies.NewLink), now)
            outcome = mint.make([wish], account().id, now, repetition(given, fields))[0]
        except Invalid as problem:
            return _page(given, faults(problem), 422)
        if isinstance(outcome, CodeTaken):
            return _page(given, {"code": "is taken by another link"}, outcome.status)
        if isinstance(outcome, Problem):
            raise outcome
        link = outcome.link
        to = url_for("dashboard.overview.overview", made=link.code, domain=link.domain)
        return desk.go(to, "")

    @views.get("/live")
    @desk.needs("stats:read")
    def listen() -> Response:
        """The stream is the event loop's (`web/live.py`)."""
        return live.admit()

    def _page(given: dict[str, str], wrong: dict[str, str], status: int = 200) -> Response:
        now = datetime.now(UTC)
        may_read = account().may("stats:read")
        return page(
            "overview.html",
            status,
            given=given,
            wrong=wrong,
            once=secrets.token_urlsafe(12),
            links=_top(now, may_read) if account().may("links:read") else None,
            report=reports.last_month(SITE, now) if may_read else None,
            change=words.change,
            **_made(),
        )

    def _made() -> dict[str, Any]:
        """The link that was made just now."""
        code, domain = request.args.get("made"), request.args.get("domain")
        if code is None or not account().may("links:read"):
            return {"made": None}
        try:
            found = links.get(domains.link_name(code, domain))
        except (Invalid, LinkNotFound):
            return {"made": None}
        (made,) = shown.of([found])
        return {
            "made": made,
            "made_shown": made.short_url.partition("://")[2],
            "made_domain": found.domain,
            "picture": picture(made.short_url),
        }

    def _top(now: datetime, may_read: bool) -> list[dict[str, Any]]:
        found = catalogue.page(Question(TOP, None, "-clicks")).links
        subjects = [link_subject(link.name, link.number) for link in found]
        days = stats.daily(subjects, charts.SPARK, now) if may_read else [[] for _ in found]
        return [
            {
                "link": answer,
                "domain": link.domain,
                "shown": answer.short_url.partition("://")[2],
                "spark": charts.sparkline(counts) if counts else "",
            }
            for link, answer, counts in zip(found, shown.of(found), days, strict=True)
        ]

    return views
