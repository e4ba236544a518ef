"""`/{code}+` shows where a link leads, and changes nothing."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import httpx
import pytest

from tests import pictures
from tests.harness import Server, eventually
from tests.test_pages import BROWSER, HOSTILE, MAX_PAGE, Html

NewServer = Callable[..., Server]

PAST = {"expires_at": "2020-01-01T00:00:00Z"}
FUTURE = {"starts_at": "2999-01-01T00:00:00Z"}
SECRET_URL, SECRET_TITLE = "https://hidden.example/very/secret", "An unheard-of title"


def look(server: Server, code: str, method: str = "GET", **headers: str) -> httpx.Response:
    """The preview of a link, as a browser asks for it."""
    sent = {"Accept": BROWSER} | {name.replace("_", "-"): text for name, text in headers.items()}
    return server.http.request(method, f"/{quote(code)}+", headers=sent)


def words(answer: httpx.Response) -> str:
    """The text of a page, with single spaces."""
    return " ".join(Html(answer.text).text.split())


def picture(answer: httpx.Response) -> bytes:
    """The one picture in a page's own address."""
    (target,) = (t for t in Html(answer.text).targets if t.startswith("data:"))
    return unquote_to_bytes(target.partition(",")[2])


def test_it_shows_where_a_link_leads(server: Server) -> None:
    """Destination, title, when it was made and ends; the way on is the short link itself."""
    end = "2999-12-31T21:00:00Z"
    link = server.make_link(SECRET_URL, title=SECRET_TITLE, expires_at=end)
    answer = look(server, link["code"])
    assert (answer.status_code, answer.headers["content-type"][:9]) == (200, "text/html")
    assert answer.headers["cache-control"] == "private, no-store"
    text = words(answer)
    for shown in (SECRET_URL, SECRET_TITLE, f"arab.news/{link['code']}", "hidden.example"):
        assert shown in text
    assert "31 December 2999, 21:00 (UTC)" in text
    for time in (link["created_at"], end):
        assert f'datetime="{time}"' in answer.text
    assert f"/{link['code']}" in Html(answer.text).targets


def test_times_are_in_the_zone_of_the_site(new_server: NewServer) -> None:
    """As the statistics' days are."""
    server = new_server(TIMEZONE="Asia/Riyadh", WORKERS="1").start()
    code = server.make_link(expires_at="2999-12-31T21:00:00Z")["code"]
    assert "1 January 3000, 00:00 (Asia/Riyadh)" in words(look(server, code))
    last = server.make_link(expires_at="9999-12-31T23:59:59Z")["code"]
    assert "31 December 9999, 23:59 (UTC)" in words(look(server, last))


@pytest.mark.parametrize("alias", ["wdf98-look", "نظرة"])
def test_its_qr_code_is_that_of_the_short_link(server: Server, alias: str) -> None:
    """In the page itself, so that nothing more is loaded."""
    link = server.make_link(code=alias)
    assert pictures.read(picture(look(server, alias))) == link["short_url"]


def test_looking_counts_nothing_and_uses_nothing_up(server: Server) -> None:
    """However often one looks, the one visit is still to be had, and is the only click."""
    code = server.make_link(max_clicks=1)["code"]
    for method in ("GET", "HEAD", "GET"):
        assert look(server, code, method).status_code == 200
    assert server.api("GET", f"/links/{code}").json()["remaining"] == 1
    assert server.follow(code).status_code == 302
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks > 0) == 1


@pytest.mark.parametrize("accept", [BROWSER, "application/json"])
def test_a_password_hides_where_it_leads(server: Server, accept: str) -> None:
    """Neither destination nor title is told, but that there is a password."""
    link = server.make_link(SECRET_URL, title=SECRET_TITLE, password="open sesame")
    answer = look(server, link["code"], Accept=accept)
    assert answer.status_code == 200
    for hidden in ("hidden.example", "secret", "unheard", "sesame", "scrypt"):
        assert hidden not in answer.text
    assert "password" in answer.text
    if accept == BROWSER:
        assert pictures.read(picture(answer)) == link["short_url"]


LOOKALIKES = {
    "Cyrillic for Latin": ("xn--80ak6aa92e.com", "\u0430\u0440\u0440\u04cf\u0435.com"),
    "a mixed label": ("xn--ypal-43d9g.example", "\u0440\u0430ypal.example"),
    "an Arabic name": ("xn--mgbh0fb.example", "مثال.example"),
    "an emoji": ("xn--ls8h.example", "💩.example"),
}


