"""What requests of `/api/v1` may carry, as JSON.

Input is strict: unknown and duplicate fields, other types and malformed JSON are refused with the
field named.  Everything a stranger sends has a bound here, with a name and a unit.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from shortener.decoders import decoder
from shortener.errors import Invalid
from shortener.web.api import kinds
from shortener.web.api.kinds import MAX_TAG, MAX_TAGS, MAX_TITLE
from shortener.web.passwords import MAX_PASSWORD, Password

MAX_BULK = 1_000  # links in one request
MAX_TIME = 253_402_300_800  # seconds since 1970: the year 10000, which calendars do not have

Time = Annotated[datetime, Meta(tz=True)]
T = TypeVar("T")


class LinkChange(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to change of a link: what is left out stays, null is the default."""

    url: kinds.Url | UnsetType = UNSET
    title: kinds.Title | UnsetType | None = UNSET
    tags: kinds.Tags | UnsetType | None = UNSET
    starts_at: kinds.Starts | UnsetType | None = UNSET
    expires_at: kinds.Expires | UnsetType | None = UNSET
    expired_url: kinds.ExpiredUrl | UnsetType | None = UNSET
    redirect_status: kinds.Status | UnsetType | None = UNSET
    forward_query: kinds.ForwardQuery | UnsetType | None = UNSET
    max_clicks: kinds.MaxClicks | UnsetType | None = UNSET
    password: kinds.Password | UnsetType | None = UNSET


class NewLink(LinkChange, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a new link should be: `url` alone is needed."""

    url: kinds.Url
    code: kinds.Code | UnsetType | None = UNSET
    code_length: kinds.CodeLength | UnsetType | None = UNSET
    domain: kinds.Domain | UnsetType | None = UNSET
    find_existing: Annotated[
        bool,
        Meta(
            description="Answer the oldest link, live and without password, that equals this one "
            "in every given field, should there be one.",
        ),
    ] = False


class NewLinks(Struct, frozen=True, forbid_unknown_fields=True):
    """Links to make; each is looked at by itself."""

    links: Annotated[
        list[Any],
        Meta(
            min_length=1,
            max_length=MAX_BULK,
            description="One or more, made in this order.",
            extra_json_schema=kinds.each_of("NewLink"),
        ),
    ]


class TagName(Struct, frozen=True, forbid_unknown_fields=True):
    """Another name for a tag."""

    tag: kinds.Tag


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """What a new key should be."""

    name: kinds.KeyName
    scopes: Annotated[
        list[Literal["links:read", "links:write", "stats:read", "admin"]],
        Meta(
            description="What the key may do. `admin` implies every scope, and `links:write` "
            "implies `links:read`.",
            extra_json_schema={"minItems": 1},
        ),
    ]
    expires_at: (
        Annotated[Time, Meta(description="From then on the key is none. RFC 3339.")] | None
    ) = None


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
    return convert(value, kind)


def convert(value: object, kind: type[T]) -> T:
    """What was read from JSON as a `kind`.  Raises `Invalid`, naming the field."""
    decoder(kind)  # has the type read by now
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _named(str(error)) from None
    except UnicodeEncodeError:
        raise Invalid.field("", "the body has half a surrogate pair") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Duplicate(name)
        found[name] = value
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _named(message: str) -> Invalid:
    """The library's message, with the field taken out of it."""
    pattern = r"Object (missing required|contains unknown) field `(.+)`(?: - at `.*`)?"
    if match := re.fullmatch(pattern, message, re.DOTALL):
        missing = match[1] == "missing required"
        return Invalid.field(match[2], "is required" if missing else "is not a known field")
    text, _, path = message.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    return Invalid.field(field, text[:1].lower() + text[1:] if field else text)


def text(value: str, field: str, limit: int) -> str:
    """A line of text in NFC.  Raises `Invalid` for control characters or more than `limit`."""
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise Invalid.field(field, "must not have control characters")
    return bounded(unicodedata.normalize("NFC", value), field, limit)


def bounded(value: str, field: str, limit: int) -> str:
    """The value.  Raises `Invalid` when it has more than `limit` characters."""
    if len(value) > limit:
        raise Invalid.field(field, f"must have at most {limit} characters")
    return value


def tags(values: list[str]) -> tuple[str, ...]:
    """Tags lower-cased and without repetitions, in the order given."""
    if len(values) > MAX_TAGS:
        raise Invalid.field("tags", f"must be at most {MAX_TAGS}")
    found = [tag(value, f"tags[{place}]") for place, value in enumerate(values)]
    return tuple(dict.fromkeys(found))


def tag(value: str, field: str) -> str:
    """A tag as it is stored, lower-cased."""
    found = unicodedata.normalize("NFC", text(value, field, MAX_TAG).strip().lower())
    if not found:
        raise Invalid.field(field, "must not be empty")
    return bounded(found, field, MAX_TAG)


def fields(
    body: LinkChange, default_status: int, check_url: Callable[[str, str], str]
) -> dict[str, Any]:
    """The fields of `Link` that a body sets, checked and normalised; null is the default.

    `check_url` is given a URL and the name of its field.  Raises `Invalid`.
    """
    found: dict[str, Any] = {}
    if body.url is not UNSET:
        found["url"] = check_url(body.url, "url")
    if body.title is not UNSET:
        found["title"] = text(body.title, "title", MAX_TITLE) or None if body.title else None
    if body.tags is not UNSET:
        found["tags"] = tags(body.tags) if body.tags else ()
    if body.starts_at is not UNSET:
        starts = body.starts_at
        found["starts"] = None if starts is None else seconds(starts, "starts_at")
    if body.expires_at is not UNSET:
        expires = body.expires_at
        found["expires"] = None if expires is None else seconds(expires, "expires_at")
    if body.expired_url is not UNSET:
        expired_url = body.expired_url
        found["expired_url"] = (
            None if expired_url is None else check_url(expired_url, "expired_url")
        )
    if body.redirect_status is not UNSET:
        found["status"] = body.redirect_status or default_status
    if body.forward_query is not UNSET:
        found["forward_query"] = bool(body.forward_query)
    if body.max_clicks is not UNSET:
        found["max_clicks"] = body.max_clicks
    return found


def password(body: LinkChange) -> Password | None:
    """The password that a body sets, if it does; None also when it takes one away."""
    if body.password is UNSET or not body.password:
        return None
    return Password(text(body.password, "password", MAX_PASSWORD))


def seconds(value: datetime, field: str) -> int:
    """Whole seconds since 1970.  Raises `Invalid` outside of the years 1970 to 9999."""
    found = int(value.timestamp())
    if not 0 <= found < MAX_TIME:
        raise Invalid.field(field, "must be in a year from 1970 to 9999")
    return found
