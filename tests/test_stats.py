"""Statistics: `/api/v1/links/{code}/stats` and `/api/v1/stats`, by interval, zone and range.

That clicks are counted exactly whatever breaks is in test_counting; here nothing breaks.  Days on
which clocks change are looked for in the year to come, where the ranges hold no clicks.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from tests.harness import Server, eventually

NewServer = Callable[..., Server]
ZONES = ["UTC", "Asia/Riyadh", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Asia/Tokyo"]
INTERVALS = ["hour", "day", "week", "month"]
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Clicked(NamedTuple):
    """A link that was clicked three times, and when that was last."""

    code: str
    at: datetime

    @property
    def quarter(self) -> datetime:
        """When the quarter of an hour of the last click began."""
        return self.at.replace(minute=self.at.minute // 15 * 15, second=0)


def click(server: Server, times: int = 3) -> Clicked:
    """A link of its own with so many clicks within one quarter of an hour, all of them counted."""
    while True:
        before = datetime.now(UTC)
        code: str = server.make_link()["code"]
        for _ in range(times):
            assert server.follow(code).status_code == 302
        if before.timestamp() // 900 == datetime.now(UTC).timestamp() // 900:
            break
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks >= times) == times
    link = server.api("GET", f"/links/{code}").json()
    return Clicked(code, datetime.fromisoformat(link["last_clicked_at"]))


@pytest.fixture(scope="module")
def clicked(server: Server) -> Clicked:
    """One link with three clicks for all tests that only ask."""
    return click(server)


def ask(server: Server, code: str, **parameters: str) -> dict[str, Any]:
    """Statistics of a link; `from_` is `from`."""
    answer = server.api("GET", f"/links/{code}/stats", params=named(parameters))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def named(parameters: dict[str, str]) -> dict[str, str]:
    return {name.rstrip("_"): value for name, value in parameters.items()}


def starts(answer: dict[str, Any]) -> list[datetime]:
    return [datetime.fromisoformat(entry["start"]) for entry in answer["series"]]


def counts(answer: dict[str, Any]) -> dict[datetime, int]:
    """The intervals that have clicks."""
    found = zip(starts(answer), answer["series"], strict=True)
    return {start: entry["clicks"] for start, entry in found if entry["clicks"]}


def midnight(day: date, zone: str) -> datetime:
    """The first moment of a day, in UTC."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def interval_start(at: datetime, interval: str, zone: str) -> datetime:
    """When the interval with `at` begins; for times with no change of clocks just before."""
    local = at.astimezone(ZoneInfo(zone))
    if interval == "hour":
        return local.replace(minute=0, second=0)
    day = local.date()
    if interval == "week":
        day -= timedelta(days=day.weekday())
    elif interval == "month":
        day = day.replace(day=1)
    return midnight(day, zone)


def test_totals_are_the_clicks_of_the_range(server: Server, clicked: Clicked) -> None:
    """Three redirects are three clicks; visitors and bots are not told apart yet."""
    totals = ask(server, clicked.code)["totals"]
    assert totals == {"clicks": 3, "visitors": None, "bots": None}


def test_a_link_without_clicks_has_zeros(server: Server) -> None:
    """The series is as long as for any other link."""
    answer = ask(server, server.make_link()["code"])
    assert answer["totals"]["clicks"] == 0
    assert [entry["clicks"] for entry in answer["series"]] == [0] * 30


def test_a_click_is_for_its_link_alone(server: Server, clicked: Clicked) -> None:
    """Clicks of one link are not in the statistics of another."""
    other = click(server, times=1)
    assert ask(server, other.code)["totals"]["clicks"] == 1
    assert ask(server, clicked.code)["totals"]["clicks"] == 3


def test_a_code_is_asked_in_any_spelling(server: Server) -> None:
    """Statistics are the link's, however its code is written."""
    server.make_link(code="gro\u00df-stats")
    assert server.follow("GROSS-STATS").status_code == 302
    read = eventually(lambda: server.clicks("GROSS-Stats"), lambda clicks: clicks == 1)
    assert read == 1


