"""The mint: new links, one or a thousand at a time.

A number is taken, a code made of it, and the link written (`press`); what lies in other buckets is
claimed before (`claims`), so that whoever repeats a request finishes what was begun.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import redis

from shortener import keys
from shortener.codes import Codes
from shortener.errors import CodesExhausted, CodeTaken, Invalid, LinkNotFound, Problem
from shortener.links.claims import Claim, Claims
from shortener.links.existing import Existing
from shortener.links.link import Link, Wish
from shortener.links.press import Press
from shortener.links.repository import Links
from shortener.links.url_index import UrlIndex

MAX_LEAPS = 24  # numbers tried until a free code is found; the last leap is 2**23 numbers wide
REPEAT = 24 * 3600  # seconds that an idempotency key is remembered
RACE = 60  # seconds that a request for an equal link may take to make it


class Made(NamedTuple):
    """A link, and whether it was made just now."""

    link: Link
    is_new: bool


class Repetition(NamedTuple):
    """What makes a request the same as an earlier one: the client's key, and what was sent."""

    key: str
    body: bytes


class _Try(NamedTuple):
    """One link to be made, as number `number`; a claim decides that and its random code, under
    the place that the link has in it."""

    item: int
    wish: Wish
    number: int
    claim: Claim | None = None
    claimed: int = 0

    @property
    def who(self) -> object:
        """What tells it from others; those that are to lead to one link are the same."""
        return self.item if self.claim is None else (self.claim.key, self.claimed)


Outcomes = dict[int, Made | Problem]


