"""What a link is: one JSON string in the store, readable with `redis-cli GET`."""

import hashlib
from typing import Any, NamedTuple, Protocol

import msgspec

from shortener import keys
from shortener.errors import Invalid

PLACE_BITS = 20  # of a number in a place: two links of one second are so many numbers apart


def place(created: int, number: int) -> int:
    """The place of a link: its second and the last 20 bits of its number.

    Exact as a score in the store (53 bits) until the year 2242.
    """
    return created << PLACE_BITS | number % (1 << PLACE_BITS)


class Link(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The stored record.  Times are seconds since 1970; what has its default is left out."""

    v: int = msgspec.field(name="v")  # schema version of this record
    number: int = msgspec.field(name="n")
    code: str = msgspec.field(name="c")
    url: str = msgspec.field(name="u")
    created: int = msgspec.field(name="at")
    by: str = msgspec.field(name="by")  # id of the API key that made it
    domain: str | None = msgspec.field(name="d", default=None)  # None: the default one
    status: int = msgspec.field(name="st", default=302)
    title: str | None = msgspec.field(name="t", default=None)
    tags: tuple[str, ...] = msgspec.field(name="tg", default=())
    starts: int | None = msgspec.field(name="sa", default=None)
    expires: int | None = msgspec.field(name="ex", default=None)
    expired_url: str | None = msgspec.field(name="xu", default=None)
    forward_query: bool = msgspec.field(name="fq", default=False)
    max_clicks: int | None = msgspec.field(name="mx", default=None)
    password: str | None = msgspec.field(name="pw", default=None)  # a slow hash
    updated: int | None = msgspec.field(name="up", default=None)

    @property
    def name(self) -> str:
        """What tells it from all other links."""
        return keys.name(self.domain, self.code)

    @property
    def place(self) -> int:
        """Where it stands among all links, older ones first; tells it from every other one."""
        return place(self.created, self.number)

    def is_over(self, now: int) -> bool:
        """Whether its time is over at `now` (seconds since 1970)."""
        return self.expires is not None and now >= self.expires

    @property
    def is_gated(self) -> bool:
        """Whether more than the record and the clock decides: a password, or how many came."""
        return self.max_clicks is not None or self.password is not None


BARS = ("password", "expires", "max_clicks")  # what may keep somebody out


class Secret(Protocol):
    """A password that was asked for; only what checks passwords knows how it is hashed."""

    def hashed(self) -> str:
        """A new slow hash of it."""

    def matches(self, stored: str | None) -> bool:
        """Whether it is the one behind a stored hash."""


class Arrival(NamedTuple):
    """What a link brings along that was made elsewhere."""

    uses: int  # visitors that it has let through
    note: str  # on the statistics that follow it; "" when none do


class Wish(msgspec.Struct, frozen=True):
    """What a new link should be, checked and normalised.

    `fields` are those of `Link` that were asked for; without `code` one of at least `length`
    characters is made.  With `find` an equal link will do.
    """

    fields: dict[str, Any]
    status: int  # when none was asked for
    domain: str | None = None
    code: str | None = None
    length: int = 0
    find: bool = False
    password: Secret | None = None
    arrival: Arrival | None = None

    @property
    def may_be_another(self) -> bool:
        """Whether an equal link will do; one with a password of its own never is."""
        return self.find and self.password is None

    def is_met_by(self, link: Link) -> bool:
        """Whether `link` equals the wish in every given field.

        One that was made elsewhere is the same still when it was changed here since.
        """
        if self.arrival is not None and self.code is not None:
            return (self.domain, self.code) == (link.domain, link.code) and (
                link.created == self.fields.get("created") or link.url == self.fields["url"]
            )
        return (
            self.domain == link.domain
            and (len(link.code) >= self.length if self.code is None else self.code == link.code)
            and all(getattr(link, name) == value for name, value in self.fields.items())
            and (self.password is None or self.password.matches(link.password))
        )

    def is_led_to(self, link: Link) -> bool:
        """Whether a link that was made for an equal wish is the answer still: it may have been
        changed meanwhile, to lead elsewhere or to keep somebody out."""
        return self.is_met_by(link) and all(
            getattr(link, bar) == self.fields.get(bar) for bar in BARS
        )

    def link(self, number: int, code: str, by: str, now: int) -> Link:
        """The link that it asks for."""
        fields: dict[str, Any] = {
            "created": now,
            "by": by,
            "domain": self.domain,
            "status": self.status,
        }
        fields |= self.fields
        if self.password is not None:
            fields["password"] = self.password.hashed()
        return Link(v=1, number=number, code=code, **fields)


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Link).decode


def decode(record: bytes) -> Link:
    """The link in a stored record."""
    return _decode(record)


def version(record: bytes | Link) -> str:
    """Changes whenever the link does; what clients see as its `ETag`."""
    record = encode(record) if isinstance(record, Link) else record
    return hashlib.blake2b(record, digest_size=8).hexdigest()


def check_times(starts: int | None, expires: int | None) -> None:
    """Raises `Invalid` for a link that would end before it begins."""
    if starts is not None and expires is not None and starts >= expires:
        raise Invalid.field("starts_at", "must be before expires_at")
