"""What is fixed at the first start: identity, salt, secret, case, time zone.

Whoever comes first writes each value (`HSETNX`); everyone reads what is there.  A later start with
other settings is refused where going on would break links or statistics.  Salt and secret may be
changed by setting them: stored codes are never decoded, and who is signed in signs in again.
"""

import secrets
from typing import NamedTuple, cast

import redis

from shortener import keys
from shortener.config import ConfigError, Settings

SCHEMA = "1"  # of all that is stored; a later program says which it can read


class Site(NamedTuple):
    """The facts every process of the site agrees on."""

    salt: str  # of the codes
    secret: str  # that signs cookies


def identity(store: redis.Redis) -> str:
    """What tells this site from others, wherever its links are brought."""
    return (cast("bytes | None", store.hget(keys.SITE, "id")) or b"").decode()


def settle(store: redis.Redis, settings: Settings) -> Site:
    """Fix what is not fixed yet.  Raises `ConfigError` when the settings contradict the data."""
    wanted = {
        "schema": SCHEMA,
        "id": secrets.token_hex(8),
        "case_sensitive": str(settings.case_sensitive).lower(),
        "timezone": settings.timezone.key,
        "salt": settings.code_salt or secrets.token_urlsafe(32),
        "secret": settings.secret_key or secrets.token_urlsafe(32),
    }
    pipeline = store.pipeline(transaction=True)
    for field, value in wanted.items():
        pipeline.hsetnx(keys.SITE, field, value)
    pipeline.hgetall(keys.SITE)
    stored = cast("dict[bytes, bytes]", pipeline.execute()[-1])
    fixed = {field.decode(): value.decode() for field, value in stored.items()}
    for field in ("schema", "case_sensitive", "timezone"):
        if fixed[field] != wanted[field]:
            name = "the data" if field == "schema" else f"SHORTENER_{field.upper()}"
            raise ConfigError(
                f"{name}: is {wanted[field]}, but the data was made with {fixed[field]}"
            )
    return Site(settings.code_salt or fixed["salt"], settings.secret_key or fixed["secret"])
