"""Every statistics answer is what a plain recount of the same clicks in a list gives.

Clicks of three years are written into the journal of a running server: thinly over the years,
densely over the last weeks, in bursts at midnights and at clock changes, with people, bots, and
people who ask not to be tracked.  Then questions are made up.  What an answer must cover is found
by trying every quarter of an hour; nothing here knows how the server keeps its numbers.
"""

import functools
import itertools
import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shortener import connections, keys
from shortener.journal import Click, Journal
from shortener.links.repository import decode
from tests.harness import BROWSER, Server, eventually

QUARTER = timedelta(minutes=15)
OLDEST = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(
    days=1_100
)
INTERVALS = ["hour", "day", "week", "month"]
ZONES = [
    *("Africa/Cairo", "UTC", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin"),
    *("Pacific/Apia", "Australia/Lord_Howe", "America/St_Johns"),
]
SITES = {  # a time zone, and how long quarters, labels and days are kept
    "as it comes": ("Africa/Cairo", 35, 92, 800),
    "short": ("Asia/Kathmandu", 2, 5, 40),
    "even": ("Europe/Berlin", 20, 20, 20),
}
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
GALAXY = (
    "Mozilla/5.0 (Linux; Android 13; SM-X900) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/125.0.0.0 Safari/537.36"
)
# What visitors send, and what people call it.
AGENTS = [
    (BROWSER, "Firefox", "Linux", "desktop"),
    (IPHONE, "Safari", "iOS", "mobile"),
    (GALAXY, "Chrome", "Android", "tablet"),
]
BOTS = [
    "",
    "curl/8.5.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
]
REFERRERS = [
    *(
        ("", "direct"),
        ("https://t.co/abc", "t.co"),
        ("https://www.Example.org:8443/x", "example.org"),
    ),
    *(("android-app://com.slack/", "Slack app"), ("nonsense", "direct")),
]
LANGUAGES = [("", "unknown"), ("ar-SA,ar;q=0.9", "ar"), ("en", "en"), ("*", "unknown")]
COUNTRIES = [("", "unknown"), ("SA", "SA"), ("de", "DE"), ("T1", "unknown"), ("FR", "FR")]
UTMS = [("", "", ""), ("mail", "", ""), ("news", "post", "spring"), ("mail", "post", "")]
UTM_NAMES = ("utm_source", "utm_medium", "utm_campaign")
DIMENSIONS = ["country", "referrer", "browser", "os", "device", "language", *UTM_NAMES]


class Seen(NamedTuple):
    """A click as a list has it; `labels` and `who` are for people."""

    at: datetime
    subjects: frozenset[str]
    is_bot: bool
    who: str | None
    labels: dict[str, str]


class Past(NamedTuple):
    """A server that counted these clicks, and how long it keeps cells."""

    server: Server
    zone: str
    keep: tuple[int, int, int]
    clicks: list[Seen]

    def __repr__(self) -> str:
        return f"<{len(self.clicks)} clicks in {self.zone}, kept {self.keep}>"


@pytest.fixture(scope="module", params=SITES.values(), ids=SITES)
def past(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Past]:
    """A server of the site, whose aggregator has counted everything."""
    zone, quarters, labels, days = request.param
    server = Server(
        tmp_path_factory.mktemp("recount") / "data",
        TIMEZONE=zone,
        WORKERS="1",
        KEEP_QUARTERS=str(quarters),
        KEEP_LABELS=str(labels),
        KEEP_DAYS=str(days),
    ).start()
    server.make_link(code="first", tags=["red"])
    server.make_link(code="second", tags=["red", "blue"])
    clicks = write(server, made_up(zone))
    yield Past(server, zone, (quarters, labels, days), clicks)
    server.stop()


def made_up(zone: str) -> list[datetime]:
    """Times of clicks, in order."""
    chance, now = random.Random(zone), datetime.now(UTC).replace(microsecond=0)
    times = [now - timedelta(seconds=chance.randrange(1_000 * 86400)) for _ in range(1_500)]
    times += [now - timedelta(seconds=chance.randrange(40 * 86400)) for _ in range(1_500)]
    for back in (0, 1, 4, 5, 6, 19, 34, 91, 400, 790):
        day = now.astimezone(ZoneInfo(zone)).date() - timedelta(days=back)
        edge = midnight(day, zone)
        times += [edge + timedelta(milliseconds=chance.randrange(-900, 900)) for _ in range(30)]
    for change in changes(zone, now):
        times += [change + timedelta(minutes=chance.randrange(-200, 200)) for _ in range(60)]
    return sorted(at for at in times if at <= now)


def changes(zone: str, now: datetime) -> Iterator[datetime]:
    """When the zone's clocks were changed, in the last three years."""
    local, at = ZoneInfo(zone), now.replace(minute=0, second=0) - timedelta(days=1_000)
    while at < now:
        following = at + timedelta(hours=1)
        if at.astimezone(local).utcoffset() != following.astimezone(local).utcoffset():
            yield following
        at = following


def midnight(day: Any, zone: str) -> datetime:
    """The first moment of a day in a zone, looked for among all quarters of an hour."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
    while at.astimezone(ZoneInfo(zone)).date() < day:
        at += QUARTER
    return at


def write(server: Server, times: list[datetime]) -> list[Seen]:
    """Write clicks into a journal beside the workers'; returns when all are counted."""
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    links = [decode(store.get(keys.link(code))) for code in ("first", "second")]  # type: ignore[arg-type]
    store.close()
    host = (server.data_dir / "host").read_text().strip()
    journal = Journal(server.data_dir / "journal", host, "never", 1 << 30)
    chance, seen = random.Random(1), []
    for at in times:
        link = chance.choice([*links, None])
        click, entry = visit(chance, at, link)
        journal.append([click])
        seen.append(entry)
    journal.close()
    for query, subject in (("", "site"), ("&orphans=true", "orphans")):
        expected = sum(subject in entry.subjects for entry in seen)
        found = eventually(lambda query=query: counted(server, query), expected.__eq__)
        assert found == expected
    return seen


def counted(server: Server, query: str) -> int:
    totals = server.api("GET", f"/stats?from=2020-01-01&interval=month{query}").json()["totals"]
    return int(totals["clicks"] + totals["bots"])


def visit(chance: random.Random, at: datetime, link: Any) -> tuple[Click, Seen]:
    """A made-up visit: what the journal has, and what a list has."""
    subjects = {"orphans"} if link is None else {"site", link.code, *link.tags}
    number, name, tags = (0, "", ()) if link is None else (link.number, link.name, link.tags)
    ms = round(at.timestamp() * 1000)
    if chance.random() < 0.1:
        click = Click(ms, number, name, tags, "", "", "", "", private=True)
        return click, Seen(
            at, frozenset(subjects), False, None, dict.fromkeys(DIMENSIONS, "unknown")
        )
    address = f"192.0.2.{chance.randrange(8)}"
    is_bot = chance.random() < 0.2
    agent, *read = (chance.choice(BOTS),) if is_bot else chance.choice(AGENTS)
    referrer, host = chance.choice(REFERRERS)
    language, spoken = chance.choice(LANGUAGES)
    country, place = chance.choice(COUNTRIES)
    utm = chance.choice(UTMS)
    click = Click(
        ms, number, name, tags, address, agent, referrer, language, country=country, utm=utm
    )
    values = [place, host, *read, spoken, *(value or "none" for value in utm)]
    labels = {} if is_bot else dict(zip(DIMENSIONS, values, strict=True))
    who = None if is_bot else f"{address} {agent}"
    return click, Seen(at, frozenset(subjects), is_bot, who, labels)


class Told:
    """Which moments the cells of a site tell apart at `now`, by trying."""

    def __init__(self, past: Past, now: datetime) -> None:
        self._zone = ZoneInfo(past.zone)
        quarters, labels, days = (timedelta(days=kept) for kept in past.keep)
        today = now.astimezone(self._zone).date()
        self._quarters = midnight((now - quarters).astimezone(self._zone).date(), past.zone)
        self._labels, self._days = today - labels, (today - days).replace(day=1)

    def at(self, at: datetime) -> bool:
        return at >= self._quarters or self._is_edge(at, self._days)

    def by_label(self, at: datetime) -> bool:
        return self._is_edge(at, self._labels)

    def _is_edge(self, at: datetime, kept: Any) -> bool:
        day = at.astimezone(self._zone).date()
        begins = (at - QUARTER).astimezone(self._zone).date() != day
        return begins and (day >= kept or day.day == 1)


def cover(
    start: datetime, end: datetime, told: Callable[[datetime], bool]
) -> tuple[datetime, datetime]:
    """The smallest range of moments that are told that covers another."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start, end = start - (start - epoch) % QUARTER, end + -(end - epoch) % QUARTER
    while not told(start):
        start -= QUARTER
    while not told(end):
        end += QUARTER
    return start, end


@functools.cache
def all_starts(unit: str, zone: str) -> list[datetime]:
    """Where intervals begin, by looking at a clock every quarter of an hour for three years."""
    local, found, before = ZoneInfo(zone), [], None
    for n in range(96 * 1_110):
        at = (OLDEST + n * QUARTER).astimezone(local)
        shown = {"hour": (at.date(), at.hour, at.utcoffset()), "day": at.date()}.get(unit)
        if unit == "week":
            shown = at.isocalendar()[:2]
        elif unit == "month":
            shown = (at.year, at.month)
        if shown != before:
            found.append(OLDEST + n * QUARTER)
        before = shown
    return found


def starts(start: datetime, end: datetime, unit: str, zone: str) -> list[datetime]:
    """Those of a range; the first one is clipped."""
    every = all_starts(unit, zone)
    return [start, *every[bisect_right(every, start) : bisect_left(every, end)]]


def wanted_range(
    past: Past, told: Told, start: datetime, end: datetime, interval: str, zone: str
) -> tuple[list[datetime], str, str]:
    """The bounds of all intervals that must be answered, the interval and the zone."""
    start, end = cover(start, end, told.at)
    coarser = [(unit, past.zone) for unit in INTERVALS[INTERVALS.index(interval) :]]
    for unit, local in [(interval, zone), *coarser]:
        found = starts(start, end, unit, local)
        if all(map(told.at, found)):
            return [*found, end], unit, local
    raise AssertionError("months are always told")


def within(clicks: list[Seen], start: datetime, end: datetime) -> list[Seen]:
    first, last = (bisect_left(clicks, at, key=lambda click: click.at) for at in (start, end))
    return clicks[first:last]


def visitors(past: Past, clicks: list[Seen]) -> list[datetime]:
    """When each visitor came first, on each day of the site."""
    zone, first = ZoneInfo(past.zone), {}
    for click in clicks:
        if click.who is not None:
            first.setdefault((click.at.astimezone(zone).date(), click.who), click.at)
    return list(first.values())


SUBJECTS = {
    "site": "/stats?",
    "first": "/links/first/stats?",
    "second": "/links/second/stats?",
    "red": "/stats?tag=red&",
    "blue": "/stats?tag=BLUE&",
    "orphans": "/stats?orphans=true&",
}
AGO = st.one_of(st.integers(0, 4 * 24 * 45), st.integers(0, 4 * 24 * 990))  # quarters


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(list(SUBJECTS)),
    AGO,
    AGO,
    st.sampled_from([timedelta(), timedelta(minutes=7)]),
    st.sampled_from(INTERVALS),
    st.sampled_from([None, *ZONES]),
    st.integers(1, 6),
)
def test_every_answer_is_what_a_recount_gives(
    past: Past,
    subject: str,
    ago: int,
    until: int,
    odd: timedelta,
    interval: str,
    zone: str | None,
    limit: int,
) -> None:
    """Any subject, range, interval and zone: range, series, totals and every label."""
    now = datetime.now(UTC)
    newest = now - (now - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER + QUARTER
    start, end = (newest - n * QUARTER for n in sorted((ago, until), reverse=True))
    start, end = start - odd, end + QUARTER
    if interval == "hour" and end - start > timedelta(days=400):
        start = end - timedelta(days=400)
    query = f"from={stamp(start)}&to={stamp(end)}&interval={interval}&limit={limit}"
    answer = past.server.api("GET", SUBJECTS[subject] + query + (f"&tz={zone}" if zone else ""))
    assert answer.status_code == 200, answer.text
    clicks = [click for click in past.clicks if subject in click.subjects]
    told = Told(past, now)
    asked = wanted_range(past, told, start, end, interval, zone or past.zone)
    check_series(past, clicks, answer.json(), asked)
    check_labels(clicks, answer.json(), cover(asked[0][0], asked[0][-1], told.by_label), limit)


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def check_series(
    past: Past, clicks: list[Seen], answer: dict[str, Any], asked: tuple[list[datetime], str, str]
) -> None:
    bounds, interval, zone = asked
    assert (answer["interval"], answer["tz"]) == (interval, zone)
    told = [seconds(answer["from"]), seconds(answer["to"])]
    assert told == [bounds[0].timestamp(), bounds[-1].timestamp()]
    assert [seconds(e["start"]) for e in answer["series"]] == [b.timestamp() for b in bounds[:-1]]
    first = visitors(past, clicks)
    for entry, (start, end) in zip(answer["series"], itertools.pairwise(bounds), strict=True):
        there = within(clicks, start, end)
        bots = sum(click.is_bot for click in there)
        assert (entry["clicks"], entry["bots"]) == (len(there) - bots, bots)
        assert entry["visitors"] <= entry["clicks"]
        assert about(entry["visitors"], sum(start <= at < end for at in first))
    for kind in ("clicks", "visitors", "bots"):
        assert answer["totals"][kind] == sum(entry[kind] for entry in answer["series"])


def about(estimate: int, number: int) -> bool:
    """Visitors are estimated: in small numbers right but for a few in a hundred days."""
    return abs(estimate - number) <= 2 + number // 25


def check_labels(
    clicks: list[Seen], answer: dict[str, Any], range_: tuple[datetime, datetime], limit: int
) -> None:
    told = answer["by_range"]
    assert (seconds(told["from"]), seconds(told["to"])) == tuple(at.timestamp() for at in range_)
    people = [click for click in within(clicks, *range_) if not click.is_bot]
    assert list(answer["by"]) == DIMENSIONS
    for dimension, entries in answer["by"].items():
        counts = Counter(click.labels[dimension] for click in people)
        ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
        shown = [{"value": value, "clicks": number} for value, number in ranked[:limit]]
        rest = sum(number for _, number in ranked[limit:])
        other = [{"value": None, "other": True, "clicks": rest}] if rest else []
        assert entries == shown + other
