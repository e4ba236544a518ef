"""Signing in to the dashboard: cookies, hosts, proxies, and how a session ends."""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness import Server, eventually
from tests.signed_in import Person

NewServer = Callable[..., Server]


@pytest.mark.parametrize(("base", "is_secure"), [("http", False), ("https", True)])
def test_cookies_are_as_safe_as_the_site(new_server: NewServer, base: str, is_secure: bool) -> None:
    """Of a site with TLS, the cookie never goes without."""
    server = new_server(WORKERS="1", BASE_URL=f"{base}://links.example").start()
    cookie = Person(server).answer.headers["Set-Cookie"]
    assert ("Secure" in cookie) is is_secure


@pytest.mark.parametrize(
    "to",
    [
        "/-/../wdf98",
        "/-/..//evil.example",
        "/-/%2e%2E/wdf98",
        "/-/links/../../wdf98",
        "/-/\\evil.example",
        "/-/\tx",
        "javascript:alert(1)",
    ],
)
def test_no_detour_leads_out_of_the_dashboard(server: Server, to: str) -> None:
    """What a browser would make another address of is no page of ours."""
    answer = server.http.post("/-/sign-in", data={"key": server.key, "next": to})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/-/")


def test_one_goes_on_to_the_page_that_was_wanted(server: Server) -> None:
    """Its query, and dots that are none of a path's, included."""
    wanted = "/-/links?search=a..b/../c"
    asked = server.http.get(wanted).headers["Location"]
    page = server.http.get(asked).text
    found = re.search(r'name="next" value="([^"]+)"', page)
    assert found is not None
    fields = {"key": server.key, "next": html.unescape(found[1])}
    assert server.http.post("/-/sign-in", data=fields).headers["Location"] == wanted


def test_a_session_ends_with_its_key(server: Server) -> None:
    """A key that has expired lets nobody go on."""
    ends = (datetime.now(UTC) + timedelta(seconds=3)).isoformat(timespec="seconds")
    wish = {"name": "short", "scopes": ["links:read"], "expires_at": ends}
    person = Person(server, server.api("POST", "/keys", json=wish).json()["key"])
    assert person.answer.status_code == 303
    answer = eventually(
        lambda: person.http.get("/-/links"), lambda answer: answer.status_code != 200
    )
    assert answer.headers["Location"].startswith("/-/sign-in")


def test_another_session_s_form_is_refused(server: Server) -> None:
    """The token on one's own pages is worth nothing to anybody else."""
    person, other = Person(server), Person(server)
    found = re.search(r'name="form_token" value="([^"]+)"', person.see("/-/"))
    assert found is not None
    token = html.unescape(found[1])
    assert other.http.post("/-/sign-out", data={"form_token": token}).status_code == 403
    assert person.http.post("/-/sign-out", data={"form_token": token}).status_code == 303


def test_a_new_secret_signs_everybody_out(new_server: NewServer) -> None:
    """Cookies last over restarts, and no longer than the key that they are signed with."""
    server = new_server(WORKERS="2").start()
    cookie = Person(server).http.cookies["shortener-session"]
    statuses = []
    for secret in ({}, {"SECRET_KEY": "another secret of the operator"}):
        server.stop()
        server.settings |= secret
        server.start()
        sent = {"Cookie": f"shortener-session={cookie}"}
        statuses.append([server.http.get("/-/", headers=sent).status_code for _ in range(8)])
    assert statuses == [[200] * 8, [303] * 8]


@pytest.mark.parametrize(
    ("trusted", "origin", "status"),
    [
        ("1", "https://links.example", 303),
        ("1", "https://10.0.0.7:8000", 403),
        ("0", "https://links.example", 403),
        ("0", "https://10.0.0.7:8000", 303),
    ],
)
def test_a_form_s_origin_is_the_host_that_was_asked(
    new_server: NewServer, trusted: str, origin: str, status: int
) -> None:
    """Behind a trusted proxy that is the host it names; anybody else's word changes nothing."""
    server = new_server(WORKERS="1", TRUSTED_PROXIES=trusted).start()
    headers = {"Host": "10.0.0.7:8000", "X-Forwarded-Host": "links.example", "Origin": origin}
    answer = server.http.post("/-/sign-in", data={"key": server.key}, headers=headers)
    assert answer.status_code == status


def test_every_host_has_the_dashboard(new_server: NewServer) -> None:
    """Those of short links, and one that is none of them, such as the server's own name."""
    own = new_server(WORKERS="1", BASE_URL="http://a.example", DOMAINS="b.example").start()
    for host in ("a.example", "b.example", "10.0.0.7"):
        headers = {"Host": host, "Origin": f"http://{host}"}
        answer = own.http.post("/-/sign-in", data={"key": own.key}, headers=headers)
        assert answer.status_code == 303
        sent = {"Host": host, "Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
        assert own.http.get("/-/links", headers=sent).status_code == 200


def test_pages_tell_us_alone_where_a_request_comes_from(server: Server) -> None:
    """Browsers send no `Origin` with the forms of a page that says `no-referrer`."""
    for answer in (server.http.get("/-/sign-in"), Person(server).http.get("/-/keys")):
        assert answer.headers["Referrer-Policy"] == "same-origin"
