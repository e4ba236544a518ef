"""`/-/keys`: API keys, for `admin`.

A new key's secret is shown once, on the page that its form leads to; a page that is loaded again
shows it no more and makes no second key.
"""

import time
from collections.abc import Mapping

from flask import Blueprint, Response, g, request, url_for

from shortener.accounts import SCOPES, Account, Accounts
from shortener.errors import Invalid, NotFound
from shortener.web.api import bodies
from shortener.web.api.access import account
from shortener.web.api.kinds import MAX_KEY_NAME
from shortener.web.dashboard import fields, words
from shortener.web.dashboard.desk import Desk, page
from shortener.web.dashboard.reports import Reports

MEANINGS = {
    "links:read": "see links",
    "links:write": "make, change and delete links, and see them",
    "stats:read": "see statistics",
    "admin": "everything, keys included",
}


def blueprint(desk: Desk, reports: Reports, accounts: Accounts) -> Blueprint:
    """Keys."""
    views = Blueprint("keys", __name__)

    @views.get("/keys")
    @desk.needs("admin")
    def keys() -> Response:
        return _page({}, {})

    @views.post("/keys")
    @desk.needs("admin")
    def create() -> Response:
        given, now = dict(request.form.items()), int(time.time())
        scopes = [scope for scope in SCOPES if scope in request.form.getlist("scopes")]
        try:
            name = bodies.text(given.get("name", ""), "name", MAX_KEY_NAME).strip()
            if not name:
                raise Invalid.field("name", "must not be empty")
            if not scopes:
                raise Invalid.field("scopes", "must have at least one")
            expires = fields.seconds("expires_at", given.get("expires_at", ""), reports.zone())
            if expires is not None and expires <= now:
                raise Invalid.field("expires_at", "must be in the future")
        except Invalid as problem:
            return _page(given, {one.field: one.message for one in problem.fields}, 422)
        made, secret = accounts.create(name, scopes, expires, now)
        return desk.go(url_for("dashboard.keys.keys"), f"The key {made.name} is made.", secret)

    @views.get("/keys/<identity>/revoke")
    @desk.needs("admin")
    def ask(identity: str) -> Response:
        return page("revoke.html", key=_key(identity), is_own=identity == account().id)

    @views.post("/keys/<identity>/revoke")
    @desk.needs("admin")
    def revoke(identity: str) -> Response:
        key, now = _key(identity), int(time.time())
        if not accounts.revoke_unless_last(identity, now):
            fault = "It is the last key that may make others: make another admin key first."
            return desk.go(url_for("dashboard.keys.keys"), fault)
        if identity == account().id:
            return desk.sign_out()
        return desk.go(url_for("dashboard.keys.keys"), f"The key {key.name} is none any more.")

    def _key(identity: str) -> Account:
        for one in accounts.list():
            if one.id == identity:
                return one
        raise NotFound(f"There is no key with the id {identity}.")

    def _page(
        given: Mapping[str, str],
        wrong: dict[str, str],
        status: int = 200,
    ) -> Response:
        zone, uses = reports.zone(), accounts.uses()
        rows = [
            (
                one,
                words.moment(one.created, zone),
                None if one.expires is None else words.moment(one.expires, zone),
                words.moment(uses[one.id], zone) if one.id in uses else None,
            )
            for one in accounts.list()
        ]
        return page(
            "keys.html",
            status,
            rows=rows,
            given=given,
            chosen=request.form.getlist("scopes") if wrong else ["links:read"],
            wrong=wrong,
            scopes=MEANINGS,
            own=g.account.id,
            zone=zone.key,
            now=int(time.time()),
        )

    return views
