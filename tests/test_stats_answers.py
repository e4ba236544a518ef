"""What statistics can be asked for, and in which forms they are answered."""

import csv
import io
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.harness import Load, Server, eventually
from tests.written import click, stored, write

NewServer = Callable[..., Server]
DAY = 86_400_000  # milliseconds
REFERRERS = ["https://a.example/"] * 3 + ["https://b.example/"] * 2 + [""]
NAMES = [
    *("country", "referrer", "browser", "os", "device", "language"),
    *("utm_source", "utm_medium", "utm_campaign"),
]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with a link of six people, three of them from one address, and two bots."""
    server = Server(tmp_path_factory.mktemp("asked") / "data", WORKERS="1").start()
    server.make_link(code="asked", tags=["Été", "b"])
    for place, referrer in enumerate(REFERRERS):
        link, at = stored(server, "asked"), time.time_ns() // 1_000_000
        address = f"192.0.2.{min(place, 3)}"
        write(server, [click(at, link, address, referrer=referrer, utm=("=1+1", "", ""))])
    write(server, [click(at, link, agent="curl/8")] * 2)
    assert eventually(lambda: server.clicks("asked"), lambda n: n == 8) == 8
    yield server
    server.stop()


def stats(server: Server, query: str = "", **more: Any) -> Any:
    answer = server.api("GET", f"/links/asked/stats?{query}", **more)
    assert answer.status_code == 200, answer.text
    return answer


def test_people_visitors_and_bots_are_told_apart(asked: Server) -> None:
    """In the totals, in the day, and in the link itself."""
    answer, link = stats(asked).json(), asked.api("GET", "/links/asked").json()
    wanted = {"clicks": 6, "visitors": 4, "bots": 2}
    assert answer["totals"] == wanted
    assert {name: sum(entry[name] for entry in answer["series"]) for name in wanted} == wanted
    assert (link["clicks"], link["bots"]) == (6, 2)


def test_every_dimension_is_answered_and_adds_up(asked: Server) -> None:
    """Without `group_by` all of them, in the order of the table, each with all clicks of people."""
    by = stats(asked).json()["by"]
    assert list(by) == NAMES
    assert {sum(entry["clicks"] for entry in entries) for entries in by.values()} == {6}


def test_the_dimensions_asked_for_are_answered(asked: Server) -> None:
    """In the order asked, each once, with the most clicked label first."""
    by = stats(asked, "group_by=referrer,browser,referrer").json()["by"]
    assert by == {
        "referrer": [
            {"value": "a.example", "clicks": 3},
            {"value": "b.example", "clicks": 2},
            {"value": "direct", "clicks": 1},
        ],
        "browser": [{"value": "Firefox", "clicks": 6}],
    }


def test_what_is_beyond_the_limit_is_other(asked: Server) -> None:
    """It has no value, and completes the sum."""
    by = stats(asked, "group_by=referrer&limit=1").json()["by"]
    assert by["referrer"] == [
        {"value": "a.example", "clicks": 3},
        {"value": None, "other": True, "clicks": 3},
    ]


def test_tags_have_statistics_of_their_own(asked: Server) -> None:
    """Of all links that carried the tag when they were clicked; spelled as tags are."""
    for tag in ("été", "ÉTÉ", "b"):
        answer = asked.api("GET", "/stats", params={"tag": tag}).json()
        assert answer["totals"] == {"clicks": 6, "visitors": 4, "bots": 2}
    answer = asked.api("GET", "/stats?tag=nobody").json()
    assert answer["totals"] == {"clicks": 0, "visitors": 0, "bots": 0}


def test_csv_is_the_series(asked: Server) -> None:
    """Asked for by `format` or by `Accept`; a row for each interval."""
    wanted = stats(asked, "interval=week").json()["series"]
    for query, headers in (("&format=csv", {}), ("", {"Accept": "text/csv"})):
        answer = stats(asked, f"interval=week{query}", headers=headers)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert list(rows[0]) == ["start", "clicks", "visitors", "bots"]
        assert rows == [{name: str(value) for name, value in row.items()} for row in wanted]


def test_csv_of_a_dimension(asked: Server) -> None:
    """Its labels and their clicks; *other* has no value."""
    answer = stats(asked, "group_by=referrer&limit=1&format=csv")
    assert answer.text == "referrer,clicks\r\na.example,3\r\n,3\r\n"


def test_csv_is_no_formula(asked: Server) -> None:
    """What a spreadsheet would calculate has an apostrophe in front."""
    answer = stats(asked, "group_by=utm_source&format=csv")
    assert answer.text == "utm_source,clicks\r\n'=1+1,6\r\n"


def test_json_is_preferred_where_both_will_do(asked: Server) -> None:
    """`*/*`, and whoever names JSON first."""
    for accept in ("*/*", "application/json, text/csv"):
        answer = stats(asked, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/json"


def test_an_unchanged_answer_is_not_sent_again(asked: Server) -> None:
    """304 for the `ETag` of the same question, as JSON and as CSV; not for that of the other."""
    tags = []
    for query in ("to=2030-01-01&from=2029-12-30", "to=2030-01-01&from=2029-12-30&format=csv"):
        etag = stats(asked, query).headers["etag"]
        again = asked.api("GET", f"/links/asked/stats?{query}", headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        tags.append(etag)
    assert stats(asked, query, headers={"If-None-Match": tags[0]}).text.startswith("start,")


def test_a_click_changes_the_etag(server: Server) -> None:
    """So whoever asks again with the old one gets the new answer."""
    code = server.make_link()["code"]
    path = f"/links/{code}/stats"
    etag = server.api("GET", path).headers["etag"]
    assert server.follow(code).status_code == 302
    eventually(lambda: server.clicks(code), bool)
    answer = server.api("GET", path, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.json()["totals"]["clicks"]) == (200, 1)


REFUSED = {
    "group_by: unknown": ("group_by=town", "group_by"),
    "group_by: empty": ("group_by=", "group_by"),
    "group_by: one of them unknown": ("group_by=country,", "group_by"),
    "group_by: in upper case": ("group_by=Country", "group_by"),
    "limit: none": ("limit=0", "limit"),
    "limit: too many": ("limit=1001", "limit"),
    "limit: no number": ("limit=all", "limit"),
    "format: unknown": ("format=xml", "format"),
    "two columns": ("format=csv&group_by=country,os", "group_by"),
    "tag: empty": ("tag=", "tag"),
    "tag: too long": ("tag=" + "x" * 65, "tag"),
    "orphans: no answer": ("orphans=yes", "orphans"),
    "orphans of a tag": ("orphans=true&tag=b", "tag"),
}


@pytest.mark.parametrize(("query", "field"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_question_is_refused(server: Server, query: str, field: str) -> None:
    """422 that names the parameter."""
    answer = server.api("GET", f"/stats?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_links_have_no_tag_and_no_orphans(server: Server) -> None:
    """Those are asked of the site."""
    code = server.make_link()["code"]
    for name in ("tag", "orphans"):
        answer = server.api("GET", f"/links/{code}/stats?{name}=true")
        assert [error["field"] for error in answer.json()["errors"]] == [name]


def orphans(server: Server) -> tuple[int, int]:
    totals = server.api("GET", "/stats?orphans=true").json()["totals"]
    return totals["clicks"], totals["bots"]


@pytest.mark.parametrize("elsewhere", ["", "https://example.com/nothing"])
def test_visits_to_unknown_codes_are_counted_apart(new_server: NewServer, elsewhere: str) -> None:
    """With labels, bots apart; not for the site, and not those that are no codes or not looked at;
    whether they get a page or are sent elsewhere."""
    server = new_server(WORKERS="1", NOT_FOUND_URL=elsewhere).start()
    server.make_link(code="later", starts_at="2090-01-01T00:00:00Z")
    uncounted = [("favicon.ico", {}), ("later", {}), ("nope", {"Sec_Purpose": "prefetch"})]
    status = 302 if elsewhere else 404
    for code, headers in (*uncounted, ("nope", {"Referer": "https://t.co/"})):
        assert server.follow(code, **headers).status_code == status
    assert server.follow("nope", method="HEAD").status_code == status
    assert server.follow("nothere", User_Agent="curl/8").status_code == status
    assert eventually(lambda: orphans(server), (1, 1).__eq__) == (1, 1)
    time.sleep(1)
    answer = server.api("GET", "/stats?orphans=true").json()
    assert answer["totals"] == {"clicks": 1, "visitors": 1, "bots": 1}
    assert answer["by"]["referrer"] == [{"value": "t.co", "clicks": 1}]
    assert server.site_clicks() == 0


def test_a_flood_of_unknown_codes_is_counted_in_part(new_server: NewServer) -> None:
    """A hundred a second and worker, so that the journal is left to clicks."""
    server = new_server(WORKERS="1").start()
    began = time.monotonic()
    for n in range(600):
        assert server.follow(f"nope{n}").status_code in (404, 429)
    seconds = time.monotonic() - began
    time.sleep(2)
    counted = sum(orphans(server))
    assert counted <= 100 * (int(seconds) + 2)


def test_a_deleted_link_stays_in_the_totals_of_the_site(new_server: NewServer) -> None:
    """Its own statistics go, those of its tags and of the site keep its clicks."""
    server = new_server(WORKERS="1").start()
    code = server.make_link(tags=["kept"])["code"]
    assert server.follow(code, Referer="https://t.co/").status_code == 302
    assert eventually(server.site_clicks, lambda n: n == 1) == 1
    assert server.api("DELETE", f"/links/{code}").status_code == 204
    for path in ("/stats", "/stats?tag=kept"):
        answer = server.api("GET", path).json()
        assert answer["totals"]["clicks"] == 1
        assert answer["by"]["referrer"] == [{"value": "t.co", "clicks": 1}]


def test_clicks_that_come_late_land_in_their_day_and_month(new_server: NewServer) -> None:
    """A journal that waited over midnights and ends of months is counted where its clicks were,
    beside what was counted of these days and months before."""
    server = new_server(WORKERS="1").start()
    server.make_link(code="late")
    link, today = stored(server, "late"), datetime.now(UTC).date()
    ages = [0, 1, 31, 62]
    for turn in range(2):
        write(
            server,
            [
                click(
                    int(datetime(d.year, d.month, d.day, 12, tzinfo=UTC).timestamp() * 1000), link
                )
                for d in (today - timedelta(days=age) for age in reversed(ages))
            ],
        )
        wanted = len(ages) * (turn + 1)
        read = lambda: server.api("GET", "/links/late").json()["clicks"]  # noqa: E731
        assert eventually(read, wanted.__eq__) == wanted
    first = today - timedelta(days=62)
    for interval in ("day", "month"):
        answer = server.api("GET", f"/links/late/stats?from={first}&interval={interval}").json()
        clicks = {entry["start"][:10]: entry["clicks"] for entry in answer["series"]}
        assert sum(clicks.values()) == 8
        if interval == "day":
            assert {d: n for d, n in clicks.items() if n} == {
                str(today - timedelta(days=age)): 2 for age in ages
            }
        assert answer["totals"]["visitors"] == len(ages)
    whole = first.replace(day=1)
    answer = server.api("GET", f"/links/late/stats?from={whole}&interval=month").json()
    assert [e["clicks"] for e in answer["series"]] == months(today, ages)
    assert answer["by"]["browser"] == [{"value": "Firefox", "clicks": 8}]


def test_answers_add_up_while_clicks_are_counted(new_server: NewServer) -> None:
    """At every moment each dimension has as many clicks as the totals, and the series too."""
    server = new_server(WORKERS="1").start()
    codes = [server.make_link(tags=["loaded"])["code"] for _ in range(5)]
    paths = ["/stats", "/stats?tag=loaded", f"/links/{codes[0]}/stats"]
    seen: set[int] = set()

    def look() -> int:
        """Ask them all; how many different sums were seen."""
        for path in paths:
            answer = server.api("GET", path).json()
            clicks = answer["totals"]["clicks"]
            by = {sum(entry["clicks"] for entry in entries) for entries in answer["by"].values()}
            assert by == {clicks} == {sum(entry["clicks"] for entry in answer["series"])}
            seen.add(clicks)
        return len(seen)

    with Load(server.address, codes):
        assert eventually(look, lambda sums: sums > 20) > 20


def months(today: Any, ages: list[int]) -> list[int]:
    """Twice the days of these ages in each month, from the first one's to this one."""
    found: dict[tuple[int, int], int] = {}
    for back in range(max(ages) + today.day, -1, -1):
        day = today - timedelta(days=back)
        if day >= (today - timedelta(days=max(ages))).replace(day=1):
            found.setdefault((day.year, day.month), 0)
            found[day.year, day.month] += 2 * (back in ages)
    return list(found.values())
