"""Statistics: what the API answers is what a plain recount of the same clicks gives.

Clicks of other times are written into the click journal of a running server, whose aggregator
counts them.  Clicks around clock changes lie in 2080: whatever day it is, their quarters of an hour
are kept, and the rules of the zones are the ones of today.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shortener import connections, keys
from shortener.journal import Click, Journal
from shortener.links.repository import decode
from tests.harness import BROWSER, Server, eventually

NewServer = Callable[..., Server]
SITE_ZONE = ZoneInfo("Africa/Cairo")  # where clocks go forward at midnight
QUARTER = timedelta(minutes=15)
INTERVALS = ["hour", "day", "week", "month"]
ZONES = ["Africa/Cairo", "UTC", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin", "Pacific/Apia"]


class Change(NamedTuple):
    """A zone's clocks are changed at `at`."""

    zone: str
    at: datetime


def changed(zone: str, at: str) -> Change:
    return Change(zone, datetime.fromisoformat(at))


CHANGES = {
    "Berlin, an hour left out": changed("Europe/Berlin", "2080-03-31T01:00Z"),
    "Berlin, an hour twice": changed("Europe/Berlin", "2080-10-27T01:00Z"),
    "Lord Howe, half an hour left out": changed("Australia/Lord_Howe", "2080-10-05T15:30Z"),
    "Lord Howe, half an hour twice": changed("Australia/Lord_Howe", "2080-04-06T15:00Z"),
    "Cairo, no midnight": changed("Africa/Cairo", "2080-04-25T22:00Z"),
    "Cairo, the last hour twice": changed("Africa/Cairo", "2080-10-31T21:00Z"),
    "Havana, two midnights": changed("America/Havana", "2080-11-03T05:00Z"),
    "St John's, on the half hour": changed("America/St_Johns", "2080-11-03T04:30Z"),
}


class Past(NamedTuple):
    """A server whose link `code` got these clicks; the site got those of `other` as well."""

    server: Server
    code: str
    now: datetime
    clicks: list[datetime]
    other: list[datetime]

    def __repr__(self) -> str:
        return f"<clicks until {self.now}>"


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """Clicks of the last 34 days, thinly of the last two years, and around clock changes."""
    server = Server(
        tmp_path_factory.mktemp("past") / "data", TIMEZONE=SITE_ZONE.key, WORKERS="1"
    ).start()
    now = datetime.now(UTC).replace(microsecond=0)
    clicks, other = made_up(now, 1), made_up(now, 2)
    codes = [server.make_link(code=code)["code"] for code in ("counted", "other")]
    write_clicks(server, dict(zip(codes, (clicks, other), strict=True)))
    yield Past(server, codes[0], now, clicks, other)
    server.stop()


def made_up(now: datetime, seed: int) -> list[datetime]:
    """Times of clicks: anywhere, and just before, at and after edges of hours and days."""
    chance = random.Random(seed)
    times = [now - timedelta(seconds=chance.randrange(34 * 86400)) for _ in range(400)]
    times += [now - timedelta(seconds=chance.randrange(780 * 86400)) for _ in range(400)]
    for change in CHANGES.values():
        times += [change.at + timedelta(minutes=chance.randrange(-3000, 3000)) for _ in range(150)]
        for edge in (-60, -30, 0, 30, 60, 90, 120):
            at = change.at + timedelta(minutes=edge)
            times += [at - timedelta(milliseconds=1), at, at + timedelta(milliseconds=1)]
    for back, zone in itertools.product((1, 9, 17), ZONES):
        at = midnight(now.astimezone(ZoneInfo(zone)).date() - timedelta(days=back), zone)
        times += [at - timedelta(milliseconds=1), at]
    return times