def test_an_unknown_code_has_no_statistics(server: Server) -> None:
    """404, as for the link itself."""
    assert server.api("GET", "/links/nosuchlink/stats").status_code == 404


def test_the_default_is_thirty_days_with_today(server: Server, clicked: Clicked) -> None:
    """By day, in the site's zone, up to the end of today."""
    days = [datetime.now(UTC).date()]
    answer = ask(server, clicked.code)
    days.append(datetime.now(UTC).date())
    assert (answer["interval"], answer["tz"]) == ("day", "UTC")
    last = starts(answer)[-1]
    assert last.date() in days
    assert starts(answer) == [last - n * DAY for n in range(29, -1, -1)]
    assert answer["from"] == answer["series"][0]["start"]
    assert datetime.fromisoformat(answer["to"]) == last + DAY


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("zone", ZONES)
def test_a_click_counts_in_its_interval(
    server: Server, clicked: Clicked, zone: str, interval: str
) -> None:
    """Hours, days, weeks from Monday and months are those of the zone asked for."""
    answer = ask(server, clicked.code, interval=interval, tz=zone)
    first = datetime.fromisoformat(answer["from"])
    expected = max(first, interval_start(clicked.at, interval, zone))
    assert counts(answer) == {expected: 3}
    assert answer["totals"]["clicks"] == 3
    assert (answer["interval"], answer["tz"]) == (interval, zone)


@pytest.mark.parametrize("zone", ZONES)
def test_times_are_answered_in_the_zone(server: Server, clicked: Clicked, zone: str) -> None:
    """`from`, `to` and every start have the offset of the zone at that time; UTC is a Z."""
    answer = ask(server, clicked.code, tz=zone)
    for text in (answer["from"], answer["to"], *(entry["start"] for entry in answer["series"])):
        at = datetime.fromisoformat(text)
        assert at.utcoffset() == at.astimezone(ZoneInfo(zone)).utcoffset()
        assert at.astimezone(ZoneInfo(zone)).time() == time()
        assert text.endswith("Z") == (zone == "UTC")


def test_the_series_has_every_interval(server: Server, clicked: Clicked) -> None:
    """Zeros included: the hours of a day are 24, each an hour after the one before."""
    day = clicked.at.date()
    answer = ask(server, clicked.code, from_=f"{day}", to=f"{day}", interval="hour")
    assert starts(answer) == [midnight(day, "UTC") + n * HOUR for n in range(24)]
    assert sum(entry["clicks"] for entry in answer["series"]) == 3


def test_weeks_begin_on_monday_and_the_ends_are_clipped(server: Server) -> None:
    """From a Wednesday to a Friday: the first week begins with the range, the others on Monday."""
    today = datetime.now(UTC).date()
    wednesday = today - timedelta(days=(today.weekday() - 2) % 7 + 14)
    friday = wednesday + timedelta(days=16)
    code = server.make_link()["code"]
    answer = ask(server, code, from_=f"{wednesday}", to=f"{friday}", interval="week")
    days = [start.date() for start in starts(answer)]
    assert days == [wednesday, *(wednesday + timedelta(days=n) for n in (5, 12))]
    assert answer["to"] == f"{friday + DAY}T00:00:00Z"


def test_months_have_their_own_lengths_and_the_ends_are_clipped(server: Server) -> None:
    """From the 10th of the next January to the 5th of May: then on every first."""
    year = datetime.now(UTC).year + 1
    code = server.make_link()["code"]
    answer = ask(server, code, from_=f"{year}-01-10", to=f"{year}-05-05", interval="month")
    assert [start.date() for start in starts(answer)] == [
        date(year, 1, 10),
        *(date(year, month, 1) for month in (2, 3, 4, 5)),
    ]
    assert answer["to"] == f"{year}-05-06T00:00:00Z"


