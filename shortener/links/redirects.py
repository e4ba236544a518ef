"""The decision: where a visitor goes.  Pure: a link, the query and the clock in, a redirect out."""

from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_plus

from shortener.errors import LinkExpired, LinkNotFound, Problem
from shortener.links.link import Link

_AS_IT_IS = "!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~"  # printable ASCII that stays in a query


class Redirect(NamedTuple):
    """Answer with `status` and this `location`; `counted` says whether it is a click."""

    status: int  # 301, 302, 307 or 308
    location: str
    counted: bool = True


class Gated(Exception):
    """The link and the clock do not decide alone: there is a password or a number of visitors."""


def decide(link: Link | None, now: int, query: bytes) -> Redirect:
    """Where `link` leads at `now` (milliseconds since 1970) a visitor who came with `query`.

    Raises `Gated` when it leads somewhere, but not everyone; and like `lead`.
    """
    redirect = lead(link, now, query)
    if link is not None and link.is_gated and redirect.counted:
        raise Gated
    return redirect


def lead(link: Link | None, now: int, query: bytes) -> Redirect:
    """The same for whoever may pass.

    Raises `LinkNotFound` when there is no link, or not yet, and `LinkExpired` when its time is over
    and it names no other place; these have pages of their own.
    """
    if link is None or (link.starts is not None and now < link.starts * 1000):
        raise LinkNotFound
    if link.expires is not None and now >= link.expires * 1000:
        return over(link)
    if link.forward_query and query:
        return Redirect(link.status, forwarded(link.url, query))
    return Redirect(link.status, link.url)


def over(link: Link, problem: type[Problem] = LinkExpired) -> Redirect:
    """Where a link leads that has expired or is used up.  Raises `problem` if nowhere."""
    if link.expired_url is None:
        raise problem
    return Redirect(302, link.expired_url, counted=False)


def forwarded(url: str, query: bytes) -> str:
    """`url` with a visitor's query: it replaces parameters of the same name, and comes last.

    The visitor's bytes are passed on as they came (what is not ASCII percent-encoded), the fragment
    is kept.
    """
    rest, hash_sign, fragment = url.partition("#")
    base, _, own = rest.partition("?")
    visitors = quote_from_bytes(query, safe=_AS_IT_IS)
    given = {_parameter(part) for part in visitors.split("&")}
    kept = [part for part in own.split("&") if part and _parameter(part) not in given]
    return f"{base}?{'&'.join([*kept, visitors])}{hash_sign}{fragment}"


def _parameter(part: str) -> str:
    """The name in `name=value`."""
    return unquote_plus(part.partition("=")[0])
