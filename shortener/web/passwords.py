"""Passwords of links: slow hashes, and a bound on guessing.

Tries are counted for each link and address (of IPv6 the /64), over all workers: whoever guesses is
made to wait, and nobody else is locked out by it.
"""

from werkzeug.security import check_password_hash, generate_password_hash

from shortener.errors import TooManyTries, WrongPassword
from shortener.limits import Limits
from shortener.link import Link
from shortener.web.limited import refused
from shortener.web.visitor import network

MAX_PASSWORD = 256  # characters


def hashed(password: str) -> str:
    """A salted scrypt hash (RFC 7914; about 50 ms and 32 MiB of memory)."""
    return generate_password_hash(password, method="scrypt")


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
        if link.password is None or not check_password_hash(link.password, given):
            self._limits.hit("password", *who)
            raise WrongPassword