@pytest.mark.parametrize(("name", "spoken"), LOOKALIKES.values(), ids=LOOKALIKES)
def test_a_name_of_other_letters_is_shown_in_both_forms(
    server: Server, name: str, spoken: str
) -> None:
    """As `xn--`, in which no two names look alike, and as it is written."""
    text = words(look(server, server.make_link(f"https://{spoken}/login")["code"]))
    assert name in text
    assert spoken in text
    plain = words(look(server, server.make_link("https://apple.com/login")["code"]))
    assert "own letters" in text
    assert "own letters" not in plain


GONE: dict[str, tuple[dict[str, Any], int, str]] = {
    "expired": (PAST, 410, "link-expired"),
    "expired, with a password": (PAST | {"password": "x"}, 410, "link-expired"),
    "not begun": (FUTURE, 404, "link-not-found"),
    "not begun, with a password": (FUTURE | {"password": "x"}, 404, "link-not-found"),
}


@pytest.mark.parametrize(("fields", "status", "slug"), GONE.values(), ids=GONE)
def test_what_leads_nowhere_tells_nothing(
    server: Server, fields: dict[str, Any], status: int, slug: str
) -> None:
    """An expired link is 410 and says so; one that has not begun is as unknown as any other."""
    code = server.make_link(SECRET_URL, title=SECRET_TITLE)["code"]
    assert server.api("PATCH", f"/links/{code}", json=fields).status_code == 200
    page, problem = look(server, code), look(server, code, Accept="application/json")
    assert (page.status_code, problem.status_code) == (status, status)
    assert problem.json()["type"] == f"/-/errors#{slug}"
    assert ("expired" in words(page)) == (status == 410)
    for hidden in ("hidden.example", "unheard"):
        assert hidden not in page.text + problem.text


def test_a_used_up_link_says_so(server: Server) -> None:
    """410 for whoever looks and for whoever follows, each told why."""
    code = server.make_link(SECRET_URL, max_clicks=1)["code"]
    assert server.follow(code).status_code == 302
    for answer in (look(server, code), server.follow(code, Accept=BROWSER)):
        assert answer.status_code == 410
        assert "used up" in words(answer)
        assert "hidden.example" not in answer.text
    assert server.follow(code).json()["type"] == "/-/errors#link-used-up"


@pytest.mark.parametrize("fields", [PAST, {"max_clicks": 1}], ids=["expired", "used up"])
def test_where_a_link_that_is_over_leads_is_said(server: Server, fields: dict[str, Any]) -> None:
    """With `expired_url` it is 410 still, and that address is shown instead of the destination."""
    code = server.make_link(SECRET_URL, expired_url="https://example.com/over")["code"]
    server.api("PATCH", f"/links/{code}", json=fields)
    server.follow(code)
    answer = look(server, code)
    assert (answer.status_code, "location" in answer.headers) == (410, False)
    assert "https://example.com/over" in words(answer)
    assert "hidden.example" not in answer.text


def test_an_unknown_code_is_404_wherever_unknown_codes_lead(new_server: NewServer) -> None:
    """`NOT_FOUND_URL` is for those who follow; who looks is answered."""
    server = new_server(NOT_FOUND_URL="https://example.com/lost", WORKERS="1").start()
    assert server.follow("nothere").status_code == 302
    answer = look(server, "nothere")
    assert answer.status_code == 404
    assert "nothere" in words(answer)


def test_a_preview_is_that_of_its_domain(new_server: NewServer) -> None:
    """As for the redirect: a `Host` sees its own links, a strange one sees none."""
    server = new_server(BASE_URL="https://arab.news", DOMAINS="go.example", WORKERS="1").start()
    server.make_link("https://example.com/first", code="both")
    server.make_link("https://example.com/second", code="both", domain="go.example")
    ours, other = look(server, "both", Host="arab.news"), look(server, "both", Host="go.example:80")
    assert "example.com/first" in words(ours)
    assert "example.com/second" in words(other)
    assert pictures.read(picture(other)) == "https://go.example/both"
    strange = look(server, "both", Host="evil.example")
    assert strange.status_code == 404
    assert "example.com" not in strange.text


