"""Who asks, and whether they may: every view of the API names the scope that it needs."""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import msgspec
from flask import Response, g, request

from shortener.accounts import Account, Accounts

P = ParamSpec("P")
View = Callable[P, Response]


class Access:
    """Lets in whom `accounts` knows."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def needs(self, scope: str) -> Callable[[View[P]], View[P]]:
        """Let a view answer only to keys with `scope`; `account()` is the one that asks."""

        def decorate(view: View[P]) -> View[P]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
                account = self._accounts.authenticate(_key(), int(time.time()))
                account.require(scope)
                g.account = account
                return view(*args, **kwargs)

            return guarded

        return decorate


def account() -> Account:
    """The account of the key that the running request came with."""
    found: Account = g.account
    return found


def reply(body: object, status: int = 200) -> Response:
    """An answer in JSON."""
    response = Response(msgspec.json.encode(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _key() -> str:
    """The API key of a request: `Authorization: Bearer …` or `X-Api-Key: …`."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return request.headers.get("X-Api-Key", "").strip()