def write_clicks(server: Server, clicks: dict[str, list[datetime]]) -> None:
    """Into a journal beside those of the workers; returns when all are counted."""

    def counted() -> dict[str, int]:
        links = {code: server.api("GET", f"/links/{code}").json() for code in clicks}
        site = answered(server, start="2000-01-01", to="2090-12-31", interval="month")
        found = {code: link["clicks"] for code, link in links.items()}
        return found | {"the site": site["totals"]["clicks"]}

    before = counted()
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    host = (server.data_dir / "host").read_text().strip()
    journal = Journal(server.data_dir / "journal", host, "never", 1 << 30)
    for code, times in clicks.items():
        record = store.get(keys.link(code))
        assert isinstance(record, bytes)
        number = decode(record).number
        journal.append(
            [Click(ms(at), number, code, (), "192.0.2.1", BROWSER, "", "") for at in sorted(times)]
        )
    journal.close()
    store.close()
    wanted = {code: before[code] + len(times) for code, times in clicks.items()}
    wanted["the site"] = before["the site"] + sum(map(len, clicks.values()))
    assert eventually(counted, lambda found: found == wanted) == wanted


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def ask(server: Server, code: str | None = None, **params: str) -> httpx.Response:
    """Statistics of a link or of the site; `start` is sent as `from`."""
    if "start" in params:
        params["from"] = params.pop("start")
    return server.api("GET", "/stats" if code is None else f"/links/{code}/stats", params=params)


