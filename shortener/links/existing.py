"""Links that exist already: behind `find_existing`."""

from collections.abc import Mapping, Sequence

from shortener.links.link import Link, Wish
from shortener.links.repository import Links
from shortener.links.url_index import UrlIndex


class Existing:
    """Finds links of a site by what is asked for."""

    def __init__(self, links: Links, urls: UrlIndex) -> None:
        self._links, self._urls = links, urls

    def equal(self, wishes: Mapping[int, Wish], now: int) -> dict[int, Link]:
        """By item the oldest live link without password that meets the wish."""
        names = self._urls.names([wish.fields["url"] for wish in wishes.values()])
        links = iter(self._links.read([name for some in names for name in some]))
        found: dict[int, Link] = {}
        for (item, wish), some in zip(wishes.items(), names, strict=True):
            if some and (live := self.live([next(links) for _ in some], wish, now)):
                found[item] = min(live, key=lambda link: link.place)
        return found

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
