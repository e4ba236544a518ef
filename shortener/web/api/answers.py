"""What answers of `/api/v1` look like.  Every field is always there, null when it is unset."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from msgspec import UNSET, Meta, Struct, UnsetType

from shortener.accounts import SCOPES, Account
from shortener.config import Settings
from shortener.links.link import Link, version
from shortener.links.outcomes import Made
from shortener.links.repository import Links
from shortener.statistics.intervals import INTERVALS
from shortener.statistics.stats import Stats, Totals, link_subject
from shortener.web.api import kinds
from shortener.web.domains import Domains
from shortener.web.shape import ProblemBody

NO_CLICKS = Totals(0, 0, None)
PRIVATE = "private, no-store"  # the Cache-Control of answers that are for one client


class LinkAnswer(Struct, frozen=True):
    """A link."""

    code: kinds.Code
    domain: Annotated[str, Meta(description="The domain it lives on.")]
    short_url: Annotated[
        str, Meta(description="What to give to people.", extra_json_schema={"format": "uri"})
    ]
    url: kinds.Url
    title: kinds.Title | None
    tags: kinds.ShownTags
    redirect_status: kinds.ShownStatus
    forward_query: kinds.ForwardQuery
    created_at: kinds.Made
    updated_at: Annotated[kinds.Moment, Meta(description="When it was changed last.")]
    created_by: kinds.Maker
    starts_at: kinds.ShownStarts | None
    expires_at: kinds.ShownExpires | None
    expired_url: kinds.ExpiredUrl | None
    max_clicks: kinds.MaxClicks | None
    remaining: (
        Annotated[int, Meta(ge=0, description="How many visitors `max_clicks` still lets through.")]
        | None
    )
    has_password: kinds.HasPassword
    clicks: kinds.Clicks
    bots: kinds.Bots
    last_clicked_at: (
        Annotated[kinds.Moment, Meta(description="null: nobody has clicked yet.")] | None
    )


class LinkPage(Struct, frozen=True):
    """Links, a page of them."""

    links: Annotated[list[LinkAnswer], Meta(description="In the order asked for.")]
    next_cursor: kinds.NextCursor | None
    total: Annotated[int, Meta(ge=0, description="How many links match on all pages.")]


class BulkResult(Struct, frozen=True, kw_only=True):
    """What became of one link of a bulk request: `link`, or the `error` that kept it away."""

    status: Annotated[
        int, Meta(description="As the answer to this link alone: 201, 200 or that of its error.")
    ]
    link: Annotated[LinkAnswer | UnsetType, Meta(description="The link.")] = UNSET
    error: Annotated[ProblemBody | UnsetType, Meta(description="Why there is none.")] = UNSET


class BulkResults(Struct, frozen=True):
    """What became of the links of a bulk request, in order."""

    results: Annotated[
        list[
            Annotated[
                BulkResult,
                Meta(
                    extra_json_schema={"oneOf": [{"required": ["link"]}, {"required": ["error"]}]}
                ),
            ]
        ],
        Meta(description="One for each link of the request."),
    ]


class TagAnswer(Struct, frozen=True):
    """A tag, with its links and clicks."""

    tag: kinds.Tag
    links: Annotated[int, Meta(ge=0, description="How many links have it.")]
    clicks: Annotated[int, Meta(ge=0, description="Clicks of links while they had it.")]


class TagList(Struct, frozen=True):
    """Tags in alphabetical order."""

    tags: Annotated[list[TagAnswer], Meta(description="Those that links have.")]


class KeyAnswer(Struct, frozen=True):
    """A key; its secret is in the answer to its creation only."""

    id: Annotated[str, Meta(description="Names it in links and calls; tells nothing of it.")]
    name: kinds.KeyName
    scopes: Annotated[tuple[kinds.Scope, ...], Meta(description="What it may do.")]
    created_at: kinds.Made
    expires_at: Annotated[kinds.Moment, Meta(description="From then on it is none.")] | None
    last_used_at: Annotated[kinds.Moment, Meta(description="Written once a minute at most.")] | None
    key: Annotated[str | UnsetType, Meta(description="The secret.")] = UNSET


class KeyList(Struct, frozen=True):
    """Keys, oldest first."""

    keys: Annotated[list[KeyAnswer], Meta(description="All there are.")]


class ClickCounts(Struct, frozen=True):
    """Clicks of a range."""

    clicks: kinds.Clicks
    visitors: kinds.Visitors
    bots: kinds.Bots


class IntervalCounts(Struct, frozen=True):
    """Clicks of an hour, day, week or month."""

    start: Annotated[kinds.Moment, Meta(description="When it begins.")]
    clicks: kinds.Clicks
    visitors: kinds.Visitors
    bots: kinds.Bots


class LabelCount(Struct, frozen=True):
    """Clicks of people with a label."""

    value: Annotated[str | None, Meta(description="The label; null for all that are not listed.")]
    clicks: kinds.Clicks
    other: Annotated[bool | UnsetType, Meta(description="true: these are the ones not listed.")] = (
        UNSET
    )


class ByRange(Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """A range of time."""

    start: Annotated[kinds.Moment, Meta(description="Where it begins.")]
    end: Annotated[kinds.Moment, Meta(description="Where it ends; not included.")]


class StatsAnswer(Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """Clicks by interval."""

    start: Annotated[kinds.Moment, Meta(description="Where the answered range begins.")]
    end: Annotated[kinds.Moment, Meta(description="Where it ends; not included.")]
    interval: Annotated[
        str, Meta(description="How time is cut.", extra_json_schema={"enum": list(INTERVALS)})
    ]
    tz: Annotated[str, Meta(description="The time zone of all times in the answer.")]
    totals: Annotated[ClickCounts, Meta(description="Of the whole range.")]
    series: Annotated[
        list[IntervalCounts], Meta(description="Every interval of the range, zeros included.")
    ]
    by: Annotated[
        dict[str, list[LabelCount]],
        Meta(
            description="By dimension the clicks of each label, most first; with the rest as "
            "*other* they add up to the clicks of `by_range`."
        ),
    ]
    by_range: Annotated[
        ByRange, Meta(description="What range `by` covers: the smallest that the cells can tell.")
    ]


class ImportFault(Struct, frozen=True):
    """A record that was not brought in, and why."""

    index: Annotated[int, Meta(ge=0, description="Its place in the request, from 0.")]
    error: Annotated[ProblemBody, Meta(description="What is wrong with it.")]


class ImportResult(Struct, frozen=True):
    """What became of the records of an import."""

    created: Annotated[int, Meta(ge=0, description="Links that were made.")]
    existing: Annotated[int, Meta(ge=0, description="Links that were there already.")]
    errors: Annotated[list[ImportFault], Meta(description="In the order of the request.")]


def time_text(value: float | datetime) -> str:
    """RFC 3339: a number of seconds since 1970 in UTC, a time in its own zone."""
    if not isinstance(value, datetime):
        value = datetime.fromtimestamp(int(value), UTC)
    return value.isoformat(timespec="seconds").replace("+00:00", "Z")


class Shown:
    """A link as clients see it: on its domain, whose base URL the `settings` know."""

    def __init__(self, domains: Domains, settings: Settings) -> None:
        self._domains, self._settings = domains, settings

    def __call__(self, link: Link, totals: Totals = NO_CLICKS, uses: int = 0) -> LinkAnswer:
        """The answer for a link with these clicks and uses."""
        return LinkAnswer(
            code=link.code,
            domain=self._domains.shown(link.domain),
            short_url=f"{self._settings.base_of(link.domain)}/{quote(link.code)}",
            url=link.url,
            title=link.title,
            tags=link.tags,
            redirect_status=link.status,
            forward_query=link.forward_query,
            created_at=time_text(link.created),
            updated_at=time_text(link.updated or link.created),
            created_by=link.by,
            starts_at=_optional(link.starts),
            expires_at=_optional(link.expires),
            expired_url=link.expired_url,
            max_clicks=link.max_clicks,
            remaining=None if link.max_clicks is None else max(0, link.max_clicks - uses),
            has_password=link.password is not None,
            clicks=totals.clicks,
            bots=totals.bots,
            last_clicked_at=None if totals.last is None else time_text(totals.last / 1000),
        )


class LinkAnswers:
    """Links as clients see them, with their clicks."""

    def __init__(self, links: Links, stats: Stats, domains: Domains, settings: Settings) -> None:
        self._links, self._stats = links, stats
        self._shown = Shown(domains, settings)

    def of(self, found: Sequence[Link]) -> list[LinkAnswer]:
        """The answer for each link, in order."""
        totals = self._stats.totals([link_subject(link.name, link.number) for link in found])
        uses = self._links.uses(found)
        return [self._shown(*one) for one in zip(found, totals, uses, strict=True)]

    def made(self, outcomes: Sequence[Made]) -> list[LinkAnswer]:
        """The same for links that were asked for: nobody has clicked on a new one."""
        known = iter(self.of([one.link for one in outcomes if not one.is_new]))
        return [self._shown(one.link) if one.is_new else next(known) for one in outcomes]


def headers_of_made(link: Link) -> dict[str, str]:
    """What is said about a link that was asked for, beside the link."""
    domain = "" if link.domain is None else f"?domain={link.domain}"
    return {
        "Cache-Control": PRIVATE,
        "ETag": f'"{version(link)}"',
        "Location": f"/api/v1/links/{quote(link.code)}{domain}",
    }


def _optional(seconds: int | None) -> str | None:
    return None if seconds is None else time_text(seconds)


def key_answer(account: Account, used: int | None, secret: str | None = None) -> KeyAnswer:
    return KeyAnswer(
        id=account.id,
        name=account.name,
        scopes=tuple(scope for scope in SCOPES if scope in account.scopes),
        created_at=time_text(account.created),
        expires_at=_optional(account.expires),
        last_used_at=_optional(used),
        key=UNSET if secret is None else secret,
    )
