"""Links: make, find, list, change, delete."""

import time
from urllib.parse import quote

from flask import Blueprint, Response, request
from msgspec import UNSET

from shortener import codes, targets
from shortener.config import Settings
from shortener.errors import Invalid
from shortener.link import Link, Wish, check_times, version
from shortener.links import Links
from shortener.web.api import bodies, queries
from shortener.web.api.access import Access, account, reply
from shortener.web.api.answers import LinkAnswers
from shortener.web.domains import Domains


def blueprint(
    access: Access,
    links: Links,
    shown: LinkAnswers,
    domains: Domains,
    settings: Settings,
    reserved: set[str],
) -> Blueprint:
    """`/links`; `reserved` are names that no alias may have."""
    views = Blueprint("links", __name__)

    @views.post("/links")
    @access.needs("links:write")
    @access.limited
    def create_link() -> Response:
        queries.known(request.args, ())
        now = int(time.time())
        wish = _wish(bodies.read(request.get_data(), bodies.NewLink), now)
        link, is_new = links.create(wish, account().id, now)
        response = _link(link, 201 if is_new else 200)
        response.headers["Location"] = f"/api/v1/links/{quote(link.code)}" + (
            "" if link.domain is None else f"?domain={link.domain}"
        )
        return response

    @views.get("/links")
    @access.needs("links:read")
    def list_links() -> Response:
        limit, below = queries.page(request.args)
        page = links.page(limit, below)
        following = None if page.next_place is None else queries.cursor(page.next_place)
        found = shown.of(page.links)
        return reply({"links": found, "next_cursor": following, "total": page.total})

    @views.get("/links/<code>")
    @access.needs("links:read")
    def read_link(code: str) -> Response:
        return _link(links.get(_name(code)))

    @views.patch("/links/<code>")
    @access.needs("links:write")
    def change_link(code: str) -> Response:
        body = bodies.read(request.get_data(), bodies.LinkChange)
        changed = bodies.fields(body, settings.redirect_status, check_url)
        expected = request.headers.get("If-Match", "*").strip().strip('"')
        return _link(
            links.change(
                _name(code), changed, int(time.time()), None if expected == "*" else expected
            )
        )

    @views.delete("/links/<code>")
    @access.needs("links:write")
    def delete_link(code: str) -> Response:
        links.delete(_name(code), int(time.time()))
        return Response(status=204)

    def _wish(new: bodies.NewLink, now: int) -> Wish:
        """What is asked for, checked and normalised."""
        found = bodies.fields(new, settings.redirect_status, check_url)
        expires = found.get("expires")
        if expires is not None and expires <= now:
            raise Invalid.field("expires_at", "must be in the future")
        check_times(found.get("starts"), expires)
        alias = None if new.code is UNSET else new.code
        if alias is not None:
            alias = codes.check_alias(alias, settings.case_sensitive, frozenset(reserved))
        return Wish(
            found,
            settings.redirect_status,
            domains.stored(None if new.domain is UNSET else new.domain),
            alias,
            new.code_length or 0,
        )

    def check_url(url: str, field: str) -> str:
        return targets.check(url, domains.all, settings.block_private, field)

    def _link(link: Link, status: int = 200) -> Response:
        response = reply(shown.of([link])[0], status)
        response.set_etag(version(link))
        return response

    def _name(code: str) -> str:
        """The name of the link that a path and `?domain=` speak of."""
        queries.known(request.args, ("domain",))
        return domains.link_name(code, request.args.get("domain"))

    return views
