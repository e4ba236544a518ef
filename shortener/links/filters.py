"""Filters: what is asked of the catalogue, and whether a link is what was asked for."""

import json
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple
from urllib.parse import quote

import msgspec

from shortener import keys
from shortener.links.link import PLACE_BITS, place

EVERY = "-inf", "+inf"  # all places

Sort = Literal["created", "-created", "-clicks"]


class Position(NamedTuple):
    """Where a page begins: behind this link.  `clicks` counts when the list is sorted by them."""

    place: int
    clicks: int = 0


class Question(msgspec.Struct, frozen=True):
    """What is asked for.  Times are seconds since 1970: `after` included, `before` not."""

    limit: int = 50
    behind: Position | None = None
    sort: Sort = "-created"
    tags: tuple[str, ...] = ()  # all must match
    search: str = ""  # in code, URL or title, in any case
    domain: str | msgspec.UnsetType | None = msgspec.UNSET  # None: the default one
    after: int | None = None
    before: int | None = None

    @property
    def places(self) -> tuple[str, str]:
        """The lowest place, and the highest with a bracket in front as it is excluded."""
        low = "-inf" if self.after is None else str(self.after << PLACE_BITS)
        high = "+inf" if self.before is None else f"({self.before << PLACE_BITS}"
        return low, high

    @property
    def is_whole(self) -> bool:
        """Whether nothing is asked for but an order."""
        return not self.tags and self.is_indexed and self.places == EVERY

    @property
    def is_indexed(self) -> bool:
        """Whether an index has what matches, and no more."""
        return not self.search and self.domain is msgspec.UNSET and len(self.tags) < 2


class Card(msgspec.Struct, frozen=True, gc=False):
    """What of a record is searched: half the work of reading all of it."""

    number: int = msgspec.field(name="n")
    code: str = msgspec.field(name="c")
    url: str = msgspec.field(name="u")
    created: int = msgspec.field(name="at")
    domain: str | None = msgspec.field(name="d", default=None)
    title: str | None = msgspec.field(name="t", default=None)
    tags: tuple[str, ...] = msgspec.field(name="tg", default=())

    @property
    def place(self) -> int:
        return place(self.created, self.number)

    @property
    def name(self) -> str:
        return keys.name(self.domain, self.code)


_read = msgspec.json.Decoder(Card).decode


class Match:
    """Whether a link is one that is asked for, beyond what its index says."""

    def __init__(self, question: Question) -> None:
        self._domain = question.domain
        self._tags = frozenset(question.tags if len(question.tags) > 1 else ())
        text = question.search.casefold()
        # In a record the text is escaped, and in a URL what is not ASCII percent-encoded.
        self._texts = {text, quote(text, safe="!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ").casefold()}
        self._escaped = [json.dumps(each, ensure_ascii=False)[1:-1] for each in self._texts]
        self.needs_records = bool(self._tags or text)

    def has_name(self, name: str) -> bool:
        """Whether the link's domain is the one asked for."""
        if self._domain is msgspec.UNSET:
            return True
        if self._domain is None:
            return "/" not in name
        return name.startswith(f"{self._domain}/")

    def cards(self, records: Iterable[bytes]) -> Iterator[Card]:
        """Those that match; most are told by their bytes, the others read."""
        first, *others = self._escaped
        for record in records:
            whole = record.decode().casefold()
            if first not in whole and not any(text in whole for text in others):
                continue
            card = _read(record)
            if self._has_text(card) and self.has_name(card.name) and self._tags <= set(card.tags):
                yield card

    def _has_text(self, card: Card) -> bool:
        """Whether it is in one of the three; no text has the line end that parts them."""
        whole = f"{card.code}\n{card.url}\n{card.title or ''}".casefold()
        return any(text in whole for text in self._texts)
