"""Transfer: links with their statistics out of one site and into another, or back into the same.

An export is a sequence of records: what it is (with an id of its own), the statistics of the site
and of each tag, then the links, oldest first.  An import makes each link that is not there, notes
in the same step that its statistics are on their way, and adds them; those of site and tags are
noted under the name of the site that they are of.  So an import may be interrupted and repeated,
also with a later export: nothing counts twice.  That gives up what came to the old site meanwhile.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from shortener.errors import Problem
from shortener.links.catalogue import Catalogue
from shortener.links.filters import Position, Question
from shortener.links.link import Link, Wish
from shortener.links.mint import Mint
from shortener.links.outcomes import Made
from shortener.links.repository import Links, rank_entry
from shortener.links.tags import Tags
from shortener.statistics.portions import Addition, Portion, Portions
from shortener.statistics.stats import SITE, Subject, link_subject, tag_subject


class Exported(NamedTuple):
    """A link, how many visitors it has let through, and its statistics."""

    link: Link
    uses: int
    portion: Portion


class Whole(NamedTuple):
    """The statistics of a tag, or of the site when `tag` is None."""

    tag: str | None
    portion: Portion

    @property
    def subject(self) -> Subject:
        return SITE if self.tag is None else tag_subject(self.tag)


class Incoming(NamedTuple):
    """A link to be made, with the statistics that come along."""

    wish: Wish
    portion: Portion


class Transfer:
    """Exports and imports the links of a site."""

    def __init__(
        self,
        links: Links,
        catalogue: Catalogue,
        mint: Mint,
        tags: Tags,
        portions: Portions,
        identity: Callable[[], str],
    ) -> None:
        """`identity` tells this site from others."""
        self._links, self._catalogue, self._mint = links, catalogue, mint
        self._tags, self._portions = tags, portions
        self.identity = identity

    def count(self) -> int:
        """How many links there are."""
        return self._catalogue.count()

    def wholes(self, now: int) -> list[Whole]:
        """The statistics of the site and of each tag at `now` (seconds since 1970)."""
        tags: list[str | None] = [None, *(counts.tag for counts in self._tags.list())]
        subjects = [Whole(tag, {}).subject for tag in tags]
        return [Whole(*pair) for pair in zip(tags, self._portions.read(subjects, now), strict=True)]

    def links(
        self, limit: int, behind: Position | None, now: int
    ) -> tuple[list[Exported], Position | None]:
        """So many links behind a position, oldest first, and where the next ones begin."""
        page = self._catalogue.page(Question(limit, behind, "created"))
        subjects = [link_subject(link.name, link.number) for link in page.links]
        portions = self._portions.read(subjects, now)
        uses = self._links.uses(page.links)
        return list(map(Exported, page.links, uses, portions)), page.following

    def add_whole(self, whole: Whole, source: str) -> None:
        """Add the statistics of another site or a tag of its, once."""
        if source != self.identity():
            self._portions.add(Addition(whole.subject, whole.portion, f"import {source}"))

    def add_links(
        self, incoming: Sequence[Incoming], export: str, by: str, now: int
    ) -> list[Made | Problem]:
        """Make the links that are not there, for the API key with the id `by`, with statistics."""
        outcomes = self._mint.make([one.wish for one in incoming], by, now)
        for one, outcome in zip(incoming, outcomes, strict=True):
            if one.portion and isinstance(outcome, Made):
                link = outcome.link
                subject = link_subject(link.name, link.number)
                note = arrival(export, link.name)
                rank = rank_entry(link)
                self._portions.add(Addition(subject, one.portion, note, begins=False, rank=rank))
        return outcomes


def arrival(export: str, name: str) -> str:
    """The note that the statistics of a link are on their way."""
    return f"import {export} {name}"
