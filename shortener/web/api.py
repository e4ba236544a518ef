"""`/api/v1`: links, statistics, keys.  A view is parse, call, reply."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import ParamSpec

import msgspec
from flask import Blueprint, Response, g, request
from msgspec import UNSET

from shortener import codes, targets
from shortener.accounts import Account, Accounts
from shortener.cells import Cells
from shortener.config import Settings
from shortener.errors import Invalid, NotFound
from shortener.links import Link, Links, Wish
from shortener.stats import SITE, Stats, Subject, link_subject
from shortener.web import bodies, queries

P = ParamSpec("P")
View = Callable[P, Response]


def blueprint(
    links: Links,
    stats: Stats,
    accounts: Accounts,
    cells: Cells,
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
        now = int(time.time())
        wish = _wish(bodies.read(request.get_data(), bodies.NewLink), now)
        account: Account = g.account
        link, is_new = links.create(wish, account.id, now)
        response = _reply(_answers([link])[0], 201 if is_new else 200)
        response.headers["Location"] = f"/api/v1/links/{link.code}"
        return response

    @views.get("/links")
    @needs("links:read")
    def list_links() -> Response:
        limit, below = queries.page(request.args)
        page = links.page(limit, below)
        following = None if page.next_number is None else queries.cursor(page.next_number)
        answers = _answers(page.links)
        return _reply({"links": answers, "next_cursor": following, "total": page.total})

    @views.get("/links/<code>")
    @needs("links:read")
    def read_link(code: str) -> Response:
        queries.known(request.args, ())
        return _reply(_answers([links.get(_name(code))])[0])

    @views.delete("/links/<code>")
    @needs("links:write")
    def delete_link(code: str) -> Response:
        links.delete(_name(code), int(time.time()))
        return Response(status=204)

    @views.get("/links/<code>/stats")
    @needs("stats:read")
    def link_stats(code: str) -> Response:
        link = links.get(_name(code))
        return _stats(link_subject(link.code, link.number))

    @views.get("/stats")
    @needs("stats:read")
    def site_stats() -> Response:
        return _stats(SITE)

    @views.get("/keys")
    @needs("admin")
    def list_keys() -> Response:
        queries.known(request.args, ())
        return _reply({"keys": [bodies.key_answer(account) for account in accounts.list()]})

    @views.post("/keys")
    @needs("admin")
    def create_key() -> Response:
        now = int(time.time())
        new = bodies.read(request.get_data(), bodies.NewKey)
        name = bodies.text(new.name, "name", bodies.MAX_KEY_NAME)
        if not new.scopes:
            raise Invalid.field("scopes", "must have at least one")
        expires = None if new.expires_at is None else _later("expires_at", new.expires_at, now)
        account, secret = accounts.create(name, dict.fromkeys(new.scopes), expires, now)
        return _reply(bodies.key_answer(account, secret), 201)

    @views.delete("/keys/<identity>")
    @needs("admin")
    def revoke_key(identity: str) -> Response:
        if not accounts.revoke(identity):
            raise NotFound(f"There is no key with the id {identity}.")
        return Response(status=204)

    def _wish(new: bodies.NewLink, now: int) -> Wish:
        """What is asked for, checked and normalised; null is the default."""
        given = {name for name in ("code", "title", "tags") if getattr(new, name) is not UNSET}
        given |= {"url"}
        given |= {"expires"} if new.expires_at is not UNSET else set()
        given |= {"status"} if new.redirect_status is not UNSET else set()
        case_sensitive, block_private = settings.case_sensitive, settings.block_private
        return Wish(
            url=targets.check(new.url, (settings.domain,), block_private),
            status=new.redirect_status or settings.redirect_status,
            code=codes.check_alias(new.code, case_sensitive, frozenset(reserved))
            if isinstance(new.code, str)
            else None,
            title=bodies.text(new.title, "title", bodies.MAX_TITLE) or None if new.title else None,
            tags=bodies.tags(new.tags) if new.tags else (),
            expires=_later("expires_at", new.expires_at, now) if new.expires_at else None,
            given=frozenset(given),
        )

    def _answers(found: list[Link]) -> list[bodies.LinkAnswer]:
        totals = stats.totals([link_subject(link.code, link.number) for link in found])
        return [
            bodies.link_answer(link, total, settings.base_url)
            for link, total in zip(found, totals, strict=True)
        ]

    def _stats(subject: Subject) -> Response:
        now = datetime.now(UTC)
        question = queries.question(request.args, cells, now)
        return _reply(bodies.stats_answer(stats.ask(subject, question, now)))

    def _name(code: str) -> str:
        return codes.normalise(code, settings.case_sensitive)

    return views


def _key() -> str:
    """The API key of a request: `Authorization: Bearer …` or `X-Api-Key: …`."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return request.headers.get("X-Api-Key", "").strip()


def _later(field: str, at: datetime, now: int) -> int:
    """A time that is still to come, in seconds since 1970."""
    seconds = bodies.seconds(at)
    if seconds <= now:
        raise Invalid.field(field, "must be in the future")
    return seconds


def _reply(body: object, status: int = 200) -> Response:
    response = Response(msgspec.json.encode(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = "private, no-store"
    return response
