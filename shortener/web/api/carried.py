"""Records that carry a site's links and statistics from one place to another.

A record bears its `type`: `export` (what the records are), `site` and `tag` (statistics), `link`.
Statistics are as the store keeps them, by kind and period: when they expire, and the counts.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from shortener import keys
from shortener.errors import Invalid, Problem
from shortener.links.link import Arrival, Wish
from shortener.links.transfer import Exported, Incoming, Whole, arrival
from shortener.statistics import portions
from shortener.statistics.portions import Portion
from shortener.web.api import bodies, kinds
from shortener.web.api.answers import time_text
from shortener.web.api.wishes import Wishes

MAX_RECORDS = 1_000  # of one call
Count = Annotated[int, Meta(ge=0, lt=1 << 53)]
Counts = dict[Annotated[str, Meta(max_length=256)], Count]
Statistics = Annotated[
    dict[Annotated[str, Meta(max_length=64)], tuple[Count, Counts]],
    Meta(description="By kind and period: when they expire (0: never), and the counts."),
]
Uses = Annotated[Count, Meta(description="How many visitors it has let through.")]
Hash = Annotated[
    str,
    Meta(
        max_length=512,
        description="The hash of its password; exported and imported by `admin` keys alone.",
    ),
]
Identity = Annotated[
    str,
    Meta(
        pattern="^[0-9A-Za-z_-]{1,64}$",
        description="Names the export: what bears the same id is added once.",
    ),
]


class ExportRecord(Struct, frozen=True, kw_only=True, tag="export", tag_field="type"):
    """What the records after it are."""

    id: Identity
    site: Annotated[
        str,
        Meta(
            max_length=64,
            description="Names the site that it is of, whose statistics of site and tags are "
            "added once, and never to itself.",
        ),
    ] = ""
    version: Annotated[Literal[1], Meta(description="The version of these records.")] = 1
    at: Annotated[str, Meta(description="When it was made.")]
    timezone: Annotated[str, Meta(description="Whose days the statistics keep.")]
    links: Annotated[int, Meta(description="How many links the site had.")]


class SiteRecord(Struct, frozen=True, tag="site", tag_field="type", forbid_unknown_fields=True):
    """The statistics of the whole site."""

    statistics: Statistics


class TagRecord(Struct, frozen=True, tag="tag", tag_field="type", forbid_unknown_fields=True):
    """The statistics of a tag."""

    tag: kinds.Tag
    statistics: Statistics


class LinkRecord(
    bodies.NewLink,
    frozen=True,
    kw_only=True,
    tag="link",
    tag_field="type",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A link: what may be set, and what has become of it.  `url` alone is needed."""

    created_at: (
        Annotated[bodies.Time, Meta(description="When it was made; left out, now.")] | UnsetType
    ) = UNSET
    updated_at: (
        Annotated[bodies.Time, Meta(description="When it was changed last.")] | UnsetType | None
    ) = UNSET
    created_by: (
        Annotated[str, Meta(max_length=64, description="The id of the key that made it.")]
        | UnsetType
    ) = UNSET
    has_password: kinds.HasPassword = False
    password_hash: Hash | UnsetType = UNSET
    uses: Uses = 0
    statistics: Statistics = msgspec.field(default_factory=dict)


class ExportedLink(Struct, frozen=True, kw_only=True, tag="link", tag_field="type"):
    """A link as an export has it: all there is about it, statistics included."""

    code: kinds.Code
    domain: kinds.Domain | None
    url: kinds.Url
    title: kinds.Title | None
    tags: kinds.ShownTags
    redirect_status: kinds.ShownStatus
    forward_query: kinds.ForwardQuery
    created_at: kinds.Made
    updated_at: Annotated[kinds.Moment, Meta(description="When it was changed last.")] | None
    created_by: kinds.Maker
    starts_at: kinds.ShownStarts | None
    expires_at: kinds.ShownExpires | None
    expired_url: kinds.ExpiredUrl | None
    max_clicks: kinds.MaxClicks | None
    uses: Uses
    has_password: kinds.HasPassword
    password_hash: Hash | UnsetType = UNSET
    statistics: Statistics


Record = ExportRecord | SiteRecord | TagRecord | ExportedLink
Carried = LinkRecord | SiteRecord | TagRecord


class ExportPage(Struct, frozen=True):
    """Records for the lines of a file; the first page begins with what the export is."""

    records: Annotated[list[Record], Meta(description="One for each line.")]
    next_cursor: kinds.NextCursor | None


