"""What the fields of bodies and answers hold, with the bounds that are checked on what comes in.

Types that `msgspec` holds requests to; `Meta(extra_json_schema=…)` says in the document what is
checked elsewhere, after the text was normalised, by the constants named here.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from shortener.accounts import SCOPES
from shortener.codes import MAX_ALIAS
from shortener.targets import MAX_URL
from shortener.web.passwords import MAX_PASSWORD

MAX_TITLE = 512  # characters
MAX_TAGS = 20
MAX_TAG = 64  # characters
MAX_CLICKS = 1_000_000_000
MAX_KEY_NAME = 128  # characters
MIN_LENGTH, MAX_LENGTH = 5, 32  # characters of a code that is made

REFERENCE = "#/components/schemas/{name}"  # to a type, in the document

_URL = {"format": "uri", "maxLength": MAX_URL}

Url = Annotated[
    str,
    Meta(
        description="Where the link leads: `http` or `https`; kept as browsers spell it.",
        extra_json_schema=_URL,
    ),
]
ExpiredUrl = Annotated[
    str,
    Meta(
        description="Where to send people when the link is over, instead of answering 410.",
        extra_json_schema=_URL,
    ),
]
Code = Annotated[
    str,
    Meta(
        description="The part after the slash. An alias of your own starts with a letter or digit "
        "of any script and goes on with letters, digits, marks, `-` and `_`.",
        extra_json_schema={"minLength": 1, "maxLength": MAX_ALIAS},
    ),
]
CodeLength = Annotated[
    int,
    Meta(
        ge=MIN_LENGTH,
        le=MAX_LENGTH,
        description="At least so many characters of a made code; from 8 on it is random.",
    ),
]
Domain = Annotated[str, Meta(description="One of the configured domains; null: the default one.")]
Title = Annotated[
    str,
    Meta(
        description="For those who keep the link; visitors see it on the preview.",
        extra_json_schema={"maxLength": MAX_TITLE},
    ),
]
Tag = Annotated[
    str,
    Meta(
        description="A word to find links by, kept in lower case.",
        extra_json_schema={"minLength": 1, "maxLength": MAX_TAG},
    ),
]
Tags = Annotated[
    list[Tag],
    Meta(description="In the order given.", extra_json_schema={"maxItems": MAX_TAGS}),
]
_STARTS = "Until then the link is 404. RFC 3339 with an offset, in whole seconds."
_EXPIRES = "From then on the link is over. RFC 3339 with an offset, in whole seconds."
Starts = Annotated[datetime, Meta(tz=True, description=_STARTS)]
Expires = Annotated[datetime, Meta(tz=True, description=_EXPIRES)]
_STATUS = "The HTTP status of the redirect."
Status = Annotated[Literal[301, 302, 307, 308], Meta(description=_STATUS)]
ShownStatus = Annotated[
    int, Meta(description=_STATUS, extra_json_schema={"enum": [301, 302, 307, 308]})
]
ForwardQuery = Annotated[
    bool,
    Meta(
        description="Pass the visitor's query on: it replaces parameters of the same name, and the "
        "fragment stays.",
    ),
]
MaxClicks = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_CLICKS,
        description="At most so many visitors, exactly; set later, it counts those so far.",
    ),
]
Password = Annotated[
    str,
    Meta(
        description="Asked for on a page; kept as a slow hash and never answered.",
        extra_json_schema={"maxLength": MAX_PASSWORD, "format": "password"},
    ),
]
KeyName = Annotated[
    str,
    Meta(
        description="Who or what uses the key.",
        extra_json_schema={"minLength": 1, "maxLength": MAX_KEY_NAME},
    ),
]
Scope = Annotated[str, Meta(extra_json_schema={"enum": list(SCOPES)})]
_TIME = {"format": "date-time"}
Moment = Annotated[str, Meta(extra_json_schema=_TIME)]  # RFC 3339, as answers have it
Made = Annotated[str, Meta(description="When it was made.", extra_json_schema=_TIME)]
Maker = Annotated[str, Meta(description="The id of the key that made it.")]
HasPassword = Annotated[bool, Meta(description="Whether it asks for a password.")]
Clicks = Annotated[int, Meta(ge=0, description="Clicks of people.")]
Visitors = Annotated[int, Meta(ge=0, description="Visitors, each counted once a day.")]
Bots = Annotated[int, Meta(ge=0, description="Clicks of bots.")]
ShownStarts = Annotated[str, Meta(description=_STARTS, extra_json_schema=_TIME)]
ShownExpires = Annotated[str, Meta(description=_EXPIRES, extra_json_schema=_TIME)]
ShownTags = Annotated[tuple[Tag, ...], Meta(description="In the order given.")]
NextCursor = Annotated[
    str, Meta(description="The `cursor` of the next page; null when this is the last one.")
]


def each_of(*names: str) -> dict[str, Any]:
    """The schema of a list whose items are looked at one by one, each as one of these types."""
    items = [{"$ref": REFERENCE.format(name=name)} for name in names]
    return {"items": items[0] if len(items) == 1 else {"oneOf": items}}
