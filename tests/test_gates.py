"""Links with a gate: so many visitors and no more, or a password."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.harness import BROWSER, NO_TLS, Server, eventually

NewServer = Callable[..., Server]


def at_once(times: int, address: str, code: str) -> list[int]:
    """Statuses of so many visitors in the same moment, each on a connection of its own."""
    with ThreadPoolExecutor(times) as threads:
        visits = threads.map(
            lambda _: httpx.get(f"{address}/{code}", headers=PERSON, verify=NO_TLS).status_code,
            range(times),
        )
        return sorted(visits)


PERSON = {"User-Agent": BROWSER}


def enter(server: Server, code: str, password: str, **headers: str) -> httpx.Response:
    """Send the password form."""
    return server.http.post(f"/{code}", data={"password": password}, headers=headers)


def test_clicks_at_once_cannot_pass_a_limit(new_server: NewServer) -> None:
    """`max_clicks` holds exactly, however many people click at once on several workers."""
    server = new_server(WORKERS="2").start()
    code = server.make_link(max_clicks=3)["code"]
    assert at_once(20, server.address, code) == [302] * 3 + [410] * 17
    link = eventually(
        lambda: server.api("GET", f"/links/{code}").json(), lambda found: found["clicks"] == 3
    )
    assert (link["clicks"], link["max_clicks"], link["remaining"]) == (3, 3, 0)


def test_looking_ahead_uses_nothing_up(server: Server) -> None:
    """A prefetch gets 503, `HEAD` no `Location`, and the one click is still to be had."""
    code = server.make_link(max_clicks=1)["code"]
    assert server.follow(code, Sec_Purpose="prefetch").status_code == 503
    head = server.follow(code, "HEAD")
    assert (head.status_code, "location" in head.headers) == (302, False)
    assert server.api("GET", f"/links/{code}").json()["remaining"] == 1
    assert [server.follow(code).status_code for _ in range(2)] == [302, 410]


def test_a_used_up_link_may_lead_elsewhere(server: Server) -> None:
    """As an expired one: to `expired_url`, with 302, uncounted."""
    other = "https://example.com/over"
    code = server.make_link(max_clicks=1, expired_url=other)["code"]
    assert server.follow(code).headers["location"] == "https://example.com/"
    assert server.follow(code).headers["location"] == other
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 1) == 1


def test_a_limit_set_later_counts_the_clicks_so_far(server: Server) -> None:
    """Also those that were answered a moment ago; taken away, the link is free again."""
    code = server.make_link()["code"]
    for _ in range(3):
        assert server.follow(code).status_code == 302
    limited = server.api("PATCH", f"/links/{code}", json={"max_clicks": 5}).json()
    assert limited["max_clicks"] == 5

    def remaining() -> int:
        return int(server.api("GET", f"/links/{code}").json()["remaining"])

    assert eventually(remaining, lambda left: left == 2) == 2
    assert [server.follow(code).status_code for _ in range(3)] == [302, 302, 410]
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 5) == 5
    assert remaining() == 0
    assert (
        server.api("PATCH", f"/links/{code}", json={"max_clicks": None}).json()["remaining"] is None
    )
    assert server.follow(code).status_code == 302


def test_a_raised_limit_lets_more_through(server: Server) -> None:
    """The uses so far stay used."""
    code = server.make_link(max_clicks=1)["code"]
    assert [server.follow(code).status_code for _ in range(2)] == [302, 410]
    server.api("PATCH", f"/links/{code}", json={"max_clicks": 2})
    assert [server.follow(code).status_code for _ in range(2)] == [302, 410]


def test_a_password_is_asked_for(server: Server) -> None:
    """200 with a form; the right one goes on with 303, whatever the link's status."""
    code = server.make_link(
        "https://example.com/secret", password="open sesame", redirect_status=307
    )["code"]
    page = server.follow(code)
    assert (page.status_code, "location" in page.headers) == (200, False)
    assert 'type="password"' in page.text
    assert "example.com" not in page.text
    wrong = enter(server, code, "close sesame")
    assert (wrong.status_code, "location" in wrong.headers) == (403, False)
    right = enter(server, code, "open sesame")
    assert (right.status_code, right.headers["location"]) == (303, "https://example.com/secret")
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 1) == 1


def test_a_browser_may_follow_the_form_to_the_destination(server: Server) -> None:
    """The page's policy stays strict but for where its form leads: it redirects to any site."""
    code = server.make_link(password="open")["code"]
    for page in (server.follow(code), enter(server, code, "wrong")):
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self' http: https:;" in policy


def test_a_password_is_told_to_nobody(new_server: NewServer) -> None:
    """Neither it nor its hash is in an answer, and it is in no file of the server."""
    server = new_server().start()
    made = server.make_link(password="a very secret word")
    assert made["has_password"] is True
    assert "password" not in made
    answers = [server.api("GET", "/links").text, server.api("GET", f"/links/{made['code']}").text]
    assert enter(server, made["code"], "a very secret word").status_code == 303
    assert not [text for text in answers if "scrypt" in text or "secret word" in text]
    server.stop()
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert not [path for path in files if b"secret word" in path.read_bytes()]
    assert "secret word" not in server.errors()


def test_guessing_is_throttled_by_address(new_server: NewServer) -> None:
    """Ten wrong tries a minute; then 429 for that address, also for the right one."""
    server = new_server(TRUSTED_PROXIES="1").start()
    code = server.make_link(password="right one")["code"]
    headers = {"X-Forwarded-For": "192.0.2.1"}
    guesses = [enter(server, code, "wrong", **headers).status_code for _ in range(10)]
    assert guesses == [403] * 10
    tired = enter(server, code, "right one", **headers)
    assert tired.status_code == 429
    assert 1 <= int(tired.headers["retry-after"]) <= 60
    other = enter(server, code, "right one", **{"X-Forwarded-For": "192.0.2.2"})
    assert other.status_code == 303


def test_a_password_can_be_taken_away(server: Server) -> None:
    """Then the link redirects as any other, and a form that comes late is 405."""
    code = server.make_link(password="for a while")["code"]
    server.api("PATCH", f"/links/{code}", json={"password": None})
    assert server.follow(code).status_code == 302
    assert enter(server, code, "for a while").status_code == 405


def test_both_gates_stand_in_a_row(server: Server) -> None:
    """A wrong password uses nothing up, the right one does."""
    code = server.make_link(password="both", max_clicks=1)["code"]
    assert enter(server, code, "neither").status_code == 403
    assert enter(server, code, "both").status_code == 303
    assert enter(server, code, "both").status_code == 410


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", 10**12])
def test_a_limit_is_a_number_of_visitors(server: Server, value: object) -> None:
    """From 1 to 1,000,000,000; anything else is 422 with the field named."""
    answer = server.api("POST", "/links", json={"url": "https://example.com/", "max_clicks": value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "max_clicks"
