"""Links that exist already: behind `find_existing`."""

from collections.abc import Mapping

from shortener.link import Link, Wish
from shortener.links import Links
from shortener.url_index import UrlIndex


class Existing:
    """Finds links of a site by what is asked for."""

    def __init__(self, links: Links, urls: UrlIndex) -> None:
        self._links, self._urls = links, urls

    def equal(self, wishes: Mapping[int, Wish], now: int) -> dict[int, Link]:
        """By item the oldest live link without password that meets the wish."""
        names = self._urls.names([wish.fields["url"] for wish in wishes.values()])
        links = iter(self._links.read([name for some in names for name in some]))
        meeting: dict[int, list[Link]] = {}
        for (item, wish), some in zip(wishes.items(), names, strict=True):
            found = [next(links) for _ in some]
            meeting[item] = [
                link
                for link in found
                if link is not None
                and link.password is None
                and not link.is_over(now)
                and wish.is_met_by(link)
            ]
        limited = [link for some in meeting.values() for link in some if link.max_clicks]
        uses = dict(zip((link.name for link in limited), self._links.uses(limited), strict=True))
        left = {
            item: [
                link
                for link in some
                if link.max_clicks is None or uses[link.name] < link.max_clicks
            ]
            for item, some in meeting.items()
        }
        return {item: min(some, key=lambda link: link.place) for item, some in left.items() if some}
