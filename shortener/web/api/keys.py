"""API keys: list, make, revoke.  Only for `admin`."""

import time

from flask import Blueprint, Response, request

from shortener.accounts import Accounts
from shortener.errors import Invalid, NotFound
from shortener.web.api import answers, bodies, examples
from shortener.web.api.access import Access, reply
from shortener.web.api.answers import KeyAnswer, KeyList
from shortener.web.api.described import Reply, described
from shortener.web.api.kinds import MAX_KEY_NAME


def blueprint(access: Access, accounts: Accounts) -> Blueprint:
    """`/keys`."""
    views = Blueprint("keys", __name__)

    @views.get("/keys")
    @access.needs("admin")
    @described(Reply(200, "All keys.", KeyList, examples.KEYS))
    def list_keys() -> Response:
        """List the keys, without their secrets."""
        uses = accounts.uses()
        found = [answers.key_answer(one, uses.get(one.id)) for one in accounts.list()]
        return reply(KeyList(found))

    @views.post("/keys")
    @access.needs("admin")
    @described(
        Reply(201, "The new key, with its secret.", KeyAnswer, examples.NEW_KEY),
        body=bodies.NewKey,
        example=examples.KEY_TO_MAKE,
    )
    def create_key() -> Response:
        """Make a key.

        The secret is in this answer and nowhere else: only its hash is kept.
        """
        now = int(time.time())
        new = bodies.read(request.get_data(), bodies.NewKey)
        name = bodies.text(new.name, "name", MAX_KEY_NAME).strip()
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
    @described(Reply(204, "The key is none any more."), problems=(NotFound,))
    def revoke_key(identity: str) -> Response:
        """Revoke a key.

        What it made stays.
        """
        if not accounts.revoke(identity):
            raise NotFound(f"There is no key with the id {identity}.")
        return Response(status=204)

    return views
