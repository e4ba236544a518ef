"""What a request says about its visitor, the same for the event loop and for WSGI.

Everything a stranger sends is cut to a stated length here.  A visitor who asks not to be tracked
(`DNT`, `Sec-GPC`) leaves neither address nor anything else behind.

What proxies say about address, host and scheme (`X-Forwarded-For`, `-Host`, `-Proto`) is believed
as far as `TRUSTED_PROXIES` goes, and not at all at 0.  Each header is a list to which a proxy adds
at the right end, so the entry that counts is the one that the outermost trusted proxy wrote; what
is further left is the visitor's own invention.  Where a proxy replaces the list there are fewer,
and the first counts.  `Forwarded` (RFC 7239) is not read: hardly a proxy writes it, one that does
not passes a visitor's on, and two headers could contradict each other.
"""

import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from shortener.journal import Click, part
from shortener.links.link import Link

MAX_AGENT = 512  # characters
MAX_REFERRER = 512
MAX_LANGUAGE = 64
MAX_UTM = 128
MAX_ENTRY = 255  # characters of an address or a host
MAX_COUNTRY = 8
MAX_QUERY = 8_192  # bytes of a query in which campaigns are looked for

Headers = Mapping[bytes, bytes]  # lower-case names; of a repeated one the last, or all, joined
_NONE = ("", "", "")
_LISTS = (b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto")


def read_headers(raw: Sequence[tuple[bytes, bytes]], trusted_proxies: int) -> Headers:
    """A request's headers by lower-case name; those that proxies add to, joined from all lines."""
    headers = dict(raw)
    if trusted_proxies > 1:
        for name in _LISTS:
            if name in headers:
                headers[name] = b",".join(value for given, value in raw if given == name)
    return headers


def is_counted(method: str, headers: Headers) -> bool:
    """Whether a request is a visit: not a `HEAD`, not a browser that fetches ahead."""
    return method != "HEAD" and not is_ahead(headers)


def is_ahead(headers: Headers) -> bool:
    """Whether a browser fetches ahead what nobody has asked for yet."""
    ahead = headers.get(b"sec-purpose") or headers.get(b"purpose") or headers.get(b"x-moz") or b""
    return ahead.lower().startswith((b"prefetch", b"preview"))


def is_private(headers: Headers) -> bool:
    """Whether the visitor asks not to be tracked."""
    return headers.get(b"dnt") == b"1" or headers.get(b"sec-gpc") == b"1"


def is_local(address: str) -> bool:
    """Whether an address is of this machine or a private network, as a proxy's; "" is a socket."""
    try:
        return not address or ipaddress.ip_address(address).is_private
    except ValueError:
        return False


Counted = tuple[int, str, tuple[str, ...]]  # number, name and tags of a link, as in its clicks
UNKNOWN: Counted = (0, "", ())  # of a visit to an unknown code


def counted(link: Link | None) -> Counted:
    """What clicks say of a link; no link is an unknown code."""
    return UNKNOWN if link is None else (link.number, link.name, link.tags)


class Said(NamedTuple):
    """What headers say about a visitor; all empty for one who asks not to be tracked."""

    agent: str
    referrer: str
    language: str
    country: str
    is_private: bool


_NOTHING = Said("", "", "", "", True)


NOBODY = part("")  # the address of who does not want to be known, in the journal


def told(said: Said, query: bytes = b"") -> bytes:
    """What the journal says of a visitor behind the address."""
    return part(*said, _NONE if said.is_private else _campaign(query), False)


def visitor(said: Said, who: bytes, query: bytes) -> bytes:
    """What the journal says of a visitor; `who` is its `part` of the address."""
    return (NOBODY if said.is_private else who) + told(said, query)


def said(headers: Headers, country_header: bytes = b"") -> Said:
    """Each cut to its length; `country_header` is one that a proxy is trusted with, or none."""
    if is_private(headers):
        return _NOTHING
    return Said(
        headers.get(b"user-agent", b"")[:MAX_AGENT].decode("latin-1"),
        headers.get(b"referer", b"")[:MAX_REFERRER].decode("latin-1"),
        headers.get(b"accept-language", b"")[:MAX_LANGUAGE].decode("latin-1"),
        headers.get(country_header, b"")[:MAX_COUNTRY].decode("latin-1") if country_header else "",
        False,
    )


def click(where: Counted, at: int, said: Said, query: bytes, address: str) -> Click:
    """The click of a visitor who was sent somewhere at `at` (milliseconds since 1970) and came from
    an address in its shortest spelling."""
    number, name, tags = where
    agent, referrer, language, country, is_private = said
    if is_private:
        return Click(at, number, name, tags, "", "", "", "", "", True)
    utm = _campaign(query)
    return Click(at, number, name, tags, address, agent, referrer, language, country, False, utm)


def address(headers: Headers, peer: str, trusted_proxies: int) -> str:
    """The visitor's address, in its shortest spelling; "" when there is none, as behind a socket.

    `peer` is who is connected to us: it counts when proxies are not trusted, or say no address.
    """
    if trusted_proxies and (forwarded := headers.get(b"x-forwarded-for")):
        return _address(_outermost(forwarded, trusted_proxies)) or _address(peer)
    return _address(peer)


def host(headers: Headers, trusted_proxies: int) -> str:
    """The host that the visitor asked for."""
    if trusted_proxies and (forwarded := headers.get(b"x-forwarded-host")):
        return _outermost(forwarded, trusted_proxies)
    return headers.get(b"host", b"").decode("latin-1")


def scheme(headers: Headers, own: str, trusted_proxies: int) -> str:
    """`http` or `https`, as the visitor sees it; `own` is how the request came to us."""
    if trusted_proxies and (forwarded := headers.get(b"x-forwarded-proto")):
        said = _outermost(forwarded, trusted_proxies).lower()
        return said if said in ("http", "https") else own
    return own


def network(address: str) -> str:
    """What limits count instead of an address: of IPv6 the /64, which is one household's or host's.

    A whole /64 is given to everyone, so single addresses of it are no bound.
    """
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def behind_proxies(application: WSGIApplication, trusted_proxies: int) -> WSGIApplication:
    """Tell a WSGI application the visitor's address, host and scheme instead of the proxy's."""

    def told(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        headers = {
            name: str(environ[key]).encode("latin-1")
            for name, key in ((b"host", "HTTP_HOST"), *zip(_LISTS, _KEYS, strict=True))
            if key in environ
        }
        environ["REMOTE_ADDR"] = address(headers, environ.get("REMOTE_ADDR", ""), trusted_proxies)
        if b"x-forwarded-host" in headers:
            environ["HTTP_HOST"] = host(headers, trusted_proxies)
        environ["wsgi.url_scheme"] = scheme(headers, environ["wsgi.url_scheme"], trusted_proxies)
        return application(environ, start)

    return told


_KEYS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO")


def _outermost(entries: bytes, trusted_proxies: int) -> str:
    """The entry that the outermost trusted proxy wrote, or the first when there are fewer."""
    last = entries.rsplit(b",", trusted_proxies)[-trusted_proxies:]
    return last[0].strip()[:MAX_ENTRY].decode("latin-1")


def _address(text: str) -> str:
    """An address in its shortest spelling, without port, brackets and zone; "" if it is none."""
    try:
        socket.inet_pton(socket.AF_INET, text)  # strict, and a tenth of the time of what follows
        return text
    except (OSError, ValueError):
        pass
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


def _campaign(query: bytes) -> tuple[str, str, str]:
    """`utm_source`, `utm_medium` and `utm_campaign` of the short link's own query."""
    if b"utm_" not in query:
        return _NONE
    try:
        found = parse_qs(query[:MAX_QUERY].decode("latin-1"), max_num_fields=100)
    except ValueError:
        return _NONE
    source, medium, campaign = (
        found.get(name, [""])[0][:MAX_UTM] for name in ("utm_source", "utm_medium", "utm_campaign")
    )
    return source, medium, campaign
