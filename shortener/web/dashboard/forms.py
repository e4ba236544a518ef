"""`/-/links/new` and `/-/links/{code}/edit`: every field of the API, as forms.

What is wrong is said at its field, and what was typed stays.  A form for a new link carries a value
that is used once: sent twice, it makes one link; shown again, it has another one, for what it asks
is another thing.  One for a change carries the version that it was made of, until somebody else's
change was shown: nobody is overruled unseen.  What was not touched is not sent on: a tag with a
comma and a time that the clocks have twice stay what they are.
"""

import secrets
import time
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request, url_for

from shortener.config import Settings
from shortener.errors import Changed, CodeTaken, Invalid, Problem
from shortener.links.link import Link, version
from shortener.links.mint import Mint, Repetition
from shortener.links.repository import Links
from shortener.web.api import bodies
from shortener.web.api.access import account
from shortener.web.api.wishes import Wishes
from shortener.web.dashboard import fields
from shortener.web.dashboard.desk import Desk, page
from shortener.web.dashboard.reports import Reports
from shortener.web.domains import Domains


def blueprint(
    desk: Desk,
    reports: Reports,
    links: Links,
    mint: Mint,
    wishes: Wishes,
    domains: Domains,
    settings: Settings,
) -> Blueprint:
    """Make a link, change a link."""
    views = Blueprint("forms", __name__)
    usual = {"domain": domains.shown(None), "redirect_status": str(settings.redirect_status)}

    @views.get("/links/new")
    @desk.needs("links:write")
    def new() -> Response:
        return _form(usual | {name: value for name, value in request.args.items() if value}, {})

    @views.post("/links/new")
    @desk.needs("links:write")
    @desk.access.limited
    def create() -> Response:
        given, now = dict(request.form.items()), int(time.time())
        try:
            body = fields.body(given, _zone(given), is_new=True)
            wish = wishes.read(bodies.convert(body, bodies.NewLink), now)
            outcome = mint.make([wish], account().id, now, repetition(given, body))[0]
            if isinstance(outcome, Problem):
                raise outcome
        except Invalid as problem:
            return _form(given, faults(problem), problem.status)
        except CodeTaken as problem:
            return _form(given, {"code": "is taken by another link"}, problem.status)
        link = outcome.link
        to = url_for("dashboard.overview.overview", made=link.code, domain=link.domain)
        return desk.go(to, "" if outcome.is_new else "This link was there already.")

    @views.get("/links/<code>/edit")
    @desk.needs("links:write")
    def edit(code: str) -> Response:
        link = _link(code)
        return _form(fields.typed(link, reports.zone()), {}, link=link)

    @views.post("/links/<code>/edit")
    @desk.needs("links:write")
    def change(code: str) -> Response:
        given, now, link = dict(request.form.items()), int(time.time()), _link(code)
        try:
            zone = _zone(given)
            body = fields.body(given, zone, is_new=False, before=fields.typed(link, zone))
            changed = wishes.change(bodies.convert(body, bodies.LinkChange))
            links.change(link.name, changed, now, given.get("version") or version(link))
        except Invalid as problem:
            seen = given.get("version", "")
            return _form(given, faults(problem), problem.status, link, seen=seen)
        except Changed as problem:
            current = _link(code)
            return _form(given, {}, problem.status, current, _others(given, current))
        to = url_for("dashboard.link.link", code=link.code, domain=link.domain)
        return desk.go(to, "The link is changed.")

    def _form(
        given: Mapping[str, str],
        wrong: dict[str, str],
        status: int = 200,
        link: Link | None = None,
        others: dict[str, str] | None = None,
        seen: str = "",
    ) -> Response:
        """`seen` is the version that the form was made of; else it is that of `link`."""
        shown = [one for one in fields.FIELDS if link is None or not one.is_new_only]
        return page(
            "form.html",
            status,
            link=link,
            given=given,
            wrong=wrong,
            others=others,
            plain=[one for one in shown if one.name not in fields.ADVANCED],
            advanced=[one for one in shown if one.name in fields.ADVANCED],
            is_open=any(given.get(n) or n in wrong for n in fields.ADVANCED - {"redirect_status"})
            or given.get("redirect_status", "") not in ("", usual["redirect_status"])
            or (link is not None and link.password is not None),
            labels={one.name: one.label for one in fields.FIELDS},
            statuses=fields.STATUSES,
            domains=[] if domains.only else sorted(domains.all),
            zone=_zone(given).key,
            once=secrets.token_urlsafe(12),
            version=seen or ("" if link is None else version(link)),
        )

    def _zone(given: Mapping[str, str]) -> ZoneInfo:
        """The zone that times were typed in: the form names it."""
        name = given.get("zone")
        return reports.zone_named(name) if name else reports.zone()

    def _others(given: Mapping[str, str], current: Link) -> dict[str, str]:
        """What differs between what was typed and what the link has become."""
        now = fields.typed(current, _zone(given))
        return {name: text for name, text in now.items() if text != given.get(name, "").strip()}

    def _link(code: str) -> Link:
        return links.get(domains.link_name(code, request.args.get("domain")))

    return views


def repetition(given: Mapping[str, str], body: Any) -> Repetition | None:
    """What tells a form that is sent twice."""
    once = given.get("once", "")[:64]
    return Repetition(once, repr(body).encode()) if once else None


def faults(problem: Problem) -> dict[str, str]:
    """What is wrong, by field; of a list, what is wrong with one of it."""
    found = {one.field.partition("[")[0]: one.message for one in problem.fields}
    if found.pop("Idempotency-Key", None):  # gone back to, typed over and sent again
        found["url"] = "may be there already: this form has been sent. Send it again for one more."
    return found
