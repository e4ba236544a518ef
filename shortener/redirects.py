"""The decision: where a visitor goes.  Pure: a link and the clock in, a redirect out."""

from typing import NamedTuple

from shortener.errors import LinkExpired, LinkNotFound
from shortener.links import Link


class Redirect(NamedTuple):
    """Answer with `status` and this `location`, as stored."""

    status: int  # 301, 302, 307 or 308
    location: str


def decide(link: Link | None, now: int) -> Redirect:
    """Where `link` leads at `now` (milliseconds since 1970).

    Raises `LinkNotFound` when there is no link and `LinkExpired` when its time is over; these have
    pages of their own.
    """
    if link is None:
        raise LinkNotFound
    if link.expires is not None and now >= link.expires * 1000:
        raise LinkExpired
    return Redirect(link.status, link.url)
