"""What requests and answers carry beside their bodies: parameters and headers, as tables.

Each says what its value may be, as a JSON Schema; bounds are those that the code checks.  The
parameters of one view alone are with that view.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import UNSET

from shortener.codes import MAX_ALIAS
from shortener.targets import MAX_URL
from shortener.web.api.kinds import MAX_TAG

MAX_REPETITION = 255  # characters of an Idempotency-Key

Schema = Mapping[str, Any]


class Parameter(NamedTuple):
    """A parameter of a path or a query, or a header."""

    name: str
    meaning: str
    schema: Schema
    example: object = UNSET
    is_repeated: bool = False


def whole(low: int, high: int, usual: int) -> Schema:
    """A whole number from `low` to `high`."""
    return {"type": "integer", "minimum": low, "maximum": high, "default": usual}


def one_of(values: Iterable[str], usual: str) -> Schema:
    return {"type": "string", "enum": list(values), "default": usual}


def line(limit: int, **more: Any) -> Schema:
    """Text of at most `limit` characters."""
    return {"type": "string", "maxLength": limit, **more}


TEXT: Schema = MappingProxyType({"type": "string"})
TIME: Schema = MappingProxyType({"type": "string", "format": "date-time"})

DOMAIN = Parameter(
    "domain",
    "The domain of the link, one of the configured ones; left out, the default one.",
    TEXT,
)
CURSOR = Parameter(
    "cursor",
    "Where to go on: `next_cursor` of the page before. Without it the list begins.",
    TEXT,
)

PATH = {  # by what the views call it
    "code": Parameter("code", "The code or alias of the link.", line(MAX_ALIAS), "wdf98"),
    "tag": Parameter("tag", "The tag; in any case.", line(MAX_TAG), "news"),
    "identity": Parameter("id", "The id of the key.", line(12), "95ec671c2864"),
}

REPETITION = Parameter(
    "Idempotency-Key",
    "Any text that is new for each request. When the same key is sent again within 24 hours, the "
    "answer is the links that the first request made. With another body it is 422.",
    line(MAX_REPETITION, minLength=1, pattern="^[ -~]+$"),
)
IF_MATCH = Parameter(
    "If-Match",
    "The `ETag` of the link as you know it: when it was changed meanwhile, nothing is done and "
    "the answer is 412.",
    TEXT,
)
IF_NONE_MATCH = Parameter(
    "If-None-Match", "The `ETag` of what you have: while it is the same, the answer is 304.", TEXT
)

ETAG = Parameter("ETag", "Changes whenever the answer's content does.", TEXT, '"0f3a9c5b7d1e2468"')
LOCATION = Parameter(
    "Location",
    "Where the API has the link.",
    {"type": "string", "format": "uri-reference", "maxLength": MAX_URL},
    "/api/v1/links/wdf98",
)
RATE_LIMIT = (  # on answers to keys without the scope `admin`
    Parameter(
        "RateLimit-Policy",
        "How many requests (`q`) in how many seconds (`w`); not for `admin` keys.",
        TEXT,
        '"creation";q=600;w=60',
    ),
    Parameter(
        "RateLimit",
        "How many remain (`r`), and in how many seconds there are more (`t`).",
        TEXT,
        '"creation";r=599;t=60',
    ),
)
RETRY_AFTER = Parameter(
    "Retry-After", "Seconds until it is worth another try.", {"type": "integer", "minimum": 0}, 1
)
CHALLENGE = Parameter("WWW-Authenticate", "How to send a key.", TEXT, "Bearer")
