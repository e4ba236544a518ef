"""Outcomes: what becomes of a wish for a link."""

from typing import NamedTuple

from shortener.errors import CodeTaken, Problem
from shortener.links.link import Link, Wish

MAX_LEAPS = 24  # numbers tried until a free code is found; the last leap is 2**22 numbers wide


class Made(NamedTuple):
    """A link, and whether it was made just now."""

    link: Link
    is_new: bool


Outcome = Made | Problem
Outcomes = dict[int, Outcome]  # by the place of the wish


def judge(wish: Wish, link: Link, other: Link | None) -> Outcome | None:
    """What became of a link that was to be written, where an `other` has its name or nobody has;
    None when another code may be made."""
    if other is None:
        return Made(link, True)
    if wish.code is None:
        return None
    if (other.by == link.by or wish.arrival) and wish.is_met_by(other):
        return Made(other, False)
    return CodeTaken(f"{wish.code} is the code of another link.")
