"""Existing links, or new ones: what a request with `find_existing` gets."""

from collections.abc import Callable, Mapping, Sequence

from shortener.errors import CodesExhausted
from shortener.links.link import Link, Wish
from shortener.links.outcomes import MAX_LEAPS, Made, Outcome, Outcomes, judge
from shortener.links.press import Press
from shortener.links.repository import Links
from shortener.links.url_index import FEW, UrlIndex
from shortener.links.wanted import Draft, Held, Wanted, digest

MANY = 10  # wishes: with so many, numbers are taken before it is looked, if the last were all new


class Existing:
    """Finds the links of a site, or makes them."""

    def __init__(
        self,
        links: Links,
        urls: UrlIndex,
        wanted: Wanted,
        press: Press,
        draft: Callable[[Sequence[Wish], int], list[Draft]],
    ) -> None:
        """`draft` takes numbers for links that may be made, the more the later the try."""
        self._links, self._urls, self._wanted, self._press = links, urls, wanted, press
        self._draft = draft
        self._were_new = False  # the last many

    def find(self, wishes: Mapping[int, Wish], by: str, now: int) -> Outcomes:
        """For each wish the oldest equal link, or a new one; of two at once both get one link.

        Fails with `CodeTaken`, or `CodesExhausted` after `MAX_LEAPS` tries.
        """
        digests = {item: digest(wish) for item, wish in wishes.items()}
        firsts: dict[str, int] = {}
        for item, asked in digests.items():
            firsts.setdefault(asked, item)
        rest = {item: wishes[item] for item in firsts.values()}
        outcomes: Outcomes = {}
        if len(rest) < MANY or not self._were_new:
            names = self._urls.names([wish.fields["url"] for wish in rest.values()])
            outcomes |= self._equal(rest, dict(zip(rest, names, strict=True)), now)
            rest = {item: wish for item, wish in rest.items() if item not in outcomes}
        self._were_new = False  # also when this fails: looking may work when nothing else does
        leap = 0
        while rest and leap < MAX_LEAPS:
            outcomes |= self._try(rest, digests, leap, by, now)
            rest = {item: wish for item, wish in rest.items() if item not in outcomes}
            leap += 1
        outcomes |= {item: CodesExhausted() for item in rest}
        if len(firsts) >= MANY:
            self._were_new = all(map(_is_new, outcomes.values()))
        return {
            item: outcomes[item] if firsts[asked] == item else _again(outcomes[firsts[asked]])
            for item, asked in digests.items()
        }

    def _try(
        self, wishes: Mapping[int, Wish], digests: Mapping[int, str], leap: int, by: str, now: int
    ) -> Outcomes:
        """What is found or made at once, without those whose code is another link's."""
        drafts = dict(zip(wishes, self._draft(list(wishes.values()), leap), strict=True))
        held = self._wanted.take(wishes, digests, drafts)
        outcomes = self._equal(wishes, self._names(wishes, held), now)
        if outcomes:
            self._wanted.drop([held[item] for item in outcomes])
        missing = {item: held[item] for item in wishes if item not in outcomes}
        links = {item: wishes[item].link(*claim.draft, by, now) for item, claim in missing.items()}
        claims = list(missing.values())
        others = self._press.put([wishes[i] for i in links], list(links.values()), claims)
        for item, other in zip(links, others, strict=True):
            outcome = judge(wishes[item], links[item], other)
            if other is not None and self._is_answer(other, links[item], wishes[item], now):
                outcome = Made(other, False)
            if outcome is not None:
                outcomes[item] = outcome
        return outcomes

    def _is_answer(self, other: Link, link: Link, wish: Wish, now: int) -> bool:
        """Whether what is there will do: like any equal link, or because it was made under the
        same claim, also when nobody gets through it."""
        is_shared = other.number == link.number and wish.is_led_to(other)
        return (is_shared and other.max_clicks is None) or bool(self._live([other], wish, now))

    def _names(
        self, wishes: Mapping[int, Wish], held: Mapping[int, Held]
    ) -> dict[int, Sequence[str]]:
        """Of all links that may be there."""
        names: dict[int, Sequence[str]] = {item: claim.names for item, claim in held.items()}
        many = [item for item, some in names.items() if len(some) == FEW]
        urls = [wishes[item].fields["url"] for item in many]
        return names | dict(zip(many, self._urls.names(urls) if many else (), strict=True))

    def _equal(
        self, wishes: Mapping[int, Wish], names: Mapping[int, Sequence[str]], now: int
    ) -> Outcomes:
        """By item the oldest live link without password that meets the wish."""
        asked = {item: some for item, some in names.items() if some}
        links = iter(self._links.read([name for some in asked.values() for name in some]))
        outcomes: Outcomes = {}
        for item, some in asked.items():
            if live := self._live([next(links) for _ in some], wishes[item], now):
                outcomes[item] = Made(min(live, key=lambda link: link.place), False)
        return outcomes

    def _live(self, links: Sequence[Link | None], wish: Wish, now: int) -> list[Link]:
        """Those that meet the wish, lead somewhere still, and ask for no password."""
        meeting = [
            link
            for link in links
            if link is not None
            and link.password is None
            and not link.is_over(now)
            and wish.is_met_by(link)
        ]
        uses = self._links.uses(meeting)
        return [
            link
            for link, used in zip(meeting, uses, strict=True)
            if link.max_clicks is None or used < link.max_clicks
        ]


def _is_new(outcome: Outcome) -> bool:
    return isinstance(outcome, Made) and outcome.is_new


def _again(outcome: Outcome) -> Outcome:
    """What another one gets that asked for the same."""
    return Made(outcome.link, False) if isinstance(outcome, Made) else outcome
