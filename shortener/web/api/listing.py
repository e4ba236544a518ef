"""Which links a list shows: the parameters of `GET /links`, and its cursors."""

import base64
import binascii
import math
import re
import unicodedata
from datetime import datetime

from msgspec import UNSET

from shortener.errors import Invalid
from shortener.links.filters import Position, Question, Sort
from shortener.web.api import bodies
from shortener.web.api.kinds import MAX_TAG, MAX_TAGS
from shortener.web.api.parameters import CURSOR, TEXT, TIME, Parameter, line, one_of, whole
from shortener.web.api.queries import Query
from shortener.web.domains import Domains

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
MAX_SEARCH = 256  # characters

SORTS: dict[Sort, str] = {
    "-created": "n",
    "created": "o",
    "-clicks": "c",
}  # and the letter of its cursors
PARAMETERS = (
    Parameter("limit", "How many links at most.", whole(1, MAX_LIMIT, DEFAULT_LIMIT), 2),
    CURSOR,
    Parameter(
        "tag", "Links with this tag; repeated, with all of them.", line(MAX_TAG), "news", True
    ),
    Parameter(
        "search",
        "Links with this text in code, URL or title, in any case.",
        line(MAX_SEARCH),
        "saudi",
    ),
    Parameter("created_after", "Links made at this time or later.", TIME, "2026-11-01T00:00:00Z"),
    Parameter("created_before", "Links made before this time.", TIME, "2099-01-01T00:00:00+03:00"),
    Parameter("domain", "Links of this domain, one of the configured ones.", TEXT),
    Parameter(
        "sort",
        "By time of creation, or by clicks; `-` is downwards.",
        one_of(SORTS, "-created"),
        "-clicks",
    ),
)


def question(query: Query, domains: Domains) -> Question:
    """The whole question.  Raises `Invalid`, naming the parameter."""
    sort = _sort(query.get("sort", "-created"))
    domain = query.get("domain")
    stored = UNSET if domain is None else domains.stored(domain)
    return Question(
        limit(query, DEFAULT_LIMIT, MAX_LIMIT),
        position(query, sort),
        sort,
        _tags(query.getlist("tag")),
        _search(query.get("search", "")),
        UNSET if domains.only else stored,
        _seconds(query, "created_after"),
        _seconds(query, "created_before"),
    )


def _sort(text: str) -> Sort:
    for sort in SORTS:
        if text == sort:
            return sort
    raise Invalid.field("sort", f"must be one of {', '.join(SORTS)}")


def limit(query: Query, default: int, most: int) -> int:
    """`limit`: how many at most."""
    text = query.get("limit", str(default))
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= most:
        raise Invalid.field("limit", f"must be a whole number from 1 to {most}")
    return int(text)


def cursor(position: Position, sort: Sort) -> str:
    """The opaque text that stands for a position in a list."""
    text = f"{SORTS[sort]}{position.place}"
    if sort == "-clicks":
        text += f".{position.clicks}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position(query: Query, sort: Sort) -> Position | None:
    """The position that `cursor` stands for; None without one."""
    text = query.get("cursor")
    if text is None:
        return None
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        clicks = rb"\.([0-9]{1,15})" if sort == "-clicks" else b"()"
        match = re.fullmatch(SORTS[sort].encode() + rb"([0-9]{1,16})" + clicks, decoded)
    except (ValueError, binascii.Error):
        match = None
    if match is None:
        raise Invalid.field("cursor", "is not one that this list answered")
    return Position(int(match[1]), int(match[2] or 0))


def _tags(values: list[str]) -> tuple[str, ...]:
    if len(values) > MAX_TAGS:
        raise Invalid.field("tag", f"must be at most {MAX_TAGS}")
    return tuple(dict.fromkeys(bodies.tag(value, "tag") for value in values))


def _search(text: str) -> str:
    return unicodedata.normalize("NFC", bodies.text(text, "search", MAX_SEARCH).strip())


def _seconds(query: Query, name: str) -> int | None:
    """A time as seconds since 1970, rounded up: links are made in whole seconds."""
    text = query.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that was not escaped
        if at.tzinfo is None:
            raise Invalid.field(name, "must have an offset, such as +03:00 or Z")
        return max(0, math.ceil(at.timestamp()))
    except (ValueError, OverflowError):
        raise Invalid.field(name, "must be an RFC 3339 time") from None
