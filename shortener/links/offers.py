"""Offers: behind `find_existing`, where of requests at once for equal links all get one.

Whoever wants a link to a URL enters the name that it is going to make in the index of URLs, in the
same step that finds nothing else there.  That is an offer until the link is made.  Whoever comes
meanwhile finds it, and makes a link of that very name: one of them is first, and the other finds
what there is.  So nobody waits for anybody, also not for one that has died.

Whoever makes a link so late that somebody else has made it, and it was deleted, no longer finds its
entry.  That cannot be when no entry was taken out meanwhile, of which there is a count.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shortener import keys
from shortener.links.link import Link, Wish
from shortener.links.repository import Links
from shortener.links.url_index import Offer, UrlIndex


class Settled(NamedTuple):
    """By item the oldest link that is equal, or the code to make one with."""

    found: dict[int, Link]
    codes: dict[int, str]
    removals: int  # from the index, before any of this


class Offers:
    """Finds links of a site by what is asked for, or settles on their codes."""

    def __init__(self, links: Links, urls: UrlIndex) -> None:
        self._links, self._urls = links, urls
        self._removals = -1  # as they were seen last

    def look(self, wishes: Mapping[int, Wish], now: int) -> dict[int, Link]:
        """By item the oldest link that is equal, where there is one."""
        asked = _by_url(wishes)
        found: dict[int, Link] = {}
        for url, there in self._read(self._urls.offer(dict.fromkeys(asked, Offer((), ())))).items():
            wanted = {item: wishes[item] for item in asked[url]}
            found |= self._equal(wanted, list(there.values()), now)
        return found

    def settle(self, wishes: Mapping[int, Wish], codes: Mapping[int, str], now: int) -> Settled:
        """What is there already, or with which codes it is to be made: those that are given, or
        that were offered already; both are entered in the index."""
        removals = self._removals
        found: dict[int, Link] = {}
        chosen = dict(codes)
        asked = _by_url(wishes)
        seen: dict[str, list[str]] = {}
        while asked:
            names = {
                url: [keys.name(wishes[item].domain, chosen[item]) for item in items]
                for url, items in asked.items()
            }
            seen = self._urls.offer({url: Offer(seen.get(url, ()), names[url]) for url in asked})
            missing: dict[str, list[int]] = {}
            for url, there in self._read(seen).items():
                wanted = {item: wishes[item] for item in asked[url]}
                found |= self._equal(wanted, list(there.values()), now)
                if rest := [item for item in wanted if item not in found]:
                    vacant = [name for name, link in there.items() if link is None]
                    chosen |= {i: _offered(vacant, wishes[i]) or codes[i] for i in rest}
                    missing[url] = rest
            asked = missing
        codes = {item: code for item, code in chosen.items() if item not in found}
        return Settled(found, codes, removals)

    def confirm(self, settled: Settled, links: Sequence[Link]) -> None:
        """See that the index has these links, which were made of what was settled."""
        removals = self._urls.removals()
        if removals != settled.removals:
            self._urls.add(links)
        self._removals = removals

    def _read(self, names: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Link | None]]:
        """By URL and name the links, where there are any."""
        links = iter(self._links.read([name for some in names.values() for name in some]))
        return {url: dict(zip(some, links, strict=False)) for url, some in names.items()}

    def _equal(
        self, wishes: Mapping[int, Wish], links: Sequence[Link | None], now: int
    ) -> dict[int, Link]:
        """By item the oldest of the links that will do."""
        live = {item: self.live(links, wish, now) for item, wish in wishes.items()}
        return {item: min(some, key=lambda link: link.place) for item, some in live.items() if some}

    def live(self, links: Sequence[Link | None], wish: Wish, now: int) -> list[Link]:
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


def _by_url(wishes: Mapping[int, Wish]) -> dict[str, list[int]]:
    """The items of each URL."""
    found: dict[str, list[int]] = {}
    for item, wish in wishes.items():
        found.setdefault(wish.fields["url"], []).append(item)
    return found


def _offered(vacant: list[str], wish: Wish) -> str | None:
    """The code of an offer that will do, which is then no longer among the vacant ones."""
    for name in vacant:
        code = name.rpartition("/")[2]
        if wish.code is None and name == keys.name(wish.domain, code) and len(code) >= wish.length:
            vacant.remove(name)
            return code
    return None
