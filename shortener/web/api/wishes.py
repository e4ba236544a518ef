"""Bodies of requests as wishes: every rule that a link-to-be is held to, in one place."""

from collections.abc import Collection, Sequence
from typing import Any

from msgspec import UNSET

from shortener import codes, targets
from shortener.config import Settings
from shortener.errors import Invalid, Problem
from shortener.links.link import Wish, check_times
from shortener.web.api import bodies
from shortener.web.domains import Domains

MAX_PASSWORDS = 20  # in one bulk request: each takes some 50 ms to hash


class Wishes:
    """Reads bodies; `reserved` are names that no alias may have, and may still be added to."""

    def __init__(self, domains: Domains, settings: Settings, reserved: Collection[str]) -> None:
        self._domains, self._settings, self._reserved = domains, settings, reserved

    def read(self, new: bodies.NewLink, now: int | None, find: bool = False) -> Wish:
        """What is asked for, checked and normalised; without `now` it may be over.  With `find` an
        equal link will do, whether that was asked for or not.

        Raises `Invalid`.
        """
        found = bodies.fields(new, self._settings.redirect_status, self.check_url)
        expires = found.get("expires")
        if expires is not None and now is not None and expires <= now:
            raise Invalid.field("expires_at", "must be in the future")
        check_times(found.get("starts"), expires)
        alias = None if new.code is UNSET else new.code
        if alias is not None:
            alias = self.check_alias(alias)
        return Wish(
            found,
            self._settings.redirect_status,
            self._domains.stored(None if new.domain is UNSET else new.domain),
            alias,
            new.code_length or 0,
            new.find_existing or find,
            bodies.password(new),
        )

    def read_all(self, items: Sequence[object], now: int) -> list[Wish | Problem]:
        """Each of several; one that cannot be is a problem alone."""
        found: list[Wish | Problem] = []
        passwords = 0
        for item in items:
            try:
                wish = self.read(bodies.convert(item, bodies.NewLink), now)
                passwords += wish.password is not None
                if wish.password is not None and passwords > MAX_PASSWORDS:
                    raise Invalid.field("password", f"is for {MAX_PASSWORDS} links of a request")
                found.append(wish)
            except Problem as problem:
                found.append(problem)
        return found

    def change(self, body: bodies.LinkChange) -> dict[str, Any]:
        """The fields of a link that a change sets.  Raises `Invalid`."""
        changed = bodies.fields(body, self._settings.redirect_status, self.check_url)
        if body.password is not UNSET:
            password = bodies.password(body)
            changed["password"] = None if password is None else password.hashed()
        return changed

    def check_url(self, url: str, field: str) -> str:
        """A destination, normalised.  Raises `Invalid`."""
        return targets.check(url, self._domains.all, self._settings.block_private, field)

    def check_alias(self, alias: str) -> str:
        """An alias, normalised.  Raises `Invalid`."""
        return codes.check_alias(alias, self._settings.case_sensitive, frozenset(self._reserved))
