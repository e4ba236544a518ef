"""The columns of CSV: what a cell of a column means, ours and those of other shorteners.

A header is compared by its letters and digits alone, so `Long URL`, `long_url` and `longUrl` are
one.  A column that we do not know stops an import before it begins: dropped in silence, what was
in it would be missed when the other shortener is long gone.  CSV has links and no statistics; what
it cannot hold is a tag with a `|` in it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

# What `export` writes, in this order; all of it may be imported again.
EXPORT_COLUMNS = (
    "url",
    "code",
    "domain",
    "title",
    "tags",
    "starts_at",
    "expires_at",
    "expired_url",
    "max_clicks",
    "redirect_status",
    "forward_query",
    "short_url",
    "created_at",
    "clicks",
)

# Header -> field of a link; None has nothing that a link of ours could keep.  `short_url` is not a
# field: its last part is the code when there is no other.
IMPORT_COLUMNS: dict[str, str | None] = {
    **{name.replace("_", ""): name for name in EXPORT_COLUMNS[:-1]},
    "password": "password",
    "codelength": "code_length",
    **dict.fromkeys(("clicks", "bots", "remaining", "haspassword", "updatedat", "createdby")),
    "lastclickedat": None,
    # Bitly: names of a bitlink in its API (dev.bitly.com, GET /v4/bitlinks/{bitlink}), and how its
    # help pages on bulk uploads call them.
    "link": "short_url",
    "longurl": "url",
    "destinationurl": "url",
    "backhalf": "code",
    "custombackhalf": "code",
    # Shlink: the CSV of its web client (ExportShortUrlsBtn.tsx) has createdAt, domain, shortCode,
    # shortUrl, longUrl, title, tags, visits; its importer's (CsvImporter.php) Long URL, Short code.
    "shortcode": "code",
    "visits": None,
    # YOURLS: the table yourls_url (keyword, url, title, timestamp, ip, clicks) and the CSV of the
    # plugin Import-Export (fileio/csv.php), which has source, target, hits.
    "keyword": "code",
    "timestamp": "created_at",
    "ip": None,
    "source": "code",
    "target": "url",
    "hits": None,
    # Kutt: the table links (server/models/link.model.js); it has `target`, too.
    "address": "code",
    "description": "title",
    "expirein": "expires_at",
    "visitcount": None,
    **dict.fromkeys(("id", "uuid", "userid", "domainid", "banned", "bannedbyid")),
    # Other spellings that are about.
    "destination": "url",
    "created": "created_at",
}
FOREIGN_HASH = re.compile(r"\$(2[abxy]?|argon2\w*|5|6)\$")  # bcrypt, argon2, crypt


class ColumnsError(Exception):
    """A header that cannot be used; the message is one line."""


class Column(NamedTuple):
    """A column that is read: where it stands, and what it fills."""

    place: int
    field: str
    read: Callable[[str], Any]


def columns(header: Sequence[str], ignored: Sequence[str], zone: tzinfo | None) -> list[Column]:
    """The columns to read.  Raises `ColumnsError`.

    `ignored` are headers to leave out; `zone` is that of times without an offset.
    """
    left_out = {_plain(name) for name in ignored}
    readers = _readers(zone)
    found: dict[str, Column] = {}
    for place, name in enumerate(header):
        plain = _plain(name)
        if plain in left_out:
            continue
        if plain not in IMPORT_COLUMNS:
            raise ColumnsError(f"there is no field for the column {name!r}; --ignore leaves it out")
        field = IMPORT_COLUMNS[plain]
        if field is None:
            continue
        if field in found:
            other = header[found[field].place]
            raise ColumnsError(f"{name!r} and {other!r} are both {field}; --ignore one of them")
        found[field] = Column(place, field, readers.get(field, str))
    if "url" not in found:
        raise ColumnsError("no column has the URL; the first line must name the columns")
    return list(found.values())


def knows(name: str) -> bool:
    """Whether a header is one of ours or of another shortener."""
    return _plain(name) in IMPORT_COLUMNS


def record(row: Sequence[str], wanted: Sequence[Column]) -> dict[str, Any]:
    """The link in a row; empty cells set nothing.  Raises `ValueError` with the field and why."""
    found: dict[str, Any] = {"type": "link"}
    for place, field, read in wanted:
        text = row[place].strip()
        if not text:
            continue
        try:
            found[field] = read(text)
        except ValueError as error:
            raise ValueError(f"{field}: {error}") from None
    short_url = found.pop("short_url", None)
    if short_url is not None and "code" not in found:
        found["code"] = _last_part(short_url)
    return found


def cells(link: Mapping[str, Any]) -> list[str]:
    """A link of the API as a row of `EXPORT_COLUMNS`."""
    return [_cell(link[name]) for name in EXPORT_COLUMNS]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "|".join(value) + ("|" if len(value) == 1 and "," in value[0] else "")
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _readers(zone: tzinfo | None) -> dict[str, Callable[[str], Any]]:
    """How the cells of fields are read that are no text."""

    def time(text: str) -> str:
        return _time(text, zone)

    return {
        "code": lambda text: text.strip("/"),
        "tags": _tags,
        "starts_at": time,
        "expires_at": time,
        "created_at": time,
        "max_clicks": _whole,
        "code_length": _whole,
        "redirect_status": _whole,
        "forward_query": _flag,
        "password": _password,
    }


def _tags(text: str) -> list[str]:
    parts = text.split("|" if "|" in text else ",")
    return [tag for part in parts if (tag := part.strip())]


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError("must be a whole number")
    return int(text)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
        raise ValueError("must be true or false")
    return text.lower() in ("true", "1", "yes")


def _time(text: str, zone: tzinfo | None) -> str:
    if re.fullmatch(r"[0-9]{9,11}", text):  # seconds since 1970
        at = datetime.fromtimestamp(int(text), UTC)
    else:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("must be a time such as 2026-11-24T08:30:00Z") from None
    if at.tzinfo is None:
        if zone is None:
            raise ValueError("has no offset; --tz says which time zone is meant")
        at = at.replace(tzinfo=zone)
    return at.isoformat()


def _password(text: str) -> str:
    if FOREIGN_HASH.match(text):
        raise ValueError("is a hash of another program; --ignore password leaves it out")
    return text


def _last_part(url: str) -> str:
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
