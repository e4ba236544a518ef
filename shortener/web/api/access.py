"""Who asks, and whether they may: every view of the API names the scope that it needs.

Keys that are none are counted by address (of IPv6 the /64).  Who sent too many is told to wait
before any further key is looked up, but for keys that this worker has let in lately: behind one
address there may be both somebody who guesses and somebody who works.
"""

import time
from collections.abc import Callable
from functools import partial, wraps
from typing import ParamSpec

import msgspec
from flask import Response, after_this_request, g, request

from shortener.accounts import Account, Accounts
from shortener.errors import RateLimited, TooManyTries, Unauthorized
from shortener.limits import Limits, Standing
from shortener.web.api.answers import PRIVATE
from shortener.web.api.described import note
from shortener.web.limited import fields, refused
from shortener.web.visitor import network

P = ParamSpec("P")
View = Callable[P, Response]


class Access:
    """Lets in whom `accounts` knows, as often as `limits` allow."""

    def __init__(self, accounts: Accounts, limits: Limits) -> None:
        self._accounts, self._limits = accounts, limits

    def needs(self, *scopes: str) -> Callable[[View[P]], View[P]]:
        """Let a view answer only to keys with all `scopes`; `account()` is the one that asks."""

        def decorate(view: View[P]) -> View[P]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
                account = self.authenticate(_key(), int(time.time()))
                for scope in scopes:
                    account.require(scope)
                g.account = account
                return view(*args, **kwargs)

            note(guarded, scopes=scopes)
            return guarded

        return decorate

    def authenticate(self, key: str, now: int) -> Account:
        """The account of a key that this request came with.

        Raises `Unauthorized`, or `TooManyTries` when the address has sent too many that are none.
        """
        visitor = network(request.remote_addr or "")
        standing = self._limits.standing("keys", visitor)
        if standing is not None and not standing.remaining and not self._accounts.knows(key):
            raise refused(TooManyTries(), self._limits.refusal("keys", visitor))
        try:
            return self._accounts.authenticate(key, now)
        except Unauthorized:
            if key:
                self._limits.hit("keys", visitor)
            raise

    def limited(self, view: View[P]) -> View[P]:
        """Let a view that makes links answer each key so often; to `needs`, inside of it.

        `admin` keys are exempt.  The answer says how the limit stands.
        """

        @wraps(view)
        def counted(*args: P.args, **kwargs: P.kwargs) -> Response:
            if "admin" in account().scopes:
                return view(*args, **kwargs)
            identity = account().id
            allowed = self._limits.hit("creation", identity)
            if not allowed:
                raise refused(RateLimited(), self._limits.refusal("creation", identity))
            standing = self._limits.standing("creation", identity)
            if standing is not None:
                after_this_request(partial(_tell, standing))
            return view(*args, **kwargs)

        note(counted, is_limited=True)
        return counted


def _tell(standing: Standing, response: Response) -> Response:
    response.headers.update(fields(standing))
    return response


def account() -> Account:
    """The account of the key that the running request came with."""
    found: Account = g.account
    return found


def reply(body: object, status: int = 200) -> Response:
    """An answer in JSON."""
    response = Response(msgspec.json.encode(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = PRIVATE
    return response


def _key() -> str:
    """The API key of a request: `Authorization: Bearer …` or `X-Api-Key: …`."""
    headers = request.headers
    return key_in(headers.get("Authorization", ""), headers.get("X-Api-Key", ""))


def key_in(authorization: str, alone: str) -> str:
    """The API key in the two headers that may have it; "" when there is none."""
    scheme, _, key = authorization.partition(" ")
    return (key if scheme.lower() == "bearer" else alone).strip()
