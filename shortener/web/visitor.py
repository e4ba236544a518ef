"""What a request says about its visitor, the same for the event loop and for WSGI.

Everything a stranger sends is cut to a stated length here.  A visitor who asks not to be tracked
(`DNT`, `Sec-GPC`) leaves neither address nor anything else behind.
"""

from collections.abc import Mapping
from urllib.parse import parse_qs

from shortener.journal import Click
from shortener.link import Link

MAX_AGENT = 512  # characters
MAX_REFERRER = 512
MAX_LANGUAGE = 64
MAX_UTM = 128
MAX_COUNTRY = 8
MAX_ADDRESS = 64
MAX_QUERY = 8_192  # bytes of a query in which campaigns are looked for

Headers = Mapping[bytes, bytes]  # lower-case names; of a repeated one the last
_NONE = ("", "", "")


def is_counted(method: str, headers: Headers) -> bool:
    """Whether a request is a visit: not a `HEAD`, not a browser that fetches ahead."""
    return method != "HEAD" and not is_ahead(headers)


def is_ahead(headers: Headers) -> bool:
    """Whether a browser fetches ahead what nobody has asked for yet."""
    ahead = headers.get(b"sec-purpose") or headers.get(b"purpose") or headers.get(b"x-moz") or b""
    return ahead.lower().startswith((b"prefetch", b"preview"))


def click(
    link: Link | None,
    at: int,
    headers: Headers,
    query: bytes,
    peer: str,
    trusted_proxies: int,
    country_header: str = "",
) -> Click:
    """The click of a visitor who was sent to `link` at `at` (milliseconds since 1970).

    No link makes the visit to an unknown code.
    """
    number, name, tags = (0, "", ()) if link is None else (link.number, link.name, link.tags)
    if headers.get(b"dnt") == b"1" or headers.get(b"sec-gpc") == b"1":
        return Click(at, number, name, tags, "", "", "", "", _NONE, True)
    believed = country_header and trusted_proxies
    return Click(
        at,
        number,
        name,
        tags,
        address(headers, peer, trusted_proxies),
        _text(headers, b"user-agent", MAX_AGENT),
        _text(headers, b"referer", MAX_REFERRER),
        _text(headers, b"accept-language", MAX_LANGUAGE),
        _campaign(query) if b"utm_" in query else _NONE,
        False,
        country=_text(headers, country_header.encode(), MAX_COUNTRY) if believed else "",
    )


def address(headers: Headers, peer: str, trusted_proxies: int) -> str:
    """The visitor's address: the entry of `X-Forwarded-For` that the outermost trusted proxy wrote.

    Entries further left are the visitor's own invention.
    """
    if trusted_proxies and (forwarded := headers.get(b"x-forwarded-for")):
        entries = forwarded.rsplit(b",", trusted_proxies)[-trusted_proxies:]
        return entries[0].strip().decode("latin-1")[:MAX_ADDRESS]
    return peer[:MAX_ADDRESS]


def _text(headers: Headers, name: bytes, limit: int) -> str:
    value = headers.get(name)
    return value[:limit].decode("latin-1") if value else ""


def _campaign(query: bytes) -> tuple[str, str, str]:
    """`utm_source`, `utm_medium` and `utm_campaign` of the short link's own query."""
    try:
        found = parse_qs(query[:MAX_QUERY].decode("latin-1"), max_num_fields=100)
    except ValueError:
        return _NONE
    source, medium, campaign = (
        found.get(name, [""])[0][:MAX_UTM] for name in ("utm_source", "utm_medium", "utm_campaign")
    )
    return source, medium, campaign