class Import(Struct, frozen=True, forbid_unknown_fields=True):
    """Records of an export, or links by hand; each is looked at by itself."""

    records: Annotated[
        list[Any],
        Meta(
            max_length=MAX_RECORDS,
            description="What to bring in; statistics need the export they are from.",
            extra_json_schema=kinds.each_of("LinkRecord", "SiteRecord", "TagRecord"),
        ),
    ]
    export: (
        Annotated[
            ExportRecord,
            Meta(description="The first record of the export; without it statistics are refused."),
        ]
        | None
    ) = None


def read(body: bytes) -> Import:
    """The body of an import.  Raises `Invalid`."""
    return bodies.read(body, Import)


def whole_record(whole: Whole) -> SiteRecord | TagRecord:
    if whole.tag is None:
        return SiteRecord(whole.portion)
    return TagRecord(whole.tag, whole.portion)


def link_record(exported: Exported, with_secrets: bool) -> ExportedLink:
    """A link as a record; the hash of its password is a secret."""
    link = exported.link
    return ExportedLink(
        code=link.code,
        domain=link.domain,
        url=link.url,
        title=link.title,
        tags=link.tags,
        redirect_status=link.status,
        forward_query=link.forward_query,
        created_at=time_text(link.created),
        updated_at=_optional(link.updated),
        created_by=link.by,
        starts_at=_optional(link.starts),
        expires_at=_optional(link.expires),
        expired_url=link.expired_url,
        max_clicks=link.max_clicks,
        uses=exported.uses,
        has_password=link.password is not None,
        password_hash=link.password if link.password and with_secrets else UNSET,
        statistics=exported.portion,
    )


def records(values: Sequence[object]) -> list[Carried | Problem]:
    """What was read from JSON as records; one that is none is a problem alone."""
    try:
        return list(bodies.convert(values, list[Carried]))  # one by one takes fifteen times as long
    except Invalid:
        return [_record(value) for value in values]


def _record(value: object) -> Carried | Problem:
    try:
        return bodies.convert(value, Carried)  # type: ignore[arg-type]
    except Invalid as problem:
        return problem


def incoming(read: Carried, export: str, wishes: Wishes, now: int) -> Incoming | Whole:
    """What a record brings.  Raises `Invalid`, naming the field."""
    found: Portion = _portion(read.statistics, now)
    if found and not export:
        raise Invalid.field("statistics", "need the record of their export")
    if isinstance(read, SiteRecord):
        return Whole(None, found)
    if isinstance(read, TagRecord):
        return Whole(bodies.tag(read.tag, "tag"), found)
    return Incoming(_wish(read, export, bool(found), wishes, now), found)


def _wish(record: LinkRecord, export: str, is_followed: bool, wishes: Wishes, now: int) -> Wish:
    # One without a code that equals it is taken for it, however often this is repeated.
    wish = wishes.read(record, None, find=not isinstance(record.code, str))
    fields = wish.fields  # which nobody else has seen
    if record.created_at is not UNSET:
        fields["created"] = bodies.seconds(record.created_at, "created_at")
    if record.updated_at is not UNSET and record.updated_at is not None:
        fields["updated"] = bodies.seconds(record.updated_at, "updated_at")
    if fields.get("created", now) > now:
        raise Invalid.field("created_at", "must not be in the future")
    if record.created_by is not UNSET:
        fields["by"] = bodies.text(record.created_by, "created_by", 64)
    if record.password_hash is not UNSET:
        if not re.fullmatch(r"scrypt:\d+:\d+:\d+\$[^$]+\$[0-9a-f]+", record.password_hash):
            raise Invalid.field("password_hash", "is not one of an export")
        fields["password"] = record.password_hash
    elif record.has_password and wish.password is None:
        raise Invalid.field("password_hash", "is missing: only an admin key exports it")
    if wish.code is None:
        return wish
    note = arrival(export, keys.name(wish.domain, wish.code)) if is_followed else ""
    return msgspec.structs.replace(wish, arrival=Arrival(record.uses, note))


def _portion(statistics: Statistics, now: int) -> Portion:
    """What of statistics is kept still.  Raises `Invalid` for what no export has."""
    if not statistics:
        return {}
    kinds = {period.partition(":")[0] for period in portions.periods(now)}
    for period in statistics:
        kind, _, rest = period.partition(":")
        if kind not in kinds or not re.fullmatch(r"[0-9:.-]{0,32}", rest):
            raise Invalid.field("statistics", f"{period} is not a kind of statistics")
    return {
        period: (expires, counts)
        for period, (expires, counts) in statistics.items()
        if counts and (not expires or expires > now)
    }


def _optional(seconds: int | None) -> str | None:
    return None if seconds is None else time_text(seconds)
