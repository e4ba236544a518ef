"""Existing links, or new ones: what a request with `find_existing` gets."""

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from shortener.errors import CodesExhausted
from shortener.links.link import Link, Wish
from shortener.links.numbers import MAX_LEAPS, Numbers
from shortener.links.offers import Offers, Settled
from shortener.links.outcomes import Made, Outcome, Outcomes, judge
from shortener.links.press import Press

MANY = 10  # wishes: so many are asked for in vain once, should they be there


class Existing:
    """Finds the links of a site, or makes them."""

    def __init__(
        self, numbers: Numbers, offers: Offers, press: Press, code: Callable[[Wish, int], str]
    ) -> None:
        """`code` is what a link with a number is to have."""
        self._numbers, self._offers, self._press, self._code = numbers, offers, press, code
        self._were_there = False  # most of the last many

    def find(self, wishes: Mapping[int, Wish], by: str, now: int) -> Outcomes:
        """For each wish the oldest equal link, or a new one; of two at once both get one link.

        Fails with `CodeTaken`, or `CodesExhausted` after `MAX_LEAPS` tries.
        """
        outcomes: Outcomes = {}
        same = _same(wishes)
        rest = {item: wishes[item] for item in dict.fromkeys(same.values())}
        if len(rest) >= MANY and self._were_there:  # no codes are made in vain
            outcomes |= _made(self._offers.look(rest, now))
            rest = {item: wish for item, wish in rest.items() if item not in outcomes}
        leap = 0
        while rest and leap < MAX_LEAPS:
            outcomes |= self._try(rest, leap, by, now)
            rest = {item: wish for item, wish in rest.items() if item not in outcomes}
            leap += 1
        outcomes |= {item: CodesExhausted() for item in rest}
        if len(wishes) >= MANY:
            self._were_there = 2 * sum(map(_was_there, outcomes.values())) > len(outcomes)
        return outcomes | {i: _again(outcomes[one]) for i, one in same.items() if i != one}

    def _try(self, wishes: Mapping[int, Wish], leap: int, by: str, now: int) -> Outcomes:
        """What is found or made at once, without those whose code is another link's."""
        taken = self._numbers.some(len(wishes) << max(leap - 1, 0))
        numbers = dict(zip(wishes, taken.numbers, strict=False))
        codes = {item: self._code(wishes[item], number) for item, number in numbers.items()}
        settled = self._offers.settle(wishes, codes, now)
        if settled.found:
            unused = [numbers[item] for item in settled.found]
            self._numbers.keep(taken._replace(numbers=unused))
        found = _made(settled.found)
        links = {
            item: wishes[item].link(numbers[item], code, by, now)
            for item, code in settled.codes.items()
        }
        return found | self._make(wishes, links, settled, now) if links else found

    def _make(
        self, wishes: Mapping[int, Wish], links: Mapping[int, Link], settled: Settled, now: int
    ) -> Outcomes:
        outcomes: Outcomes = {}
        written = list(links.values())
        others = self._press.put([wishes[item] for item in links], written, are_entered=True)
        for item, other in zip(links, others, strict=True):
            outcome = judge(wishes[item], links[item], other)
            if other is not None and self._offers.live([other], wishes[item], now):
                outcome = Made(other, False)
            if outcome is not None:
                outcomes[item] = outcome
        made = [link for link, other in zip(written, others, strict=True) if other is None]
        self._offers.confirm(settled, made)
        return outcomes


def _made(found: Mapping[int, Link]) -> Outcomes:
    """These are there already."""
    return {item: Made(link, False) for item, link in found.items()}


def _was_there(outcome: Outcome) -> bool:
    return isinstance(outcome, Made) and not outcome.is_new


def _same(wishes: Mapping[int, Wish]) -> dict[int, int]:
    """For each item the first that asks for the same."""
    items: dict[str, list[int]] = {}
    for item, wish in wishes.items():
        items.setdefault(wish.fields["url"], []).append(item)
    firsts: dict[str, int] = {}
    return {
        item: firsts.setdefault(_digest(wishes[item]), item) if len(some) > 1 else item
        for some in items.values()
        for item in some
    }


def _digest(wish: Wish) -> str:
    """The same for wishes that ask for the same."""
    asked = [wish.domain, wish.code, wish.length, sorted(wish.fields.items())]
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


def _again(outcome: Outcome) -> Outcome:
    """What another one gets that asked for the same."""
    return Made(outcome.link, False) if isinstance(outcome, Made) else outcome
