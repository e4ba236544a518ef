"""Who is signed in with a browser.

A session stands for the API key it was begun with and may what that key may: a key that is revoked
or has expired ends it.  The browser holds a random token, the store its SHA-256 beside the key's,
so neither can be had from the other; signing out makes the token worthless at once.  We give up
that a session lasts: after a week one signs in again.
"""

import secrets
from typing import cast

import redis

from shortener import keys
from shortener.accounts import Account, Accounts, fingerprint
from shortener.errors import Unauthorized

LASTS = 7 * 24 * 3600  # seconds


class Sessions:
    """The sessions of a site."""

    def __init__(self, store: redis.Redis, accounts: Accounts) -> None:
        self._store, self._accounts = store, accounts

    def begin(self, key: str, now: int) -> str:
        """The token of a new session for whoever has `key`.  Raises `Unauthorized`."""
        self._accounts.authenticate(key, now)
        token = secrets.token_urlsafe(24)
        self._store.set(keys.session(fingerprint(token)), fingerprint(key), ex=LASTS)
        return token

    def account(self, token: str, now: int) -> Account:
        """Whose session it is.  Raises `Unauthorized` when it is over."""
        of_key = cast("bytes | None", self._store.get(keys.session(fingerprint(token))))
        if of_key is None:
            raise Unauthorized("The session is over.")
        return self._accounts.known_as(of_key.decode(), now)

    def end(self, token: str) -> None:
        """Sign out."""
        self._store.delete(keys.session(fingerprint(token)))