def answered(server: Server, code: str | None = None, **params: str) -> dict[str, Any]:
    """The same, when it must be an answer."""
    answer = ask(server, code, **params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def series(answer: dict[str, Any]) -> list[tuple[float, int]]:
    """When each interval begins, in seconds since 1970, and its clicks."""
    return [(seconds(entry["start"]), entry["clicks"]) for entry in answer["series"]]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def midnight(day: date, zone: str) -> datetime:
    """The first moment of a day in a zone, looked for among all quarters of an hour."""
    at = datetime.combine(day, clock(), UTC) - timedelta(days=1)
    while at.astimezone(ZoneInfo(zone)).date() < day:
        at += QUARTER
    return at


def label(at: datetime, interval: str) -> tuple[object, ...]:
    """What all moments of an interval have in common, on the clock and calendar of a zone."""
    if interval == "hour":
        return (at.date(), at.hour, at.utcoffset())
    if interval == "week":
        return at.isocalendar()[:2]
    return (at.year, at.month) if interval == "month" else (at.date(),)


def recount(
    clicks: list[datetime], start: datetime, end: datetime, interval: str, zone: str
) -> list[tuple[float, int]]:
    """What `series` must be: walk from `start` to `end` (UTC) by quarters and look at a clock."""
    quarters = [start + n * QUARTER for n in range((end - start) // QUARTER)]
    assert quarters[-1] + QUARTER == end
    found: dict[datetime, int] = dict.fromkeys(quarters, 0)
    for click in clicks:
        if start <= click < end:
            found[start + (click - start) // QUARTER * QUARTER] += 1
    local = ZoneInfo(zone)
    grouped = [
        list(group)
        for _, group in itertools.groupby(
            quarters, lambda at: label(at.astimezone(local), interval)
        )
    ]
    return [(group[0].timestamp(), sum(found[at] for at in group)) for group in grouped]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("interval", INTERVALS)
def test_a_series_is_what_a_recount_gives(past: Past, interval: str, zone: str) -> None:
    """In any zone, for a link and for the site: every interval, zeros included, and the total."""
    today = past.now.astimezone(ZoneInfo(zone)).date()
    first, last = today - timedelta(days=33), today - timedelta(days=1)
    start, end = midnight(first, zone), midnight(today, zone)
    params = {"start": str(first), "to": str(last), "interval": interval, "tz": zone}
    for code, clicks in ((past.code, past.clicks), (None, past.clicks + past.other)):
        answer = answered(past.server, code, **params)
        wanted = recount(clicks, start, end, interval, zone)
        assert series(answer) == wanted
        assert answer["totals"]["clicks"] == sum(count for _, count in wanted) > 0
        assert (answer["interval"], answer["tz"]) == (interval, zone)
    if interval == "hour":
        assert 0 in [count for _, count in wanted]


@pytest.mark.parametrize("zone", ZONES)
def test_times_are_answered_in_the_zone(past: Past, zone: str) -> None:
    """Every time in the answer has the offset that the zone has then."""
    answer = answered(past.server, past.code, tz=zone)
    for text in (answer["from"], answer["to"], *(entry["start"] for entry in answer["series"])):
        at = datetime.fromisoformat(text)
        assert at.utcoffset() == at.astimezone(ZoneInfo(zone)).utcoffset(), text


def test_the_default_is_thirty_days_with_today(past: Past) -> None:
    """By day, in the site's zone, until the end of today."""
    before = datetime.now(SITE_ZONE).date()
    answer = answered(past.server, past.code)
    after = datetime.now(SITE_ZONE).date()
    assert (answer["interval"], answer["tz"]) == ("day", SITE_ZONE.key)
    expected = []
    for today in (before, after):
        first, end = today - timedelta(days=29), today + timedelta(days=1)
        start, stop = midnight(first, SITE_ZONE.key), midnight(end, SITE_ZONE.key)
        expected.append(recount(past.clicks, start, stop, "day", SITE_ZONE.key))
    assert series(answer) in expected
    assert len(answer["series"]) == 30


def test_the_default_days_are_those_of_the_zone_asked_for(past: Past) -> None:
    """With `tz` alone it is the last thirty days there."""
    before = datetime.now(ZoneInfo("Pacific/Apia")).date()
    answer = answered(past.server, past.code, tz="Pacific/Apia")
    after = datetime.now(ZoneInfo("Pacific/Apia")).date()
    last = datetime.fromisoformat(answer["series"][-1]["start"])
    assert last.date() in (before, after)
    assert (last.hour, len(answer["series"])) == (0, 30)


@pytest.mark.parametrize("interval", INTERVALS)
def test_the_first_and_last_interval_are_clipped(past: Past, interval: str) -> None:
    """A range that begins and ends within intervals gets the parts of them that lie in it."""
    start = midnight(past.now.date() - timedelta(days=30), "UTC") + timedelta(hours=7, minutes=15)
    end = midnight(past.now.date() - timedelta(days=1), "UTC") + timedelta(hours=19, minutes=45)
    answer = answered(
        past.server,
        past.code,
        start=start.isoformat(),
        to=end.isoformat(),
        interval=interval,
        tz="UTC",
    )
    assert (seconds(answer["from"]), seconds(answer["to"])) == (start.timestamp(), end.timestamp())
    assert seconds(answer["series"][0]["start"]) == start.timestamp()
    assert series(answer) == recount(past.clicks, start, end, interval, "UTC")


def test_weeks_begin_on_monday(past: Past) -> None:
    """Every week but the first, which is clipped."""
    answer = answered(past.server, past.code, interval="week")
    starts = [datetime.fromisoformat(entry["start"]) for entry in answer["series"]]
    assert {start.weekday() for start in starts[1:]} == {0}


def test_a_date_is_included_whole(past: Past) -> None:
    """From a date to the same date is that day, to its last millisecond."""
    day = past.now.date() - timedelta(days=9)
    answer = answered(past.server, past.code, start=str(day), to=str(day), tz="UTC")
    start, end = midnight(day, "UTC"), midnight(day + timedelta(days=1), "UTC")
    assert (seconds(answer["from"]), seconds(answer["to"])) == (start.timestamp(), end.timestamp())
    wanted = sum(start <= at < end for at in past.clicks)
    assert answer["totals"]["clicks"] == wanted > 0


def test_a_time_is_excluded(past: Past) -> None:
    """A click just at `to` does not count, the one just before it does; at `from` it counts."""
    edge = midnight(past.now.date() - timedelta(days=9), "UTC")
    assert {edge, edge - timedelta(milliseconds=1)} <= set(past.clicks)
    before, after = edge - QUARTER, edge + QUARTER
    for start, end in ((before, edge), (edge, after)):
        answer = answered(past.server, past.code, start=start.isoformat(), to=end.isoformat())
        assert answer["totals"]["clicks"] == sum(start <= at < end for at in past.clicks) > 0


def test_any_offset_is_accepted(past: Past) -> None:
    """The same moments with other offsets, also with a plus that was not escaped."""
    day = past.now.date() - timedelta(days=9)
    plain = answered(
        past.server, past.code, start=f"{day}T00:00:00Z", to=f"{day}T12:00:00Z", tz="UTC"
    )
    path = f"/links/{past.code}/stats?tz=UTC&from={day}T05:45:00+05:45&to={day}T03:00:00-09:00"
    assert past.server.api("GET", path).json() == plain
    assert plain["totals"]["clicks"] > 0


@pytest.mark.parametrize(
    ("start", "end"), [(1, 0), (0, 1), (7, -7), (14, -14)], ids=lambda minutes: f"{minutes} min"
)
def test_the_answer_says_what_range_it_is_of(past: Past, start: int, end: int) -> None:
    """Between quarters of an hour: all clicks from `from` to `to` as answered, and no others; that
    range covers the one asked for."""
    for click in past.clicks[:400:20]:
        edge = click - (click - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER
        first = edge + timedelta(minutes=start) - QUARTER
        last = edge + timedelta(minutes=end) + 2 * QUARTER
        answer = answered(past.server, past.code, start=first.isoformat(), to=last.isoformat())
        told = [datetime.fromisoformat(answer[name]) for name in ("from", "to")]
        assert told[0] <= first
        assert last <= told[1]
        assert answer["totals"]["clicks"] == sum(told[0] <= at < told[1] for at in past.clicks)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_clock_changes_are_counted_right(past: Past, change: Change, interval: str) -> None:
    """Days of 23 and 25 hours, hours that come twice or are left out, days without a midnight."""
    day = change.at.astimezone(ZoneInfo(change.zone)).date()
    first, last = day - timedelta(days=1), day + timedelta(days=1)
    start = midnight(first, change.zone)
    end = midnight(last + timedelta(days=1), change.zone)
    params = {"start": str(first), "to": str(last), "interval": interval, "tz": change.zone}
    answer = answered(past.server, past.code, **params)
    assert series(answer) == recount(past.clicks, start, end, interval, change.zone)


def test_the_day_of_the_hour_that_comes_twice_has_25_hours(past: Past) -> None:
    """Both hours of that name are there, told apart by their offsets, each with its clicks."""
    params = {"start": "2080-10-27", "to": "2080-10-27", "tz": "Europe/Berlin"}
    found = answered(past.server, past.code, interval="hour", **params)["series"]
    assert len(found) == 25
    assert [entry["start"] for entry in found[2:4]] == [
        "2080-10-27T02:00:00+02:00",
        "2080-10-27T02:00:00+01:00",
    ]
    for entry in found[2:4]:
        start = datetime.fromisoformat(entry["start"])
        end = start.astimezone(UTC) + timedelta(hours=1)
        assert entry["clicks"] == sum(start <= at.astimezone(UTC) < end for at in past.clicks) > 0


def test_a_range_within_the_hour_that_comes_twice(past: Past) -> None:
    """From the first 02:30 to the second 02:15 is three quarters of an hour, not before itself."""
    start, end = (
        datetime(2080, 10, 27, 0, 30, tzinfo=UTC),
        datetime(2080, 10, 27, 1, 15, tzinfo=UTC),
    )
    answer = answered(
        past.server,
        past.code,
        start=start.isoformat(),
        to=end.isoformat(),
        tz="Europe/Berlin",
        interval="hour",
    )
    assert series(answer) == recount(past.clicks, start, end, "hour", "Europe/Berlin")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(CHANGES.values())),
    st.sampled_from(INTERVALS),
    st.integers(-160, 160),
    st.integers(1, 160),
)
@example(CHANGES["Berlin, an hour twice"], "hour", -2, 4)
@example(CHANGES["Lord Howe, half an hour left out"], "hour", -8, 16)
def test_any_range_around_a_clock_change(
    past: Past, change: Change, interval: str, offset: int, length: int
) -> None:
    """Whatever begins and ends on a quarter of an hour is what a recount gives."""
    start = change.at + offset * QUARTER
    end = start + length * QUARTER
    params = {"start": start.isoformat(), "to": end.isoformat(), "tz": change.zone}
    answer = answered(past.server, past.code, interval=interval, **params)
    assert series(answer) == recount(past.clicks, start, end, interval, change.zone)


@pytest.mark.parametrize("interval", INTERVALS[1:])
def test_far_back_there_are_days_of_the_site(past: Past, interval: str) -> None:
    """Up to two years back, by days of the site's zone and whatever they add up to, until today;
    for a link and for the site."""
    today = past.now.astimezone(SITE_ZONE).date()
    first, last = today - timedelta(days=700), today
    start = midnight(first, SITE_ZONE.key)
    end = midnight(last + timedelta(days=1), SITE_ZONE.key)
    params = {"start": str(first), "to": str(last), "interval": interval}
    for code, clicks in ((past.code, past.clicks), (None, past.clicks + past.other)):
        answer = answered(past.server, code, **params)
        wanted = recount(clicks, start, end, interval, SITE_ZONE.key)
        assert series(answer) == wanted
        assert (seconds(answer["from"]), seconds(answer["to"])) == (
            start.timestamp(),
            end.timestamp(),
        )
        assert answer["totals"]["clicks"] == sum(count for _, count in wanted) > 400


def test_far_back_each_day_is_its_own(new_server: NewServer) -> None:
    """A range that ends where clocks go forward at midnight has nothing of the day after."""
    server = new_server(TIMEZONE=SITE_ZONE.key, WORKERS="1").start()
    day = day_without_midnight()
    noon = datetime.combine(day, clock(12), SITE_ZONE).astimezone(UTC)
    server.make_link(code="spring")
    write_clicks(server, {"spring": [noon - timedelta(days=1), noon, noon, noon]})
    for last, clicks in ((day - timedelta(days=1), [0, 1]), (day, [0, 1, 3])):
        first = day - timedelta(days=2)
        answer = answered(server, "spring", start=str(first), to=str(last))
        assert [entry["clicks"] for entry in answer["series"]] == clicks


def day_without_midnight() -> date:
    """The latest one in the site's zone whose quarters are not kept any more."""
    day = datetime.now(SITE_ZONE).date() - timedelta(days=40)
    while midnight(day, SITE_ZONE.key).astimezone(SITE_ZONE).hour == 0:
        day -= timedelta(days=1)
    return day


FAR: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "hours": (
        {"start": "-60", "to": "-50", "interval": "hour"},
        {"start": "-60", "to": "-49", "interval": "day"},
    ),
    "days of another zone": (
        {"start": "-60", "to": "-50", "tz": "Asia/Kolkata"},
        {"start": "-61", "to": "-49", "interval": "day"},
    ),
    "within days": (
        {"start": "-60T10:00:00Z", "to": "-50T10:00:00Z"},
        {"start": "-60", "to": "-49", "interval": "day"},
    ),
    "weeks of another zone": (
        {"start": "-60", "to": "-50", "interval": "week", "tz": "Asia/Kolkata"},
        {"start": "-61", "to": "-49", "interval": "week"},
    ),
}


@pytest.mark.parametrize(("params", "told"), FAR.values(), ids=FAR)
def test_what_is_not_kept_is_answered_for_what_is(
    past: Past, params: dict[str, str], told: dict[str, str]
) -> None:
    """More than 35 days back: for the days of the site that cover the question, and it says so."""
    today = past.now.astimezone(SITE_ZONE).date()
    sent, wanted = dict(params), dict(told)
    for params_ in (sent, wanted):
        for name in ("start", "to"):
            days, mark, rest = params_[name].partition("T")
            params_[name] = f"{today + timedelta(days=int(days))}{mark}{rest}"
    answer = answered(past.server, past.code, **sent)
    start, end = (midnight(date.fromisoformat(wanted[n]), SITE_ZONE.key) for n in ("start", "to"))
    assert (seconds(answer["from"]), seconds(answer["to"])) == (start.timestamp(), end.timestamp())
    assert (answer["interval"], answer["tz"]) == (wanted["interval"], SITE_ZONE.key)
    clicks = recount(past.clicks, start, end, wanted["interval"], SITE_ZONE.key)
    assert series(answer) == clicks


def test_further_than_days_are_kept_there_are_months(past: Past) -> None:
    """The months of the site that cover the question, and days again from where they are kept."""
    today = past.now.astimezone(SITE_ZONE).date()
    first, last = today - timedelta(days=900), today - timedelta(days=40)
    answer = answered(past.server, past.code, start=str(first), to=str(last))
    start = midnight(first.replace(day=1), SITE_ZONE.key)
    end = midnight(last + timedelta(days=1), SITE_ZONE.key)
    assert (answer["interval"], answer["tz"]) == ("month", SITE_ZONE.key)
    assert (seconds(answer["from"]), seconds(answer["to"])) == (start.timestamp(), end.timestamp())
    assert series(answer) == recount(past.clicks, start, end, "month", SITE_ZONE.key)


def test_exactly_ten_thousand_intervals_are_answered(past: Past) -> None:
    """The limit itself is within it; one more is not."""
    start = datetime(2080, 1, 1, tzinfo=UTC)
    for hours, status in ((10_000, 200), (10_001, 422)):
        end = start + timedelta(hours=hours)
        params = {"start": start.isoformat(), "to": end.isoformat(), "tz": "UTC"}
        answer = ask(past.server, past.code, interval="hour", **params)
        assert answer.status_code == status
    assert [error["field"] for error in answer.json()["errors"]] == ["interval"]


REFUSED: dict[str, tuple[str, str]] = {
    "hours of two years": ("from=2080-01-01&to=2081-12-31&interval=hour", "interval"),
    "days of a century": ("from=2080-01-01&to=2180-01-01", "interval"),
    "months of a millennium": ("from=2080-01-01&to=3080-01-01&interval=month", "to"),
    "from: without an offset": ("from=2080-01-01T00:00:00", "from"),
    "to: without an offset": ("to=2080-01-01T00:00:00", "to"),
    "from: a day that is not": ("from=2080-02-30", "from"),
    "from: text": ("from=yesterday", "from"),
    "from: empty": ("from=", "from"),
    "to: empty": ("to=", "to"),
    "to: an hour that is not": ("to=2080-01-01T25:00:00Z", "to"),
    "from: seconds since 1970": ("from=1795000000", "from"),
    "to: the end of time": ("to=9999-12-31", "to"),
    "from: a year too long": ("from=10000-01-01", "from"),
    "from: digits of another script": ("from=%D9%A2%D9%A0%D9%A8%D9%A0-01-01", "from"),
    "tz: unknown": ("tz=Europe/Atlantis", "tz"),
    "tz: empty": ("tz=", "tz"),
    "tz: an offset": ("tz=%2B03:00", "tz"),
    "tz: a directory": ("tz=Europe", "tz"),
    "tz: a path out": ("tz=../../../etc/passwd", "tz"),
    "tz: an absolute path": ("tz=/etc/passwd", "tz"),
    "tz: a null byte": ("tz=UTC%00", "tz"),
    "tz: far too long": ("tz=" + "A" * 5_000, "tz"),
    "tz: not ASCII": ("tz=%C3%A9", "tz"),
    "interval: unknown": ("interval=year", "interval"),
    "interval: in upper case": ("interval=DAY", "interval"),
    "interval: empty": ("interval=", "interval"),
    "from after to": ("from=2080-01-02&to=2080-01-01", "to"),
    "from is to": ("from=2080-01-01T00:00:00Z&to=2080-01-01T00:00:00Z", "to"),
    "from in the future alone": ("from=2080-01-01", "to"),
    "unknown": ("unit=day", "unit"),
    "unknown, in upper case": ("From=2080-01-01", "From"),
    "from: repeated": ("from=2080-01-01&from=2080-01-01", "from"),
    "tz: repeated": ("tz=UTC&tz=UTC", "tz"),
}


@pytest.mark.parametrize("path", ["/stats", "/links/refusing/stats"], ids=["site", "link"])
@pytest.mark.parametrize(("query", "field"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked_is_refused(server: Server, query: str, field: str, path: str) -> None:
    """422 that names the parameter."""
    if server.api("GET", "/links/refusing").status_code == 404:
        server.make_link(code="refusing")
    answer = server.api("GET", f"{path}?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "/-/errors#invalid"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


EXTREMES = {
    "the last hours": "from=9999-12-31T00:00:00Z&to=9999-12-31T23:59:59Z&interval=hour",
    "the last days": "from=9999-12-29T00:00:00Z&to=9999-12-31T12:00:00Z&interval=day",
    "the last weeks": "from=9999-12-01&to=9999-12-30&interval=week",
    "the last months": "from=9999-12-01&to=9999-12-30&interval=month",
    "the first days": "from=0001-01-01&to=0001-01-10&interval=day",
    "the first weeks": "from=0001-01-01&to=0001-03-01&interval=week&tz=America/New_York",
    "before the first day": "from=0001-01-01&to=0001-01-10&tz=Asia/Riyadh",
    "times beyond": "from=0001-01-01T00:00:00%2B14:00&to=9999-12-31T23:59:59-12:00",
}


@pytest.mark.parametrize("query", EXTREMES.values(), ids=EXTREMES)
def test_the_ends_of_the_calendar_are_no_error_of_ours(server: Server, query: str) -> None:
    """An answer or 422, as with any other range."""
    answer = server.api("GET", f"/stats?{query}")
    assert answer.status_code in (200, 422), answer.text


def test_an_unknown_link_has_no_statistics(server: Server) -> None:
    """404 as with every call."""
    answer = ask(server, "nothere")
    assert (answer.status_code, answer.json()["type"]) == (404, "/-/errors#link-not-found")


def test_a_link_without_clicks_has_zeros(server: Server) -> None:
    """Every day is there, with nothing in it; the last click is null."""
    link = server.make_link()
    answer = answered(server, link["code"])
    assert answer["totals"] == {"clicks": 0, "visitors": 0, "bots": 0}
    assert [entry["clicks"] for entry in answer["series"]] == [0] * 30
    assert (link["clicks"], link["last_clicked_at"]) == (0, None)


def test_a_click_is_in_every_answer(server: Server) -> None:
    """In the totals and in today of the link and of the site, in the link and in the list."""
    code = server.make_link()["code"]
    before = server.site_clicks()
    today = datetime.now(UTC).date()
    assert [server.follow(code).status_code for _ in range(3)] == [302] * 3
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 3) == 3
    assert eventually(server.site_clicks, lambda clicks: clicks >= before + 3) >= before + 3
    range_ = {"start": str(today), "to": str(today + timedelta(days=1))}  # if it is midnight
    assert sum(count for _, count in series(answered(server, code, **range_))) == 3
    assert server.api("GET", f"/links/{code}").json()["clicks"] == 3
    (listed,) = server.api("GET", "/links", params={"limit": 1}).json()["links"]
    assert (listed["code"], listed["clicks"]) == (code, 3)


def test_the_last_click_is_remembered(server: Server) -> None:
    """`last_clicked_at` is when the last one was, in UTC."""
    code = server.make_link()["code"]
    before = int(time.time())
    assert server.follow(code).status_code == 302
    after = time.time()
    link = eventually(
        lambda: server.api("GET", f"/links/{code}").json(), lambda link: link["clicks"] == 1
    )
    assert link["last_clicked_at"].endswith("Z")
    assert before <= seconds(link["last_clicked_at"]) <= after


def test_an_older_click_that_comes_late_is_not_the_last(past: Past) -> None:
    """The last click is the latest one, not the one that was counted last."""
    code = past.server.make_link()["code"]
    for at in ("2079-06-02T10:00:00Z", "2079-06-01T10:00:00Z"):
        write_clicks(past.server, {code: [datetime.fromisoformat(at)]})
    link = past.server.api("GET", f"/links/{code}").json()
    assert (link["clicks"], link["last_clicked_at"]) == (2, "2079-06-02T10:00:00Z")


def test_statistics_need_their_scope(server: Server) -> None:
    """A key that may only read links is 403, one that may read statistics may."""
    for scope, status in (("links:read", 403), ("stats:read", 200)):
        made = server.api("POST", "/keys", json={"name": "stats", "scopes": [scope]})
        headers = {"Authorization": f"Bearer {made.json()['key']}"}
        assert server.http.get("/api/v1/stats", headers=headers).status_code == status