class Mint:
    """Makes the links of a site."""

    def __init__(self, store: redis.Redis, links: Links, codes: Callable[[], Codes]) -> None:
        """`codes` is asked when the first code is made: the salt lies in the store."""
        self._store, self._links, self._codes = store, links, codes
        self._claims = Claims(store)
        urls = UrlIndex(store)
        self._press = Press(store, urls)
        self._existing = Existing(links, urls)

    def make(
        self, wishes: Sequence[Wish], by: str, now: int, repetition: Repetition | None = None
    ) -> list[Made | Problem]:
        """Make links, at `now` (seconds since 1970), for the API key with the id `by`.

        One that cannot be made fails alone, with `CodeTaken`, or `CodesExhausted` after `MAX_LEAPS`
        tries.  A custom alias asked for again by the same key with the same fields is a retry, and
        answers what is there; so does a `repetition` within a day, with `LinkNotFound` for what was
        deleted meanwhile.  Raises `Invalid` for the same key with another body.
        """
        claim = self._claim(repetition, by, len(wishes)) if repetition else None
        made: Outcomes = self._made_before(claim) if claim else {}
        rest = [item for item in range(len(wishes)) if item not in made]
        plain = [item for item in rest if not wishes[item].may_be_another]
        if plain:
            first = claim.first if claim else self._numbers(len(plain))
            tries = [
                _Try(item, wishes[item], first + (item if claim else place), claim, item)
                for place, item in enumerate(plain)
            ]
            made |= self._settle(tries, by, now)
        seeking = {item: wishes[item] for item in rest if wishes[item].may_be_another}
        if seeking:
            made |= self._find_or_make(seeking, by, now)
        outcomes = [made[item] for item in range(len(wishes))]
        if claim and claim.done is None:
            self._claims.finish(claim, [_noted(outcome) for outcome in outcomes])
        return outcomes

    def _claim(self, repetition: Repetition, by: str, count: int) -> Claim:
        digest = hashlib.sha256(repetition.key.encode()).hexdigest()[:32]
        body = hashlib.sha256(repetition.body).hexdigest()
        wanted = (keys.claim(by, digest), body, self._numbers(count))
        claim = self._claims.take([wanted], REPEAT)[0]
        if claim.digest != body:
            raise Invalid.field("Idempotency-Key", "was used for another request before")
        return claim

    def _made_before(self, claim: Claim) -> Outcomes:
        """What a finished claim led to; an item that failed is tried again."""
        done = dict(enumerate(claim.done or []))
        known = {item: entry for item, entry in done.items() if entry is not None}
        found = self._links.read([name for name, _ in known.values()])
        return {
            item: Made(link, False)
            if link is not None and link.number == number
            else LinkNotFound("The link that was made with this Idempotency-Key is deleted.")
            for (item, (_, number)), link in zip(known.items(), found, strict=True)
        }

    def _settle(self, tries: list[_Try], by: str, now: int) -> Outcomes:
        """Make each link, under the next number for as long as its code is taken."""
        outcomes: Outcomes = {}
        for leap in range(MAX_LEAPS):
            links = [self._link(one, by, now) for one in tries]
            found = self._press.put([one.wish for one in tries], links)
            collided: list[_Try] = []
            for one, link, taken in zip(tries, links, found, strict=True):
                outcome = _outcome(one, link, taken)
                if outcome is None:
                    collided.append(one)
                else:
                    outcomes[one.item] = outcome
            if not collided:
                break
            places: dict[object, int] = {}  # those that share a claim leap together
            for one in collided:
                places.setdefault(one.who, len(places))
            first = self._numbers(len(places) << leap)
            tries = [self._leap(one, leap, first + places[one.who]) for one in collided]
        else:
            outcomes |= {one.item: CodesExhausted() for one in tries}
        return outcomes

    def _find_or_make(self, wishes: dict[int, Wish], by: str, now: int) -> Outcomes:
        """For each wish the oldest equal link, or a new one; of two at once both get one link.

        Who finds none claims a number under what is asked for, and looks again.  Whoever asks for
        the same meanwhile makes the same link; whoever comes when the claim was let go finds it.
        """
        outcomes = self._found(wishes, now)
        missing = {item: wish for item, wish in wishes.items() if item not in outcomes}
        if missing:
            claims = self._claim_equals(missing)
            outcomes |= self._found(missing, now)
            tries = [
                _Try(item, wish, claims[item].first, claims[item])
                for item, wish in missing.items()
                if item not in outcomes
            ]
            outcomes |= self._settle(tries, by, now)
            self._claims.drop(list(claims.values()))
            outcomes |= self._anew(missing, outcomes, by, now)
        return outcomes

    def _anew(self, wishes: dict[int, Wish], outcomes: Outcomes, by: str, now: int) -> Outcomes:
        """Links in place of those that a claim has led to and that are used up by now."""
        led = {
            item: made.link
            for item, made in outcomes.items()
            if item in wishes
            and isinstance(made, Made)
            and not made.is_new
            and made.link.max_clicks
        }
        uses = self._links.uses(list(led.values()))
        gone = [
            item
            for (item, link), used in zip(led.items(), uses, strict=True)
            if used >= (link.max_clicks or 0)
        ]
        return self._find_or_make({item: wishes[item] for item in gone}, by, now) if gone else {}

    def _found(self, wishes: dict[int, Wish], now: int) -> Outcomes:
        equal = self._existing.equal(wishes, now)
        return {item: Made(link, False) for item, link in equal.items()}

    def _claim_equals(self, wishes: dict[int, Wish]) -> dict[int, Claim]:
        first = self._numbers(len(wishes))
        wanted = [
            (keys.claim("find", _digest(wish)), "", number)
            for number, wish in enumerate(wishes.values(), first)
        ]
        return dict(zip(wishes, self._claims.take(wanted, RACE), strict=True))

    def _numbers(self, count: int) -> int:
        """The first of so many new numbers."""
        return int(self._store.incrby(keys.NUMBER, count)) - count + 1

    def _leap(self, one: _Try, leap: int, number: int) -> _Try:
        if one.claim is not None:
            number = self._claims.leap(one.claim, one.claimed, leap, number)
        return one._replace(number=number)

    def _link(self, one: _Try, by: str, now: int) -> Link:
        code = one.wish.code
        if code is None:
            nonce = one.claim.nonce if one.claim else b""
            code = self._codes().make(one.number, one.wish.length, nonce)
        return one.wish.link(one.number, code, by, now)


def _outcome(one: _Try, link: Link, taken: Link | None) -> Made | Problem | None:
    """What became of a try; None when its code is taken and another one may be made."""
    if taken is None:
        return Made(link, True)
    if one.claim is not None and taken.number == one.number and one.wish.is_led_to(taken):
        return Made(taken, False)
    if one.wish.code is None:
        return None
    if (taken.by == link.by or one.wish.arrival) and one.wish.is_met_by(taken):
        return Made(taken, False)
    return CodeTaken(f"{one.wish.code} is the code of another link.")


def _noted(outcome: Made | Problem) -> tuple[str, int] | None:
    return (outcome.link.name, outcome.link.number) if isinstance(outcome, Made) else None


def _digest(wish: Wish) -> str:
    """The same for wishes that ask for the same."""
    asked = [wish.domain, wish.code, wish.length, sorted(wish.fields.items())]
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:32]