def test_hours_at_the_ends_are_clipped(server: Server) -> None:
    """From 10:30 to 12:15 there are three: from 10:30, 11:00 and 12:00."""
    day = datetime.now(UTC).date() + DAY
    code = server.make_link()["code"]
    answer = ask(
        server, code, from_=f"{day}T10:30:00Z", to=f"{day}T12:15:00Z", interval="hour", tz="UTC"
    )
    assert [start.strftime("%H:%M") for start in starts(answer)] == ["10:30", "11:00", "12:00"]
    assert (answer["from"], answer["to"]) == (f"{day}T10:30:00Z", f"{day}T12:15:00Z")


def test_a_date_in_to_is_included(server: Server, clicked: Clicked) -> None:
    """From a day to the same day is that whole day."""
    day = clicked.at.date()
    answer = ask(server, clicked.code, from_=f"{day}", to=f"{day}")
    assert (answer["from"], answer["to"]) == (f"{day}T00:00:00Z", f"{day + DAY}T00:00:00Z")
    assert answer["totals"]["clicks"] == 3
    assert ask(server, clicked.code, to=f"{day - DAY}")["totals"]["clicks"] == 0


def test_a_time_in_to_is_not_included(server: Server, clicked: Clicked) -> None:
    """Until the quarter of the clicks begins there are none; until it ends there are all."""
    quarter, code = clicked.quarter, clicked.code
    until = {
        at: ask(server, code, to=at.isoformat())
        for at in (quarter, quarter + timedelta(minutes=15))
    }
    assert [answer["totals"]["clicks"] for answer in until.values()] == [0, 3]
    assert [datetime.fromisoformat(answer["to"]) for answer in until.values()] == list(until)


def test_a_time_in_from_is_included(server: Server, clicked: Clicked) -> None:
    """From the beginning of the quarter of the clicks there are all; from its end there are none."""
    quarter, code = clicked.quarter, clicked.code
    later = (quarter + DAY).isoformat()
    asked = (quarter, quarter + timedelta(minutes=15))
    answers = [ask(server, code, from_=at.isoformat(), to=later) for at in asked]
    assert [answer["totals"]["clicks"] for answer in answers] == [3, 0]


def test_a_range_within_a_quarter_is_widened_to_cover_it(server: Server, clicked: Clicked) -> None:
    """A minute around the clicks has them, and `from` and `to` say what was really answered."""
    minute = timedelta(minutes=1)
    first, last = clicked.at - minute, clicked.at + minute
    answer = ask(server, clicked.code, from_=first.isoformat(), to=last.isoformat())
    assert answer["totals"]["clicks"] == 3
    assert datetime.fromisoformat(answer["from"]) <= first
    assert datetime.fromisoformat(answer["to"]) >= last


def test_an_offset_means_that_moment(server: Server, clicked: Clicked) -> None:
    """A time has its own offset, whatever the zone; the answer is in the zone."""
    at = clicked.quarter
    plus = at.astimezone(ZoneInfo("Asia/Kathmandu")).isoformat()
    to = (at + timedelta(minutes=15)).isoformat()
    answer = ask(server, clicked.code, from_=plus, to=to, tz="Asia/Riyadh")
    assert answer["totals"]["clicks"] == 3
    assert answer["from"] == at.astimezone(ZoneInfo("Asia/Riyadh")).isoformat()


def test_a_plus_that_was_not_escaped_is_understood(server: Server, clicked: Clicked) -> None:
    """`+03:00` pasted into an address arrives as a space."""
    day = clicked.at.date()
    query = f"from={day - DAY}T00:00:00+03:00"
    answer = server.api("GET", f"/links/{clicked.code}/stats?{query}&tz=Asia/Riyadh")
    assert answer.json()["from"] == f"{day - DAY}T00:00:00+03:00"


