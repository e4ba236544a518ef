"""`/-/links/{code}`: everything about one link, with its statistics."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request, url_for

from shortener.accounts import Accounts
from shortener.links.link import Link
from shortener.links.repository import Links
from shortener.statistics.stats import link_subject
from shortener.web.api.access import account
from shortener.web.api.answers import LinkAnswer, LinkAnswers
from shortener.web.dashboard import words
from shortener.web.dashboard.desk import Desk, page
from shortener.web.dashboard.reports import Reports
from shortener.web.domains import Domains

ACTIONS = (  # what can be done with a link: its page, its name, how its button looks, the scope
    ("dashboard.forms.edit", "Edit", "quiet", "links:write"),
    ("dashboard.pictures.form", "QR code", "quiet", "links:read"),
    ("dashboard.removal.ask", "Delete", "danger", "links:write"),
)


def blueprint(
    desk: Desk,
    reports: Reports,
    links: Links,
    shown: LinkAnswers,
    domains: Domains,
    accounts: Accounts,
) -> Blueprint:
    """One link."""
    views = Blueprint("link", __name__)

    @views.get("/links/<code>")
    @desk.needs("links:read")
    def link(code: str) -> Response:
        domain = request.args.get("domain")
        found = links.get(domains.link_name(code, domain))
        answer, now = shown.of([found])[0], int(time.time())
        zone = reports.zone()
        names = {one.id: one.name for one in accounts.list()}
        may_read = account().may("stats:read")
        more: dict[str, Any] = {
            "link": answer,
            "domain": domain,
            "shown_url": answer.short_url.partition("://")[2],
            "state": words.state(found, answer.remaining, now),
            "made": words.moment(found.created, zone),
            "maker": names.get(found.by),
            "facts": list(_facts(found, answer, zone)),
            "actions": list(_actions(found)),
            "may_read_stats": may_read,
        }
        if not may_read:
            return page("link.html", report=None, **more)
        return reports.answer(link_subject(found.name, found.number), "link.html", **more)

    return views


def _actions(link: Link) -> Iterator[tuple[str, str, str]]:
    for endpoint, name, style, scope in ACTIONS:
        if account().may(scope):
            yield name, url_for(endpoint, code=link.code, domain=link.domain), style


def _facts(link: Link, answer: LinkAnswer, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    """What is out of the ordinary, and the clicks of all time."""
    yield "Clicks since then", f"{answer.clicks:,}"
    if answer.bots:
        yield "Bots since then", f"{answer.bots:,}"
    if link.updated:
        yield "Changed", words.moment(link.updated, zone)
    if link.starts is not None:
        yield "Begins", words.moment(link.starts, zone)
    if link.expires is not None:
        yield "Ends", words.moment(link.expires, zone)
    if link.max_clicks is not None and answer.remaining is not None:
        used = link.max_clicks - answer.remaining
        yield "Visitors let through", f"{used:,} of {link.max_clicks:,}"
    if link.expired_url is not None:
        yield "Leads to when it is over", link.expired_url
    if link.password is not None:
        yield "Password", "asked for"
    if link.forward_query:
        yield "Query", "passed on"
    if link.status != 302:
        yield "Redirect", str(link.status)


def address(link: Link) -> str:
    """The page of a link."""
    domain = "" if link.domain is None else f"?{urlencode({'domain': link.domain})}"
    return url_for("dashboard.link.link", code=link.code) + domain
