"""The dashboard's statistics: the numbers are the API's, and strangers' labels are text."""

import html
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import demo
from tests.harness import Server, eventually
from tests.signed_in import Person


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A site with weeks of clicks."""
    directory: Path = tmp_path_factory.mktemp("demo") / "data"
    own = Server(directory, WORKERS="1").start()
    demo.fill(own, clicks=600)
    yield own
    own.stop()


def tiles(page: str) -> dict[str, int]:
    found = re.findall(r"<dt>(\w+)</dt><dd>([\d,]+)<small>", page)
    return {name.lower(): int(number.replace(",", "")) for name, number in found}


def labels(page: str, dimension: str) -> dict[str, int]:
    card = page[page.index(f'id="by-{dimension}"') :]
    card = card[: card.index("</section>")]
    rows = re.findall(r"<bdi>(.*?)</bdi></span> <span class=\"count\">([\d,]+)", card)
    return {html.unescape(name): int(number.replace(",", "")) for name, number in rows}


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/-/statistics", "/stats"),
        ("/-/links/wdf98", "/links/wdf98/stats"),
        ("/-/tags/newsletter", "/stats?tag=newsletter"),
        ("/-/orphans", "/stats?orphans=true"),
    ],
)
@pytest.mark.parametrize("question", ["", "from=2026-01-01&interval=month", "tz=Asia/Kathmandu"])
def test_pages_have_the_numbers_of_the_api(
    site: Server, path: str, api: str, question: str
) -> None:
    """Totals, labels and intervals of a page are those of the same question to the API."""
    page = Person(site).see(f"{path}?{question}")
    answer = site.api("GET", f"{api}{'&' if '?' in api else '?'}{question}").json()
    assert tiles(page) == answer["totals"]
    devices = {one["value"].capitalize(): one["clicks"] for one in answer["by"]["device"]}
    assert labels(page, "device") == devices
    assert page.count('<tr><th scope="row">') == len(answer["series"])


def test_every_dimension_has_its_card(site: Server) -> None:
    """The table of dimensions drives the page; one alone is shown with all its labels."""
    person = Person(site)
    by = site.api("GET", "/stats?limit=1000").json()["by"]
    page = person.see("/-/statistics")
    for dimension in by:
        assert f'id="by-{dimension}"' in page
    alone = person.see("/-/statistics?show=country")
    assert len(labels(alone, "country")) == len(by["country"])
    assert 'id="by-browser"' not in alone


def test_the_previous_period_stands_beside(site: Server) -> None:
    """The change is told against the same time right before."""
    person = Person(site)
    days = site.api("GET", "/stats?from=2026-01-01").json()["series"]
    last, before = days[-7:], days[-14:-7]
    page = person.see(f"/-/statistics?from={last[0]['start'][:10]}&to={last[-1]['start'][:10]}")
    now, then = (sum(day["clicks"] for day in some) for some in (last, before))
    percent = round(100 * (now - then) / then)
    if percent:
        more = "more" if percent > 0 else "fewer"
        assert f"{abs(percent)} % {more} than before" in page
    assert "previous period" in page


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("from=2026-02-01&to=2026-01-01", "to"),
        ("tz=Mars", "tz"),
        ("interval=minute", "interval"),
    ],
)
def test_a_wrong_question_is_said_at_its_field(site: Server, query: str, field: str) -> None:
    """The page shows the last 30 days and says what cannot be asked."""
    page = Person(site).see(f"/-/statistics?{query}", 422)
    assert f'id="{field}-error"' in page
    assert tiles(page)["clicks"] > 0


def test_csv_is_what_the_page_shows(site: Server) -> None:
    """The series, and each dimension, without a key."""
    person = Person(site)
    series = person.http.get("/-/statistics?format=csv&tz=UTC").text.splitlines()
    assert series[0] == "start,clicks,visitors,bots"
    assert len(series) == 31
    countries = person.http.get("/-/links/wdf98?format=csv&group_by=country").text.splitlines()
    assert countries[0] == "country,clicks"


def test_the_visitors_own_time_zone_is_the_usual_one(site: Server) -> None:
    """A script tells it in a cookie; the address of the page says otherwise."""
    person = Person(site)
    person.http.cookies.set("shortener-zone", "Asia/Tokyo")
    assert "by day, Asia/Tokyo" in person.see("/-/statistics")
    assert "by day, UTC" in person.see("/-/statistics?tz=UTC")
    person.http.cookies.set("shortener-zone", "nonsense")
    assert "by day, UTC" in person.see("/-/statistics")


def test_labels_of_strangers_are_text(site: Server) -> None:
    """A referrer cannot become part of the page."""
    code = site.make_link()["code"]
    site.follow(code, Referer="https://<script>alert(1)</script>/x")
    site.http.get(f"/{code}?utm_source=%3Cscript%3Ealert(1)")
    eventually(lambda: site.clicks(code), lambda n: n == 2)
    page = Person(site).see(f"/-/links/{code}")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_overview_shows_the_month_and_the_top(site: Server) -> None:
    """The last 30 days, the links that are clicked most, where from."""
    page = Person(site).see("/-/")
    totals: dict[str, Any] = site.api("GET", "/stats").json()["totals"]
    assert tiles(page) == totals
    top = page[page.index('id="top-links"') :]
    assert top.index("/wdf98") < top.index("/oil") < top.index("/derby")
    assert "Saudi Arabia" in page or "Unknown" in page


def test_a_stats_key_sees_no_links(site: Server) -> None:
    """Statistics without links, where that is all a key may see."""
    key = site.api("POST", "/keys", json={"name": "s", "scopes": ["stats:read"]}).json()["key"]
    person = Person(site, key)
    page = person.see("/-/")
    assert tiles(page)["clicks"] > 0
    assert "wdf98" not in page
    person.see("/-/links", 403)
    person.see("/-/statistics")


def test_what_is_not_there_is_not_found(site: Server) -> None:
    """No link, no tag."""
    person = Person(site)
    person.see("/-/links/nowhere", 404)
    person.see("/-/tags/nowhere", 404)


def test_clicks_are_told_as_they_happen(site: Server) -> None:
    """Who is signed in listens without a key; who is not is sent to sign in."""
    person, heard = Person(site), threading.Event()

    def click() -> None:
        while not heard.wait(0.3):
            site.client().get("/oil")

    clicking = threading.Thread(target=click)
    with person.http.stream("GET", "/-/live") as events:
        assert events.headers["Content-Type"].startswith("text/event-stream")
        clicking.start()
        told = next(line for line in events.iter_lines() if line.startswith("data:"))
        heard.set()
    clicking.join()
    assert '"code":"oil"' in told
    assert site.http.get("/-/live").status_code == 303