@pytest.mark.parametrize("zone", ZONES)
def test_a_date_is_a_day_of_the_zone(server: Server, clicked: Clicked, zone: str) -> None:
    """The day of the click in that zone has it, begins at its midnight and ends at the next."""
    day = clicked.at.astimezone(ZoneInfo(zone)).date()
    answer = ask(server, clicked.code, from_=f"{day}", to=f"{day}", tz=zone)
    assert datetime.fromisoformat(answer["from"]) == midnight(day, zone)
    assert datetime.fromisoformat(answer["to"]) == midnight(day + DAY, zone)
    assert [entry["clicks"] for entry in answer["series"]] == [3]


CHANGES = {
    "Berlin, an hour more": ("Europe/Berlin", 25),
    "Berlin, an hour less": ("Europe/Berlin", 23),
    "New York, an hour more": ("America/New_York", 25),
    "St John's, an hour less": ("America/St_Johns", 23),
    "Havana, midnight twice": ("America/Havana", 25),
    "Cairo, no midnight": ("Africa/Cairo", 23),
}


def changing_day(zone: str, hours: int) -> date:
    """The next day that is so long in that zone."""
    tomorrow = datetime.now(UTC).date() + 2 * DAY
    days = (tomorrow + n * DAY for n in range(400))
    return next(
        day for day in days if midnight(day + DAY, zone) - midnight(day, zone) == hours * HOUR
    )


@pytest.mark.parametrize(("zone", "hours"), CHANGES.values(), ids=CHANGES)
def test_a_day_on_which_clocks_change_has_all_its_hours(
    server: Server, zone: str, hours: int
) -> None:
    """Each hour is there once, an hour after the one before: 23 or 25 of them."""
    day = changing_day(zone, hours)
    code = server.make_link()["code"]
    answer = ask(server, code, from_=f"{day}", to=f"{day}", tz=zone, interval="hour")
    assert starts(answer) == [midnight(day, zone) + n * HOUR for n in range(hours)]


@pytest.mark.parametrize(("zone", "hours"), CHANGES.values(), ids=CHANGES)
def test_days_begin_at_midnight_when_clocks_change(server: Server, zone: str, hours: int) -> None:
    """The days around the change are as long as they are, and there is one of each."""
    day = changing_day(zone, hours)
    code = server.make_link()["code"]
    answer = ask(server, code, from_=f"{day - DAY}", to=f"{day + DAY}", tz=zone)
    assert starts(answer) == [midnight(day + n * DAY, zone) for n in (-1, 0, 1)]


def test_a_range_may_lie_in_the_hour_that_comes_twice(server: Server) -> None:
    """From 02:45 in summer time to 02:15 in winter time is half an hour, not less than nothing."""
    day = changing_day("Europe/Berlin", 25)
    first, last = f"{day}T02:45:00+02:00", f"{day}T02:15:00+01:00"
    code = server.make_link()["code"]
    answer = ask(server, code, from_=first, to=last, tz="Europe/Berlin", interval="hour")
    assert [entry["start"] for entry in answer["series"]] == [first, f"{day}T02:00:00+01:00"]
    assert (answer["from"], answer["to"]) == (first, last)


@pytest.mark.parametrize("interval", ["day", "week", "month"])
@pytest.mark.parametrize("days", [40, 100, 400, 790])
def test_days_are_told_for_two_years(
    server: Server, clicked: Clicked, days: int, interval: str
) -> None:
    """Beyond 35 days back, days, weeks and months of the site's zone are told, with today's."""
    first = clicked.at.date() - timedelta(days=days)
    answer = ask(server, clicked.code, from_=f"{first}", interval=interval)
    expected = max(midnight(first, "UTC"), interval_start(clicked.at, interval, "UTC"))
    assert answer["from"] == f"{first}T00:00:00Z"
    assert counts(answer) == {expected: 3}


