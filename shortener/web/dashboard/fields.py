"""The fields of a link as a form has them, and as the body of the API's call.

`FIELDS` is the table: the template draws it, and what was typed is read by it.  Times are typed in
a zone that the form names, and are given back with that zone's offset.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from shortener.errors import FieldError, Invalid
from shortener.links.link import Link
from shortener.web.api import kinds
from shortener.web.passwords import MAX_PASSWORD

STATUSES = {
    "302": "302, found: the usual one",
    "301": "301, moved for good: browsers may remember it, and skip us",
    "307": "307, as 302, and forms are sent on",
    "308": "308, as 301, and forms are sent on",
}


class Field(NamedTuple):
    """One row: what it is called, how it is typed, and whether only new links have it."""

    name: str
    label: str
    kind: str  # of input
    hint: str = ""
    is_new_only: bool = False
    most: int = 0  # characters, or the number
    least: int = 0  # the number


FIELDS = (
    Field("url", "Destination", "url", "http or https; where the link leads."),
    Field("domain", "Domain", "domain", is_new_only=True),
    Field(
        "code",
        "Code",
        "text",
        "The part after the slash; left empty, one is made.",
        is_new_only=True,
        most=64,
    ),
    Field("title", "Title", "text", "For yourself, and for the preview.", most=kinds.MAX_TITLE),
    Field("tags", "Tags", "text", "Words to find links by, with commas between.", most=1500),
    Field("starts_at", "Begins", "time", "Until then nobody finds it."),
    Field("expires_at", "Ends", "time", "From then on it leads nowhere."),
    Field("expired_url", "Then leads to", "url", "Where to send people when the link is over."),
    Field(
        "max_clicks",
        "Visitors at most",
        "number",
        "Exactly so many are let through.",
        most=kinds.MAX_CLICKS,
        least=1,
    ),
    Field("password", "Password", "password", "Asked for on a page.", most=MAX_PASSWORD),
    Field("redirect_status", "Redirect", "status"),
    Field("forward_query", "Pass the visitor’s query on to the destination", "check"),  # noqa: RUF001
    Field(
        "code_length",
        "Characters of the code",
        "number",
        "At least so many; from 8 on it cannot be guessed.",
        is_new_only=True,
        most=kinds.MAX_LENGTH,
        least=kinds.MIN_LENGTH,
    ),
    Field("find_existing", "Take a link that is there already, if one is equal", "check", "", True),
)
ADVANCED = frozenset(
    {"starts_at", "expires_at", "expired_url", "max_clicks", "password", "redirect_status"}
    | {"forward_query", "code_length", "find_existing"}
)


def body(
    form: Mapping[str, str],
    zone: ZoneInfo,
    *,
    is_new: bool,
    before: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """What was typed as the API's call would have it.  Raises `Invalid`, naming every field.

    Of a new link, what is empty is left out.  In a change it is null, and what is as it was
    `before` (as `typed` says it) is left out: not everything can be told from how it looks.
    """
    found: dict[str, Any] = {}
    faults: list[FieldError] = []
    for field in FIELDS:
        if field.is_new_only and not is_new:
            continue
        if field.name == "password" and not is_new:
            choice = form.get("password_choice", "keep")
            if choice == "keep":
                continue
            if choice == "remove":
                found["password"] = None
                continue
            if not form.get("password"):
                faults += Invalid.field("password", "is to be replaced, and is empty").fields
                continue
        text = form.get(field.name, "")
        if field.name != "password":
            text = text.strip()
        if field.name in before and text == before[field.name].strip():
            continue
        try:
            value = _READ.get(field.kind, _text)(field, text, zone)
        except Invalid as problem:
            faults += problem.fields
            continue
        if field.name == "tags":
            value = [tag.strip() for tag in text.split(",") if tag.strip()] or None
        if value is not None or not is_new:
            found[field.name] = value
    if is_new:
        found.setdefault("url", "")
    if faults:
        raise Invalid("Some fields are wrong.", tuple(faults))
    return found


def typed(link: Link, zone: ZoneInfo) -> dict[str, str]:
    """A link as the form for changing it shows it."""
    return {
        "url": link.url,
        "title": link.title or "",
        "tags": ", ".join(link.tags),
        "starts_at": _local(link.starts, zone),
        "expires_at": _local(link.expires, zone),
        "expired_url": link.expired_url or "",
        "max_clicks": "" if link.max_clicks is None else str(link.max_clicks),
        "redirect_status": str(link.status),
        "forward_query": "on" if link.forward_query else "",
    }


def _local(seconds: int | None, zone: ZoneInfo) -> str:
    if seconds is None:
        return ""
    at = datetime.fromtimestamp(seconds, zone)
    return at.strftime("%Y-%m-%dT%H:%M:%S" if at.second else "%Y-%m-%dT%H:%M")


def _text(_field: Field, text: str, _zone: ZoneInfo) -> str | None:
    return text or None


def _check(_field: Field, text: str, _zone: ZoneInfo) -> bool:
    return bool(text)


def _number(field: Field, text: str, _zone: ZoneInfo) -> int | None:
    if not text:
        return None
    is_number = text.isascii() and text.isdecimal() and len(text) <= 12
    if not is_number or not field.least <= int(text) <= field.most:
        fault = f"must be a whole number from {field.least:,} to {field.most:,}"
        raise Invalid.field(field.name, fault)
    return int(text)


def _status(field: Field, text: str, _zone: ZoneInfo) -> int | None:
    if text and text not in STATUSES:
        raise Invalid.field(field.name, f"must be one of {', '.join(sorted(STATUSES))}")
    return int(text) if text else None


def _time(field: Field, text: str, zone: ZoneInfo) -> str | None:
    """A time on the clocks of `zone`; of two with the same name the first."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=zone)
        again = datetime.fromtimestamp(at.timestamp(), zone)
    except (ValueError, OverflowError):
        raise Invalid.field(field.name, "must be a date with a time") from None
    if again.replace(tzinfo=None) != at.astimezone(zone).replace(tzinfo=None):
        fault = f"is skipped by the clocks of {zone.key}: they go forward then"
        raise Invalid.field(field.name, fault)
    return at.isoformat()


def seconds(name: str, text: str, zone: ZoneInfo) -> int | None:
    """A time that was typed, in seconds since 1970; None for none.  Raises `Invalid`."""
    at = _time(Field(name, "", "time"), text.strip(), zone)
    return None if at is None else int(datetime.fromisoformat(at).timestamp())


_READ: dict[str, Callable[[Field, str, ZoneInfo], Any]] = {
    "check": _check,
    "number": _number,
    "status": _status,
    "time": _time,
}
