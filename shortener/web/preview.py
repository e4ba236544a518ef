"""`/{code}+`: where a link leads, for whoever wants to know before going there.

It counts nothing and uses nothing up.  Behind a password it tells neither destination nor title,
and of a link that has not begun nothing at all.  Unlike the redirect it leads nowhere itself,
whatever `expired_url` and NOT_FOUND_URL say.
"""

import time
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec
from flask import Blueprint, Response, render_template, request

from shortener import qr, targets
from shortener.config import Settings
from shortener.errors import LinkExpired, LinkUsedUp, Problem
from shortener.links.link import Link
from shortener.links.redirects import lead, over
from shortener.links.repository import Links
from shortener.web.api.answers import time_text
from shortener.web.lookup import Lookup


class Facts(msgspec.Struct, frozen=True):
    """What anybody may know of a link: the answer in JSON, and what the page is made of."""

    short_url: str
    url: str | None  # null: hidden behind the password
    title: str | None
    has_password: bool
    created_at: str
    expires_at: str | None


def blueprint(links: Links, lookup: Lookup, settings: Settings) -> Blueprint:
    """`GET /{code}+`: a page, or JSON for who prefers that."""
    views = Blueprint("preview", __name__)

    @views.get("/<code>+")
    def preview(code: str) -> Response:
        link = lookup.find(code)
        _check(link, time.time_ns() // 1_000_000)
        offered = ["text/html", "application/json"]
        wants_json = request.accept_mimetypes.best_match(offered) == "application/json"
        facts = _facts(link)
        response = _json(facts) if wants_json else _page(link, facts)
        response.headers["Cache-Control"] = "private, no-store"
        response.vary.add("Accept")
        return response

    def _check(link: Link, now: int) -> None:
        """Raises the problem of a link that leads nowhere at `now` (milliseconds since 1970)."""
        problem: type[Problem] = LinkExpired
        redirect = lead(link, now, b"")
        if redirect.counted and link.max_clicks is not None:
            if links.uses([link])[0] < link.max_clicks:
                return
            problem = LinkUsedUp
            redirect = over(link, problem)
        if not redirect.counted:
            raise problem(f"Who follows this link now is sent to {redirect.location}")

    def _facts(link: Link) -> Facts:
        is_hidden = link.password is not None
        return Facts(
            short_url=settings.short_url(link.domain, link.code),
            url=None if is_hidden else link.url,
            title=None if is_hidden else link.title,
            has_password=is_hidden,
            created_at=time_text(link.created),
            expires_at=None if link.expires is None else time_text(link.expires),
        )

    def _page(link: Link, facts: Facts) -> Response:
        return Response(
            render_template(
                "preview.html",
                facts=facts,
                code=link.code,
                host=settings.base_of(link.domain).partition("://")[2],
                destination=None if facts.url is None else targets.host(facts.url),
                made=_date(link.created),
                ends=None if link.expires is None else _date(link.expires),
                picture=picture(facts.short_url),
            )
        )

    def _date(seconds: int) -> str:
        """A time for people, in the site's zone."""
        at = datetime.fromtimestamp(seconds, UTC)
        zone = settings.timezone.key
        try:
            at = at.astimezone(settings.timezone)
        except OverflowError:  # the last hours of the year 9999
            zone = "UTC"
        return f"{at.day} {at:%B %Y, %H:%M} ({zone})"

    return views


def _json(facts: Facts) -> Response:
    return Response(msgspec.json.encode(facts), mimetype="application/json")


def picture(short_url: str) -> str:
    """The short URL as a QR code, in a `data:` URL."""
    picture = qr.svg(short_url, qr.Style(size=192)).strip()
    return f"data:image/svg+xml,{quote(picture, safe=',=:/')}"