@pytest.mark.parametrize("path", ["looked-at+", "LOOKED-AT+", "looked-at%2B", "%6cooked-at%2b"])
def test_a_code_is_spelt_as_for_the_redirect(server: Server, path: str) -> None:
    """In upper case, percent-encoded, also the plus."""
    if server.api("GET", "/links/looked-at").status_code == 404:
        server.make_link(code="looked-at")
    answer = server.http.get(f"/{path}", headers={"Accept": BROWSER})
    assert "arab.news/looked-at leads to" in words(answer)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_preview_is_only_read(server: Server, method: str) -> None:
    """405, with what is allowed, for any link and none."""
    for code in (server.make_link(password="x")["code"], "nothere"):
        answer = look(server, code, method)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


ACCEPTS: dict[str, tuple[str | None, str]] = {
    "a browser": (BROWSER, "text/html"),
    "anything": ("*/*", "text/html"),
    "nothing": (None, "text/html"),
    "a picture": ("image/png", "text/html"),
    "JSON": ("application/json", "application/json"),
    "rather JSON": ("text/html;q=0.5, application/json", "application/json"),
    "JSON or anything": ("application/json, */*;q=0.1", "application/json"),
}


@pytest.mark.parametrize(("accept", "kind"), ACCEPTS.values(), ids=ACCEPTS)
def test_who_prefers_json_gets_json(server: Server, accept: str | None, kind: str) -> None:
    """Everybody else gets the page; caches are told that there are two."""
    request = server.http.build_request("GET", f"/{server.make_link()['code']}+")
    del request.headers["Accept"]
    if accept is not None:
        request.headers["Accept"] = accept
    answer = server.http.send(request)
    assert answer.headers["content-type"].partition(";")[0] == kind
    assert "accept" in answer.headers["vary"].lower()


def test_the_json_has_what_the_page_has(server: Server) -> None:
    """Every field is there, `null` when there is nothing to tell."""
    link = server.make_link(SECRET_URL, title=SECRET_TITLE)
    shown = look(server, link["code"], Accept="application/json").json()
    same = ("short_url", "url", "title", "has_password", "created_at", "expires_at")
    assert shown == {name: link[name] for name in same}
    hidden = server.make_link(SECRET_URL, title=SECRET_TITLE, password="x")
    answer = look(server, hidden["code"], Accept="application/json").json()
    wanted = {name: hidden[name] for name in same} | {"url": None, "title": None}
    assert answer == wanted | {"has_password": True}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_text(server: Server, text: str) -> None:
    """In title and destination: the page has the elements of any other preview."""
    title = text.replace("\r\n", " ")
    plain = server.make_link("https://example.com/x?y", title="A title")
    link = server.make_link(f"https://example.com/{title}?{title}#{title}", title=title)
    usual, page = (Html(look(server, each["code"]).text) for each in (plain, link))
    assert Counter(page.tags) == Counter(usual.tags)
    assert page.attributes == usual.attributes
    assert " ".join(title.split()) in " ".join(page.text.split())


def test_right_to_left_text_stays_in_its_place(server: Server) -> None:
    """Titles and codes have their own direction, addresses are read from the left."""
    code = server.make_link("https://example.com/x", code="قمة-اليوم", title="قمة الرياض (Riyadh)")[
        "code"
    ]
    source = look(server, code).text
    assert '<dd dir="auto">قمة الرياض (Riyadh)</dd>' in source
    assert f"<bdi>{code}</bdi>" in source
    assert 'dir="ltr">https://example.com/x</p>' in source


def test_a_long_address_is_shown_whole(server: Server) -> None:
    """It can be scrolled to its end with the keyboard, and the page stays small."""
    url = "https://example.com/" + "a/" * 1500 + "end"
    answer = look(server, server.make_link(url)["code"])
    assert url in words(answer)
    assert "tabindex" in Html(answer.text).attributes
    (sheet,) = Html(answer.text).stylesheets
    assert len(answer.content) + len(server.http.get(sheet).content) < MAX_PAGE


def test_without_redis_a_preview_waits(new_server: NewServer) -> None:
    """503 with `Retry-After`, never 404."""
    server = new_server(WORKERS="1").start()
    code = server.make_link()["code"]
    (redis,) = server.pids("valkey")
    os.kill(redis, signal.SIGSTOP)
    try:
        for asked in (code, "nothere"):
            answer = look(server, asked)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "Back in a moment" in words(answer)
    finally:
        os.kill(redis, signal.SIGCONT)
    assert eventually(lambda: look(server, code).status_code, lambda s: s == 200) == 200
