"""Where a link may point: read as browsers read it (the WHATWG URL Standard), stored as `href`.

What a browser would follow somewhere else than a person reads (userinfo, control characters) is
refused, and so is everything that is not http or https.  We never connect to a destination.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import NamedTuple

import can_ada

from shortener.errors import Invalid

MAX_URL = 8_192  # bytes, after normalisation
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # C0, DEL, C1, halves of pairs


def check(url: str, own_hosts: Collection[str], block_private: bool, field: str = "url") -> str:
    """The normalised destination.  Raises `Invalid`, naming `field`.

    `own_hosts` are the hosts of short links: a destination there would lead in a circle.
    """
    if len(url) > 4 * MAX_URL:
        raise Invalid.field(field, f"must have at most {MAX_URL} bytes")
    if _CONTROLS.search(url):
        raise Invalid.field(field, "must not have control characters")
    try:
        parsed = can_ada.parse(url)
    except (ValueError, TypeError, UnicodeEncodeError):
        raise Invalid.field(field, "is not a URL, such as https://example.com/page") from None
    if parsed.protocol not in ("http:", "https:"):
        raise Invalid.field(field, "must begin with http:// or https://")
    if parsed.has_credentials():
        raise Invalid.field(field, "must not have a user name or password")
    host = parsed.hostname.rstrip(".")
    if not host:
        raise Invalid.field(field, "must have a host")
    if host in own_hosts:
        raise Invalid.field(field, "must not point to this shortener: it would lead in a circle")
    if block_private and _is_private(host):
        raise Invalid.field(field, "must not point to a private address")
    href = str(parsed.href)
    if len(href) > MAX_URL:
        raise Invalid.field(field, f"must have at most {MAX_URL} bytes")
    return href


class Host(NamedTuple):
    """A host as it is looked up, and in its own script when that is another one."""

    name: str
    spoken: str | None


def host(url: str) -> Host:
    """The host of a destination.  Names that look alike differ in one of the two forms."""
    name = str(can_ada.parse(url).hostname)
    spoken = can_ada.idna_decode(name.encode())  # type: ignore[arg-type] # its stub says str
    is_other = spoken != name and can_ada.idna_encode(spoken) == name.encode()
    return Host(name, spoken if is_other else None)


def canonical_host(host: str) -> str:
    """A host as `check` sees it: lower case, `xn--`, without a final dot."""
    try:
        return can_ada.parse(f"http://{host}/").hostname.rstrip(".")
    except (ValueError, TypeError, UnicodeEncodeError):
        return host.lower().rstrip(".")


def _is_private(host: str) -> bool:
    """Whether a host, as the URL parser spells it, is or names an address that is not public."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _translated(address)
        if address.is_site_local:
            return True
        address = inner or address
    return not address.is_global or address.is_multicast


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address in one that is translated (64:ff9b::/96, RFC 6052) or compatible (::/96)."""
    if int(address) >> 32 in (0x64FF9B << 64, 0) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
