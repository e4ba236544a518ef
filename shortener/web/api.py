"""`/api/v1`: links, statistics, keys.  A view is parse, call, reply."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import ParamSpec
from urllib.parse import quote

import msgspec
from flask import Blueprint, Response, g, request
from msgspec import UNSET

from shortener import codes, keys, targets
from shortener.accounts import Account, Accounts
from shortener.cells import Cells
from shortener.config import Settings
from shortener.errors import Invalid, NotFound
from shortener.link import Link, Wish, check_times, version
from shortener.links import Links
from shortener.stats import SITE, Stats, Subject, link_subject
from shortener.web import answers, bodies, queries
from shortener.web.domains import Domains

P = ParamSpec("P")
View = Callable[P, Response]


def blueprint(
    links: Links,
    stats: Stats,
    accounts: Accounts,
    cells: Cells,
    domains: Domains,
    settings: Settings,
    reserved: set[str],
) -> Blueprint:
    """The API; `reserved` are names that no alias may have, and may still be added to."""
    views = Blueprint("api", __name__, url_prefix="/api/v1")

    def needs(scope: str) -> Callable[[View[P]], View[P]]:
        """Let a view answer only to keys with `scope`."""

        def decorate(view: View[P]) -> View[P]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
                account = accounts.authenticate(_key(), int(time.time()))
                account.require(scope)
                g.account = account
                return view(*args, **kwargs)

            return guarded

        return decorate

    @views.post("/links")
    @needs("links:write")
    def create_link() -> Response:
        queries.known(request.args, ())
        now = int(time.time())
        wish = _wish(bodies.read(request.get_data(), bodies.NewLink), now)
        account: Account = g.account
        link, is_new = links.create(wish, account.id, now)
        response = _link(link, 201 if is_new else 200)
        response.headers["Location"] = f"/api/v1/links/{quote(link.code)}" + (
            "" if link.domain is None else f"?domain={link.domain}"
        )
        return response

    @views.get("/links")
    @needs("links:read")
    def list_links() -> Response:
        limit, below = queries.page(request.args)
        page = links.page(limit, below)
        following = None if page.next_number is None else queries.cursor(page.next_number)
        found = _answers(page.links)
        return _reply({"links": found, "next_cursor": following, "total": page.total})

    @views.get("/links/<code>")
    @needs("links:read")
    def read_link(code: str) -> Response:
        return _link(links.get(_name(code)))

    @views.patch("/links/<code>")
    @needs("links:write")
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
    @needs("links:write")
    def delete_link(code: str) -> Response:
        links.delete(_name(code), int(time.time()))
        return Response(status=204)

    @views.get("/links/<code>/stats")
    @needs("stats:read")
    def link_stats(code: str) -> Response:
        link = links.get(_name(code))
        return _stats(link_subject(link.name, link.number), "domain")

    @views.get("/stats")
    @needs("stats:read")
    def site_stats() -> Response:
        return _stats(SITE)

    @views.get("/keys")
    @needs("admin")
    def list_keys() -> Response:
        queries.known(request.args, ())
        return _reply({"keys": [answers.key_answer(account) for account in accounts.list()]})

    @views.post("/keys")
    @needs("admin")
    def create_key() -> Response:
        queries.known(request.args, ())
        now = int(time.time())
        new = bodies.read(request.get_data(), bodies.NewKey)
        name = bodies.text(new.name, "name", bodies.MAX_KEY_NAME).strip()
        if not name:
            raise Invalid.field("name", "must not be empty")
        if not new.scopes:
            raise Invalid.field("scopes", "must have at least one")
        expires = None if new.expires_at is None else bodies.seconds(new.expires_at, "expires_at")
        if expires is not None and expires <= now:
            raise Invalid.field("expires_at", "must be in the future")
        account, secret = accounts.create(name, dict.fromkeys(new.scopes), expires, now)
        return _reply(answers.key_answer(account, secret), 201)

    @views.delete("/keys/<identity>")
    @needs("admin")
    def revoke_key(identity: str) -> Response:
        queries.known(request.args, ())
        if not accounts.revoke(identity):
            raise NotFound(f"There is no key with the id {identity}.")
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
        response = _reply(_answers([link])[0], status)
        response.set_etag(version(link))
        return response

    def _answers(found: list[Link]) -> list[answers.LinkAnswer]:
        totals = stats.totals([link_subject(link.name, link.number) for link in found])
        return [
            answers.link_answer(
                link, total, used, domains.shown(link.domain), settings.base_of(link.domain)
            )
            for link, total, used in zip(found, totals, links.uses(found), strict=True)
        ]

    def _stats(subject: Subject, *also: str) -> Response:
        now = datetime.now(UTC)
        question = queries.question(request.args, cells, now, also)
        return _reply(answers.stats_answer(stats.ask(subject, question, now)))

    def _name(code: str) -> str:
        """The name of the link that a path and `?domain=` speak of."""
        if request.endpoint != "api.link_stats":  # which has parameters of its own
            queries.known(request.args, ("domain",))
        domain = domains.stored(request.args.get("domain"))
        return keys.name(domain, codes.normalise(code, settings.case_sensitive))

    return views


def _key() -> str:
    """The API key of a request: `Authorization: Bearer …` or `X-Api-Key: …`."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return request.headers.get("X-Api-Key", "").strip()


def _reply(body: object, status: int = 200) -> Response:
    response = Response(msgspec.json.encode(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = "private, no-store"
    return response
