"""What answers of `/api/v1` look like.  Every field is always there, null when it is unset."""

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from msgspec import UNSET, Struct, UnsetType

from shortener.accounts import SCOPES, Account
from shortener.config import Settings
from shortener.link import Link
from shortener.links import Links
from shortener.stats import Answer, Stats, Totals, link_subject
from shortener.web.domains import Domains


class LinkAnswer(Struct, frozen=True):
    """A link as clients see it; every field is always there."""

    code: str
    domain: str
    short_url: str
    url: str
    title: str | None
    tags: tuple[str, ...]
    redirect_status: int
    forward_query: bool
    created_at: str
    updated_at: str
    created_by: str
    starts_at: str | None
    expires_at: str | None
    expired_url: str | None
    max_clicks: int | None
    remaining: int | None
    has_password: bool
    clicks: int
    bots: int | None  # null: not told apart from people
    last_clicked_at: str | None


class KeyAnswer(Struct, frozen=True):
    """A key as clients see it; `key` is the secret, in the answer to its creation only."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    key: str | UnsetType = UNSET


def time_text(value: float | datetime) -> str:
    """RFC 3339: a number of seconds since 1970 in UTC, a time in its own zone."""
    if not isinstance(value, datetime):
        value = datetime.fromtimestamp(int(value), UTC)
    return value.isoformat(timespec="seconds").replace("+00:00", "Z")


def link_answer(link: Link, totals: Totals, uses: int, domain: str, base_url: str) -> LinkAnswer:
    """`domain` and `base_url` are those of the link."""
    remaining = None if link.max_clicks is None else max(0, link.max_clicks - uses)
    return LinkAnswer(
        code=link.code,
        domain=domain,
        short_url=f"{base_url}/{quote(link.code)}",
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
        remaining=remaining,
        has_password=link.password is not None,
        clicks=totals.clicks,
        bots=None,
        last_clicked_at=None if totals.last is None else time_text(totals.last / 1000),
    )


class LinkAnswers:
    """Links as clients see them, with their clicks."""

    def __init__(self, links: Links, stats: Stats, domains: Domains, settings: Settings) -> None:
        self._links, self._stats, self._domains = links, stats, domains
        self._settings = settings

    def of(self, found: Sequence[Link]) -> list[LinkAnswer]:
        """The answer for each link, in order."""
        totals = self._stats.totals([link_subject(link.name, link.number) for link in found])
        return [
            link_answer(
                link,
                total,
                used,
                self._domains.shown(link.domain),
                self._settings.base_of(link.domain),
            )
            for link, total, used in zip(found, totals, self._links.uses(found), strict=True)
        ]


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


def stats_answer(answer: Answer) -> dict[str, object]:
    """`visitors` and `bots` are null: they are not told apart yet."""
    question = answer.question

    def local(at: datetime) -> str:
        return time_text(at.astimezone(question.zone))

    return {
        "from": local(question.start),
        "to": local(question.end),
        "interval": question.interval,
        "tz": question.zone.key,
        "totals": {"clicks": answer.clicks, "visitors": None, "bots": None},
        "series": [
            {"start": local(start), "clicks": clicks, "visitors": None, "bots": None}
            for start, clicks in answer.series
        ],
    }
