"""Headers that protect people and keep crawlers off, on everything but redirects."""

from collections.abc import Callable
from typing import Any
from urllib.robotparser import RobotFileParser

import httpx
import pytest

from tests.harness import Server
from tests.test_pages import BROWSER

NewServer = Callable[..., Server]

EVERYWHERE = {
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
}
ON_PAGES = {
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
CLOSED = "default-src 'none'; frame-ancestors 'none'"
# Every kind of answer: method, path, what is accepted, status.
ANSWERS: dict[str, tuple[str, str, str, int]] = {
    "a page": ("GET", "/", BROWSER, 200),
    "a page without its body": ("HEAD", "/", BROWSER, 200),
    "the table of errors": ("GET", "/-/errors", BROWSER, 200),
    "an error's page": ("GET", "/nothere", BROWSER, 404),
    "another method's page": ("PUT", "/nothere", BROWSER, 405),
    "an error for a program": ("GET", "/nothere", "*/*", 404),
    "the password form": ("GET", "/headers-protected", BROWSER, 200),
    "a wrong password": ("POST", "/headers-protected", BROWSER, 403),
    "a preview": ("GET", "/headers-plain+", BROWSER, 200),
    "a preview in JSON": ("GET", "/headers-plain+", "application/json", 200),
    "an answer of the API": ("GET", "/api/v1/links/headers-plain", "*/*", 200),
    "an error of the API": ("GET", "/api/v1/links/nothere", "*/*", 404),
    "a QR code": ("GET", "/api/v1/links/headers-plain/qr", "*/*", 200),
    "a style": ("GET", "/-/static/style.css", "*/*", 200),
    "a picture": ("GET", "/-/static/icon.svg", "*/*", 200),
    "rules for crawlers": ("GET", "/robots.txt", "*/*", 200),
    "health": ("GET", "/-/health", "*/*", 200),
    "readiness": ("GET", "/-/ready", "*/*", 200),
    "options": ("OPTIONS", "/headers-plain", "*/*", 200),
}
LINKS: dict[str, dict[str, Any]] = {
    "headers-plain": {},
    "headers-protected": {"password": "open sesame"},
    "headers-limited": {"max_clicks": 5},
}
every_answer = pytest.mark.parametrize(
    ("method", "path", "accept", "status"), ANSWERS.values(), ids=ANSWERS
)


@pytest.fixture(scope="module", autouse=True)
def links(server: Server) -> None:
    """The links that are asked for."""
    for code, fields in LINKS.items():
        server.make_link(code=code, **fields)


def ask(server: Server, method: str, path: str, accept: str) -> httpx.Response:
    """One request, with the admin key."""
    headers = {"Accept": accept, "Authorization": f"Bearer {server.key}"}
    return server.http.request(method, path, headers=headers)


@every_answer
def test_every_answer_is_protected(
    server: Server, method: str, path: str, accept: str, status: int
) -> None:
    """No sniffing, no referrer, no frames, no use by other sites, no index; a page opens alone and
    may use no device, what is no page may load nothing at all."""
    answer = ask(server, method, path, accept)
    assert answer.status_code == status
    is_page = answer.headers["content-type"].startswith("text/html")
    wanted = EVERYWHERE | (ON_PAGES if is_page else {"content-security-policy": CLOSED})
    assert {name: answer.headers.get(name) for name in wanted} == wanted
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@every_answer
def test_no_header_comes_twice(
    server: Server, method: str, path: str, accept: str, status: int
) -> None:
    """Each is said once."""
    names = [name for name, _ in ask(server, method, path, accept).headers.multi_items()]
    assert len(names) == len(set(names))


def test_an_unchanged_file_stays_protected(server: Server) -> None:
    """Also where a 304 takes the place of what a browser keeps."""
    first = server.http.get("/-/static/style.css")
    again = server.http.get("/-/static/style.css", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert {name: again.headers.get(name) for name in EVERYWHERE} == EVERYWHERE


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/headers-plain", 302),
        ("HEAD", "/headers-plain", 302),
        ("GET", "/headers-limited", 302),
        ("POST", "/headers-protected", 303),
    ],
)
def test_a_redirect_has_only_what_it_needs(
    server: Server, method: str, path: str, status: int
) -> None:
    """It is no page: what is sent a thousand times a second stays small."""
    data = {"password": "open sesame"} if method == "POST" else None
    answer = server.http.request(method, path, data=data)
    assert answer.status_code == status
    assert set(answer.headers) <= {
        "location",
        "cache-control",
        "x-robots-tag",
        "content-length",
        "date",
    }


def rules(server: Server) -> RobotFileParser:
    """What a crawler reads."""
    answer = server.http.get("/robots.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    parser = RobotFileParser()
    parser.parse(answer.text.splitlines())
    return parser


@pytest.mark.parametrize("path", ["/", "/wdf98", "/wdf98+", "/-/errors", "/api/v1/links"])
@pytest.mark.parametrize("crawler", ["Googlebot", "bingbot", "GPTBot", "anything"])
def test_crawlers_are_kept_off(server: Server, crawler: str, path: str) -> None:
    """From links and pages alike."""
    assert not rules(server).can_fetch(crawler, path)


@pytest.mark.parametrize("fetcher", ["Twitterbot", "facebookexternalhit", "LinkedInBot"])
def test_a_posted_link_may_show_its_card(server: Server, fetcher: str) -> None:
    """Who fetches a link because a person posted it may follow it, and see nothing of ours."""
    allowed = rules(server)
    assert allowed.can_fetch(f"{fetcher}/1.0", "/wdf98")
    assert not allowed.can_fetch(fetcher, "/-/errors")
    assert not allowed.can_fetch(fetcher, "/api/v1/links")


def test_the_rules_are_there_wherever_unknown_codes_lead(new_server: NewServer) -> None:
    """Neither `NOT_FOUND_URL` nor `HOME_URL` takes their place."""
    elsewhere = "https://example.com/"
    server = new_server(NOT_FOUND_URL=elsewhere, HOME_URL=elsewhere, WORKERS="1").start()
    assert "Disallow: /" in server.http.get("/robots.txt").text