@pytest.mark.parametrize("days", range(30, 36))
def test_hours_are_told_for_a_month(server: Server, clicked: Clicked, days: int) -> None:
    """Every hour of the last 30 to 35 days less a day, in a zone that is not the site's."""
    zone = ZoneInfo("Asia/Kolkata")
    first = (clicked.at - timedelta(days=days - 1)).astimezone(zone).date()
    answer = ask(server, clicked.code, from_=f"{first}", interval="hour", tz="Asia/Kolkata")
    assert counts(answer) == {interval_start(clicked.at, "hour", "Asia/Kolkata"): 3}


def back(days: int) -> str:
    return f"{datetime.now(UTC).date() - timedelta(days=days)}"


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "an unknown interval": ({"interval": "minute"}, "interval"),
    "an interval in capitals": ({"interval": "Day"}, "interval"),
    "an empty interval": ({"interval": ""}, "interval"),
    "an unknown zone": ({"tz": "Mars/Olympus"}, "tz"),
    "an empty zone": ({"tz": ""}, "tz"),
    "an offset for a zone": ({"tz": "+03:00"}, "tz"),
    "a directory of zones": ({"tz": "Asia"}, "tz"),
    "a path for a zone": ({"tz": "../../../etc/passwd"}, "tz"),
    "a null byte in a zone": ({"tz": "Asia/Riyadh\x00"}, "tz"),
    "a zone that is not ASCII": ({"tz": "قمة"}, "tz"),
    "a zone of 5 kB": ({"tz": "a" * 5_000}, "tz"),
    "from without an offset": ({"from": "2099-01-01T00:00:00"}, "from"),
    "to without an offset": ({"to": "2099-01-01T00:00:00"}, "to"),
    "from in words": ({"from": "yesterday"}, "from"),
    "an empty from": ({"from": ""}, "from"),
    "an empty to": ({"to": ""}, "to"),
    "from not in the calendar": ({"from": "2026-02-30"}, "from"),
    "to in month 13": ({"to": "2026-13-01"}, "to"),
    "a year alone": ({"from": "2026"}, "from"),
    "a number of seconds": ({"from": "1790000000"}, "from"),
    "Arabic digits": ({"from": "٢٠٢٦-٠١-٠١"}, "from"),
    "a line break behind it": ({"from": "2026-01-01\n"}, "from"),
    "to before from": ({"from": "2099-01-02", "to": "2099-01-01"}, "to"),
    "nothing in between": ({"from": "2099-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}, "to"),
    "the first year": ({"from": "0001-01-01", "to": "0001-01-02"}, "from"),
    "the first year east of Greenwich": ({"from": "0001-01-01", "tz": "Asia/Tokyo"}, "from"),
    "a day after the last one": ({"from": "9999-12-31", "to": "9999-12-31"}, "to"),
    "hours 36 days back": ({"from": back(36), "interval": "hour"}, "from"),
    "another zone 36 days back": ({"from": back(36), "tz": "Asia/Riyadh"}, "tz"),
    "part of a day 36 days back": ({"from": f"{back(36)}T12:00:00Z"}, "from"),
    "until noon since 36 days": ({"from": back(36), "to": f"{back(2)}T12:00:00Z"}, "to"),
    "days 802 days back": ({"from": back(802)}, "from"),
    "an unknown parameter": ({"colour": "red"}, "colour"),
}


@pytest.mark.parametrize("path", ["/stats", "/links/{}/stats"])
@pytest.mark.parametrize(("query", "field"), REFUSED.values(), ids=REFUSED)
def test_a_question_that_does_not_validate_is_refused(
    server: Server, clicked: Clicked, query: dict[str, str], field: str, path: str
) -> None:
    """422 that names the parameter, for a link and for the site alike."""
    answer = server.api("GET", path.format(clicked.code), params=query)
    assert answer.status_code == 422
    assert [entry["field"] for entry in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("name", ["from", "to", "interval", "tz"])
def test_a_parameter_given_twice_is_refused(server: Server, name: str) -> None:
    """422, also when both say the same."""
    value = {"from": "2099-01-01", "to": "2099-01-02", "interval": "day", "tz": "UTC"}[name]
    answer = server.api("GET", f"/stats?{name}={value}&{name}={value}")
    assert answer.status_code == 422
    assert [entry["field"] for entry in answer.json()["errors"]] == [name]


def test_ten_thousand_intervals_are_told(server: Server) -> None:
    """The most that is answered."""
    first = midnight(datetime.now(UTC).date(), "UTC")
    last = first + 10_000 * HOUR
    answer = ask(
        server,
        server.make_link()["code"],
        from_=first.isoformat(),
        to=last.isoformat(),
        interval="hour",
    )
    assert starts(answer) == [first + n * HOUR for n in range(10_000)]


TOO_MANY = {
    "an hour more": ("hour", "{today}", 10_001),
    "hours of a hundred years": ("hour", "{today}", 876_600),
    "days of eighty years": ("day", "{today}", 24 * 29_220),
}


@pytest.mark.parametrize(("interval", "first", "hours"), TOO_MANY.values(), ids=TOO_MANY)
def test_more_than_ten_thousand_intervals_are_refused(
    server: Server, interval: str, first: str, hours: int
) -> None:
    """422 that names `interval`."""
    start = midnight(datetime.now(UTC).date(), "UTC")
    query = {
        "from": start.isoformat(),
        "to": (start + hours * HOUR).isoformat(),
        "interval": interval,
    }
    answer = server.api("GET", "/stats", params=query)
    assert answer.status_code == 422
    assert [entry["field"] for entry in answer.json()["errors"]] == ["interval"]


LAST = {
    "days": "from=9999-12-01&to=9999-12-30&interval=day",
    "weeks": "from=9999-12-01&to=9999-12-30&interval=week",
    "months": "from=9999-12-01&to=9999-12-30&interval=month",
    "hours": "from=9999-12-31T22:00:00Z&to=9999-12-31T23:30:00Z&interval=hour",
    "west of Greenwich": "from=9999-12-01&to=9999-12-30&interval=week&tz=America/New_York",
    "east of Greenwich": "from=9999-12-01&to=9999-12-30&interval=month&tz=Asia/Tokyo",
}


@pytest.mark.parametrize("query", LAST.values(), ids=LAST)
def test_the_end_of_the_calendar_is_no_accident(server: Server, query: str) -> None:
    """The last days that can be written are answered with zeros, or refused."""
    answer = server.api("GET", f"/stats?{query}")
    assert answer.status_code in (200, 422)
    assert answer.status_code == 422 or answer.json()["totals"]["clicks"] == 0


def test_the_site_has_the_clicks_of_all_links(new_server: NewServer) -> None:
    """The site's totals and series are the sums over its links."""
    server = new_server().start()
    for times in (1, 2, 3):
        click(server, times)
    answer = server.api("GET", "/stats").json()
    assert answer["totals"] == {"clicks": 6, "visitors": None, "bots": None}
    assert len(answer["series"]) == 30
    assert sum(entry["clicks"] for entry in answer["series"]) == 6


def test_the_zone_is_the_site_s_unless_told(new_server: NewServer) -> None:
    """With `TIMEZONE`, days are that zone's, near and more than 35 days back."""
    server = new_server(TIMEZONE="Asia/Kathmandu").start()
    clicked = click(server)
    today = interval_start(clicked.at, "day", "Asia/Kathmandu")
    near = ask(server, clicked.code)
    far = ask(server, clicked.code, from_=back(100))
    assert (near["tz"], far["tz"]) == ("Asia/Kathmandu", "Asia/Kathmandu")
    assert counts(near) == counts(far) == {today: 3}
    assert far["from"] == f"{back(100)}T00:00:00+05:45"
