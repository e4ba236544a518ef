"""Passwords of links: slow hashes, and a bound on guessing.

Tries are counted for each link and address (of IPv6 the /64), over all workers: whoever guesses is
made to wait, and nobody else is locked out by it.
"""

from werkzeug.security import check_password_hash, generate_password_hash

from shortener.errors import TooManyTries, WrongPassword
from shortener.limits import Limits
from shortener.links.link import Link
from shortener.web.limited import refused
from shortener.web.visitor import network

MAX_PASSWORD = 256  # characters


class Password:
    """One that was asked for, with its hash made once and when it is needed."""

    def __init__(self, plain: str) -> None:
        self._plain, self._hash = plain, ""

    def hashed(self) -> str:
        """A salted scrypt hash (RFC 7914; about 50 ms and 32 MiB of memory)."""
        self._hash = self._hash or generate_password_hash(self._plain, method="scrypt")
        return self._hash

    def matches(self, stored: str | None) -> bool:
        """Whether it is the one behind a stored hash."""
        return stored is not None and check_password_hash(stored, self._plain)


class Passwords:
    """Checks passwords, within `limits`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def check(self, password: str, link: Link, visitor: str) -> None:
        """Raises `WrongPassword`; `TooManyTries` before anything is hashed."""
        who = (str(link.number), network(visitor))
        standing = self._limits.standing("password", *who)
        if standing is not None and not standing.remaining:
            raise refused(TooManyTries(), self._limits.refusal("password", *who))
        given = password[:MAX_PASSWORD]
        if not Password(given).matches(link.password):
            self._limits.hit("password", *who)
            raise WrongPassword
