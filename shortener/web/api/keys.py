"""API keys: list, make, revoke.  Only for `admin`."""

import time

from flask import Blueprint, Response, request

from shortener.accounts import Accounts
from shortener.errors import Invalid, NotFound
from shortener.web.api import answers, bodies, queries
from shortener.web.api.access import Access, reply


def blueprint(access: Access, accounts: Accounts) -> Blueprint:
    """`/keys`."""
    views = Blueprint("keys", __name__)

    @views.get("/keys")
    @access.needs("admin")
    def list_keys() -> Response:
        queries.known(request.args, ())
        uses = accounts.uses()
        found = [answers.key_answer(one, uses.get(one.id)) for one in accounts.list()]
        return reply({"keys": found})

    @views.post("/keys")
    @access.needs("admin")
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
        return reply(answers.key_answer(account, None, secret), 201)

    @views.delete("/keys/<identity>")
    @access.needs("admin")
    def revoke_key(identity: str) -> Response:
        queries.known(request.args, ())
        if not accounts.revoke(identity):
            raise NotFound(f"There is no key with the id {identity}.")
        return Response(status=204)

    return views
