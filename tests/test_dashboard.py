"""The dashboard's frame: who is let in, and what its forms carry."""

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
