"""The dashboard's frame: who is let in, and what its forms carry."""

from collections.abc import Callable

import pytest

from tests.harness import Server
from tests.signed_in import Person


def test_a_key_signs_in(server: Server) -> None:
    """A session begins with an API key, and the page says whose it is."""
    person = Person(server)
    assert (person.answer.status_code, person.answer.headers["Location"]) == (303, "/-/")
    cookie = person.answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/-/" in cookie
    assert "Overview" in person.see("/-/")


def test_without_a_session_one_signs_in_first(server: Server) -> None:
    """Whoever is not signed in is asked to, and comes back to the page that was wanted."""
    answer = server.http.get("/-/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/-/sign-in")
    assert server.http.get("/-/sign-in").status_code == 200


def test_a_wrong_key_is_told(server: Server) -> None:
    """A key that is none begins nothing."""
    person = Person(server, "sk_wrong")
    assert person.answer.status_code == 401
    assert "unknown or has expired" in person.answer.text
    assert "Set-Cookie" not in person.answer.headers


def test_signing_out_ends_the_session(server: Server) -> None:
    """Whoever kept the cookie has nothing in hand any more."""
    person = Person(server)
    kept = person.http.cookies["shortener-session"]
    answer = person.send("/-/sign-out")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/-/sign-in")
    person.http.cookies.set("shortener-session", kept, path="/-/")
    assert person.http.get("/-/").status_code == 303


def test_a_form_needs_the_token_of_its_session(server: Server) -> None:
    """What another site's page could send is refused."""
    person, other = Person(server), Person(server)
    assert person.http.post("/-/sign-out").status_code == 403
    stolen = other.send("/-/sign-out", form_token="made-up")
    assert stolen.status_code == 403
    assert person.http.get("/-/").status_code == 200


def test_guessing_keys_is_slowed_down(new_server: Callable[..., Server]) -> None:
    """After a hundred wrong keys in a minute the address waits; who is signed in goes on."""
    server = new_server(WORKERS="1").start()
    person = Person(server)
    statuses = [
        server.http.post("/-/sign-in", data={"key": f"sk_{number}"}).status_code
        for number in range(101)
    ]
    assert statuses == [401] * 100 + [429]
    refused = server.http.post("/-/sign-in", data={"key": "sk_more"})
    assert int(refused.headers["Retry-After"]) > 0
    assert "wait a minute" in refused.text
    assert person.http.get("/-/").status_code == 200


@pytest.mark.parametrize("cookie", ["", "nonsense", "Im1hZGUtdXAi.c2lnbmF0dXJl"])
def test_a_made_up_cookie_lets_nobody_in(server: Server, cookie: str) -> None:
    """A session is one that we began: its cookie is signed."""
    answer = server.http.get("/-/", headers={"Cookie": f"shortener-session={cookie}"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/-/sign-in")


@pytest.mark.parametrize("to", ["//evil.example/", "https://evil.example/", "/wdf98", "/-/\r\nx"])
def test_signing_in_leads_to_pages_of_ours(server: Server, to: str) -> None:
    """Where one goes on to is never anybody else's to choose."""
    answer = server.http.post("/-/sign-in", data={"key": server.key, "next": to})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/-/")


def test_other_sites_cannot_send_forms(server: Server) -> None:
    """Browsers say where a form comes from, and they are believed."""
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = server.http.post("/-/sign-in", data={"key": server.key}, headers=headers)
        assert answer.status_code == 403
