"""What requests may carry and what answers look like: the JSON of `/api/v1`.

Input is strict: unknown and duplicate fields, other types and malformed JSON are refused with the
field named.  Everything a stranger sends has a bound here, with a name and a unit.
"""

import json
import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from shortener.accounts import SCOPES, Account
from shortener.errors import Invalid
from shortener.links import Link
from shortener.stats import Answer, Totals

MAX_TITLE = 512  # characters
MAX_TAGS = 20
MAX_TAG = 64  # characters
MAX_KEY_NAME = 128  # characters
MAX_YEAR = 9999

Time = Annotated[datetime, Meta(tz=True)]
T = TypeVar("T")


class NewLink(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /links`."""

    url: str
    code: str | UnsetType | None = UNSET
    title: str | UnsetType | None = UNSET
    tags: list[str] | UnsetType | None = UNSET
    expires_at: Time | UnsetType | None = UNSET
    redirect_status: Literal[301, 302, 307, 308] | UnsetType | None = UNSET


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /keys`."""

    name: str
    scopes: list[Literal["links:read", "links:write", "stats:read", "admin"]]
    expires_at: Time | None = None


class LinkAnswer(Struct, frozen=True):
    """A link as clients see it; every field is always there."""

    code: str
    short_url: str
    url: str
    title: str | None
    tags: tuple[str, ...]
    redirect_status: int
    created_at: str
    updated_at: str
    created_by: str
    expires_at: str | None
    clicks: int
    bots: int | None  # null: not told apart from people
    last_clicked_at: str | None


class KeyAnswer(Struct, frozen=True):
    """A key as clients see it; `key` is the secret, in the answer to its creation only."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    expires_at: str | None
    key: str | UnsetType = UNSET


class _Duplicate(ValueError):
    pass


def read(body: bytes, kind: type[T]) -> T:
    """The body as a `kind`.  Raises `Invalid`, naming the field."""
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_no_constant
        )
    except _Duplicate as error:
        raise Invalid.field(str(error), "is given twice") from None
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "cannot be read"
        raise Invalid.field("", f"the body is not valid JSON: {reason}") from None
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _named(str(error)) from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Duplicate(next(name for name in names if names.count(name) > 1))
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _named(message: str) -> Invalid:
    """The library's message, with the field taken out of it."""
    if match := re.fullmatch(
        r"Object (missing required|contains unknown) field `(.+?)`.*", message
    ):
        missing = match[1] == "missing required"
        return Invalid.field(match[2], "is required" if missing else "is not a known field")
    text, _, path = message.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    return Invalid.field(field, text[:1].lower() + text[1:] if field else text)


def text(value: str, field: str, limit: int) -> str:
    """A line of text in NFC.  Raises `Invalid` for control characters or more than `limit`."""
    if len(value) > limit:
        raise Invalid.field(field, f"must have at most {limit} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise Invalid.field(field, "must not have control characters")
    return unicodedata.normalize("NFC", value)


def tags(values: list[str]) -> tuple[str, ...]:
    """Tags lower-cased and without repetitions, in the order given."""
    if len(values) > MAX_TAGS:
        raise Invalid.field("tags", f"must be at most {MAX_TAGS}")
    found = [text(value, f"tags[{i}]", MAX_TAG).strip().lower() for i, value in enumerate(values)]
    if "" in found:
        raise Invalid.field(f"tags[{found.index('')}]", "must not be empty")
    return tuple(dict.fromkeys(found))


def seconds(value: datetime) -> int:
    """Whole seconds since 1970."""
    return int(value.timestamp())


def time_text(value: float | datetime) -> str:
    """RFC 3339: a number of seconds since 1970 in UTC, a time in its own zone."""
    if not isinstance(value, datetime):
        value = datetime.fromtimestamp(int(value), UTC)
    return value.isoformat(timespec="seconds").replace("+00:00", "Z")


def link_answer(link: Link, totals: Totals, base_url: str) -> LinkAnswer:
    return LinkAnswer(
        code=link.code,
        short_url=f"{base_url}/{quote(link.code)}",
        url=link.url,
        title=link.title,
        tags=link.tags,
        redirect_status=link.status,
        created_at=time_text(link.created),
        updated_at=time_text(link.updated or link.created),
        created_by=link.by,
        expires_at=None if link.expires is None else time_text(link.expires),
        clicks=totals.clicks,
        bots=None,
        last_clicked_at=None if totals.last is None else time_text(totals.last / 1000),
    )


def key_answer(account: Account, secret: str | None = None) -> KeyAnswer:
    return KeyAnswer(
        id=account.id,
        name=account.name,
        scopes=tuple(scope for scope in SCOPES if scope in account.scopes),
        created_at=time_text(account.created),
        expires_at=None if account.expires is None else time_text(account.expires),
        key=UNSET if secret is None else secret,
    )


def stats_answer(answer: Answer) -> dict[str, object]:
    """`visitors` and `bots` are null: they are not told apart yet."""
    question = answer.question
    return {
        "from": time_text(question.start),
        "to": time_text(question.end),
        "interval": question.interval,
        "tz": question.zone.key,
        "totals": {"clicks": answer.clicks, "visitors": None, "bots": None},
        "series": [
            {"start": time_text(start), "clicks": clicks, "visitors": None, "bots": None}
            for start, clicks in answer.series
        ],
    }
