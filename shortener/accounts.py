"""API keys and their scopes.  The store holds a key's SHA-256 and never the key.

The id of a key is the beginning of that hash: it names the key in answers and in the links it made,
and is the same again when a lost key is registered anew.

A key that we made carries a checksum: one that was mistyped or made up is refused before the store
is asked.  `SHORTENER_ADMIN_KEY` alone may have any form.  Each process writes the time of a key's
last use once a minute at most, so a use in between does not show.
"""

import contextlib
import hashlib
import hmac
import re
import secrets
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import msgspec
import redis
from redis.client import Pipeline

from shortener import keys
from shortener.config import StartError
from shortener.data_dir import write_durably
from shortener.errors import Forbidden, Unauthorized

PREFIX = "sk_"
SCOPES = ("links:read", "links:write", "stats:read", "admin")
_IMPLIED = {"admin": frozenset(SCOPES), "links:write": frozenset({"links:write", "links:read"})}
UNKNOWN = "This API key is unknown or has expired."
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MAX_KEY = 128  # characters; a longer one is not looked up
USE_PAUSE = 60  # seconds between two writes of a key's last use
MAX_RECENT = 1_000  # keys whose last use a process remembers


class Account(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key, without its secret.  Times are seconds since 1970."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created: int
    expires: int | None = None
    origin: str = "api"  # or `start`: made or set at the start of the server

    def lives_at(self, now: int) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires

    def may(self, scope: str) -> bool:
        """Whether one of the key's scopes is or implies `scope`."""
        return any(scope in _IMPLIED.get(own, {own}) for own in self.scopes)

    def require(self, scope: str) -> None:
        """Raises `Forbidden` unless one of the key's scopes is or implies `scope`."""
        if not self.may(scope):
            raise Forbidden(f"This key lacks the scope {scope}.")


_decode = msgspec.json.Decoder(Account).decode


def living(record: bytes | None, now: int) -> Account | None:
    """The account in a stored record; None when there is none, or it has expired."""
    account = None if record is None else _decode(record)
    return account if account is not None and account.lives_at(now) else None


class Uses:
    """When this process has written down the last use of each key, by the key's SHA-256."""

    def __init__(self) -> None:
        self._at: OrderedDict[str, int] = OrderedDict()

    def __contains__(self, digest: str) -> bool:
        return digest in self._at

    def is_due(self, digest: str, now: int) -> bool:
        """Whether a use is to be written down now; then it counts as written."""
        noted = self._at.get(digest)
        if noted is not None and abs(now - noted) < USE_PAUSE:
            return False
        self._at[digest] = now
        self._at.move_to_end(digest)
        if len(self._at) > MAX_RECENT:
            self._at.popitem(last=False)
        return True


class Accounts:
    """The keys of a site.  `admin_key` is `SHORTENER_ADMIN_KEY`."""

    def __init__(self, store: redis.Redis, admin_key: str = "") -> None:
        self._store, self._admin_key = store, admin_key.encode()
        self._uses = Uses()

    def authenticate(self, key: str, now: int) -> Account:
        """The account of a key.  Raises `Unauthorized`, in the same words for unknown and expired.

        A hash is looked up, never a key compared, so timing tells nothing about other keys.
        """
        if not key:
            raise Unauthorized("Send an API key as `Authorization: Bearer sk_…`.")
        if not self._may_be_one(key):
            raise Unauthorized(UNKNOWN)
        return self.known_as(fingerprint(key), now)

    def known_as(self, digest: str, now: int) -> Account:
        """The account of the key with this SHA-256.  Raises `Unauthorized`."""
        account = living(cast("bytes | None", self._store.hget(keys.KEYS, digest)), now)
        if account is None:
            raise Unauthorized(UNKNOWN)
        if self._uses.is_due(digest, now):  # never at the cost of the call
            with contextlib.suppress(redis.RedisError):
                self._store.hset(keys.KEY_USES, digest, now)
        return account

    def knows(self, key: str) -> bool:
        """Whether this process has let the key in lately; asks nobody."""
        return fingerprint(key) in self._uses

    def _may_be_one(self, key: str) -> bool:
        """Whether to ask the store: not for what bears our prefix and was not made by us."""
        if len(key) > MAX_KEY:
            return False
        if not key.startswith(PREFIX) or _has_checksum(key):
            return True
        return hmac.compare_digest(_bytes(key), self._admin_key)

    def create(
        self, name: str, scopes: Iterable[str], expires: int | None, now: int
    ) -> tuple[Account, str]:
        """A new key: its account, and the secret, which cannot be had again."""
        key = _new_key()
        account = Account(fingerprint(key)[:12], name, tuple(scopes), now, expires)
        self._store.hset(keys.KEYS, fingerprint(key), msgspec.json.encode(account))
        return account, key

    def list(self) -> "list[Account]":
        """All keys, oldest first."""
        records = cast("dict[bytes, bytes]", self._store.hgetall(keys.KEYS))
        return sorted(
            map(_decode, records.values()), key=lambda account: (account.created, account.id)
        )

    def uses(self) -> dict[str, int]:
        """By the id of a key, when it was last used (seconds since 1970)."""
        uses = cast("dict[bytes, bytes]", self._store.hgetall(keys.KEY_USES))
        return {digest.decode()[:12]: int(at) for digest, at in uses.items()}

    def revoke(self, identity: str) -> bool:
        """Delete the key with this id; False when there is none (any more)."""
        for digest in cast("list[bytes]", self._store.hkeys(keys.KEYS)):
            if digest.decode().startswith(identity) and len(identity) == 12:
                self._store.hdel(keys.KEY_USES, digest)
                return bool(self._store.hdel(keys.KEYS, digest))
        return False

    def revoke_unless_last(self, identity: str, now: int) -> bool:
        """The same, but for the last key that may make others at `now`: False when it stays.

        Of two who revoke each other at once, one is refused.
        """

        def revoked(pipeline: Pipeline) -> bool:
            records = cast("dict[bytes, bytes]", pipeline.hgetall(keys.KEYS))
            known = {digest: _decode(record) for digest, record in records.items()}
            going = [digest for digest, account in known.items() if account.id == identity]
            left = [account for digest, account in known.items() if digest not in going]
            pipeline.multi()
            if any("admin" in one.scopes and one.lives_at(now) for one in left):
                for digest in going:
                    pipeline.hdel(keys.KEYS, digest)
                    pipeline.hdel(keys.KEY_USES, digest)
                return True
            return False

        watched: Any = self._store.transaction  # its stub wants a function without an answer
        return bool(watched(revoked, keys.KEYS, value_from_callable=True))

    def admit_admin(self, setting: str, file: Path, now: int) -> str | None:
        """See that there is an admin key; answers it when it was made just now.

        `setting` is `SHORTENER_ADMIN_KEY`, which takes the place of an earlier one.  Without it the
        key in `file` is registered again should the store have lost all keys (one that was revoked
        stays so), and made at the first start of all: on a site that has an admin key already,
        another host makes no second one.  Raises `StartError` for a damaged file.
        """
        if setting:
            self._replace_start_key(setting, now)
            return None
        known = self.list()
        if file.exists():
            if not known:
                self._register(_read_key(file), now)
            return None
        if any("admin" in account.scopes for account in known):
            return None
        key = _new_key()
        scratch = file.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        write_durably(scratch, key + "\n")
        scratch.replace(file)
        self._register(key, now)
        return key

    def _register(self, key: str, now: int) -> None:
        account = Account(fingerprint(key)[:12], "admin", ("admin",), now, origin="start")
        self._store.hsetnx(keys.KEYS, fingerprint(key), msgspec.json.encode(account))

    def _replace_start_key(self, key: str, now: int) -> None:
        self._register(key, now)
        records = cast("dict[bytes, bytes]", self._store.hgetall(keys.KEYS))
        for digest, record in records.items():
            if _decode(record).origin == "start" and digest.decode() != fingerprint(key):
                self._store.hdel(keys.KEYS, digest)
                self._store.hdel(keys.KEY_USES, digest)


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def fingerprint(key: str) -> str:
    """What the store knows a key by: its SHA-256."""
    return hashlib.sha256(_bytes(key)).hexdigest()


def _new_key() -> str:
    """`sk_`, 32 random characters (190 bits), and six that check them."""
    body = "".join(secrets.choice(_DIGITS) for _ in range(32))
    return PREFIX + body + _checksum(body)


def _has_checksum(key: str) -> bool:
    match = re.fullmatch(r"sk_([0-9A-Za-z]{32})([0-9A-Za-z]{6})", key)
    return match is not None and _checksum(match[1]) == match[2]


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    return "".join(_DIGITS[number // 62**place % 62] for place in range(6))


def _read_key(file: Path) -> str:
    key = file.read_text("latin-1").strip()
    if not key.isascii() or not key.isprintable() or len(key) < 16:
        raise StartError(f"{file} is damaged; delete it, or set SHORTENER_ADMIN_KEY")
    return key
