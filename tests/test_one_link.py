"""One link: `GET` and `DELETE` of `/api/v1/links/{code}`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from shortener import connections
from tests.harness import Server, eventually

NewServer = Callable[..., Server]
SPELLINGS = {
    "as made": ("spelt-1", "spelt-1"),
    "in capitals": ("spelt-2", "SPELT-2"),
    "percent-encoded": ("spelt-3", "%73pelt-3"),
    "sharp s": ("fu\u00df-4", "FUSS-4"),
    "folded s": ("fuss-5", "fu\u00df-5"),
    "decomposed": ("caf\u00e9-6", "cafe\u0301-6"),
    "Arabic": ("قمة-7", "قمة-7"),
    "Arabic, percent-encoded": ("قمة-8", quote("قمة-8")),
}
NOWHERE = {
    "an unknown code": "nosuchlink",
    "not a code": "no.code",
    "a dot segment": "%2e%2e",
    "a space": "%20",
    "a null byte": "a%00",
    "broken UTF-8": "%ff%fe",
    "65 characters": "a" * 65,
    "10 kB": "a" * 10_000,
    "a slash inside": "a%2Fb",
    "another resource": "a/nothing",
}


def test_reading_answers_what_creating_did(server: Server) -> None:
    """The link in both answers is the same."""
    made = server.make_link(title="Twice", tags=["a"], redirect_status=307)
    answer = server.api("GET", f"/links/{made['code']}")
    assert (answer.status_code, answer.json()) == (200, made)


@pytest.mark.parametrize(("made", "asked"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_code_is_read_in_any_spelling(server: Server, made: str, asked: str) -> None:
    """Neither case nor composition nor percent-encoding makes another link."""
    link = server.make_link(code=made)
    assert server.api("GET", f"/links/{asked}").json() == link


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", NOWHERE.values(), ids=NOWHERE)
def test_what_is_not_there_is_404(server: Server, path: str, method: str) -> None:
    """For any path, with a problem in JSON."""
    answer = server.api(method, f"/links/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_link_tells_its_clicks(server: Server) -> None:
    """`clicks` and `last_clicked_at` follow within seconds; bots are not told apart yet."""
    before = datetime.now(UTC).replace(microsecond=0)
    code = server.make_link()["code"]
    for _ in range(3):
        assert server.follow(code).status_code == 302
    after = datetime.now(UTC)
    link = eventually(
        lambda: server.api("GET", f"/links/{code}").json(), lambda link: link["clicks"] >= 3
    )
    assert (link["clicks"], link["bots"]) == (3, None)
    assert link["last_clicked_at"].endswith("Z")
    assert before <= datetime.fromisoformat(link["last_clicked_at"]) <= after


def test_an_expired_link_can_be_read_and_deleted(server: Server) -> None:
    """Expiry ends the redirect; the link stays until it is deleted."""
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    made = server.make_link(expires_at=soon)
    path = f"/links/{made['code']}"
    gone = eventually(lambda: server.follow(made["code"]).status_code, lambda s: s == 410)
    assert gone == 410
    assert server.api("GET", path).json()["expires_at"] == made["expires_at"]
    assert server.api("DELETE", path).status_code == 204
    assert server.follow(made["code"]).status_code == 404


def test_deleting_has_an_empty_answer(server: Server) -> None:
    """204, without a body."""
    answer = server.api("DELETE", f"/links/{server.make_link()['code']}")
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_deleted_link_is_gone_everywhere(server: Server) -> None:
    """Its redirect, the link, its statistics, and deleting it again: all 404."""
    code = server.make_link()["code"]
    assert server.follow(code).status_code == 302
    assert server.api("DELETE", f"/links/{code}").status_code == 204
    answers = [
        server.follow(code),
        server.api("GET", f"/links/{code}"),
        server.api("GET", f"/links/{code}/stats"),
        server.api("DELETE", f"/links/{code}"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4


@pytest.mark.parametrize(("made", "asked"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_code_is_deleted_in_any_spelling(server: Server, made: str, asked: str) -> None:
    """The link that a spelling reads is the one that it deletes."""
    server.api("POST", "/links", json={"url": "https://example.com/", "code": made})
    assert server.api("DELETE", f"/links/{asked}").status_code == 204
    assert server.follow(made).status_code == 404


def test_an_alias_is_free_again_after_deletion(server: Server) -> None:
    """Another link may take the name, and begins without the clicks of the first."""
    server.make_link(code="reborn")
    assert server.follow("reborn").status_code == 302
    assert eventually(lambda: server.clicks("reborn"), lambda clicks: clicks == 1) == 1
    assert server.api("DELETE", "/links/reborn").status_code == 204
    new = server.make_link("https://example.com/new", code="reborn")
    assert (new["clicks"], new["last_clicked_at"]) == (0, None)
    assert server.clicks("reborn") == 0
    assert server.follow("reborn").headers["location"] == "https://example.com/new"


def test_of_many_who_delete_at_once_one_did(server: Server) -> None:
    """One 204, all others 404."""
    code = server.make_link()["code"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.api("DELETE", f"/links/{code}"), range(8)))
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 7


def test_statistics_go_with_their_link(new_server: NewServer) -> None:
    """After a clicked link was deleted, the store has the keys that it had before it was made."""
    server = new_server().start()

    def clicked() -> str:
        code: str = server.make_link()["code"]
        assert server.follow(code).status_code == 302
        assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 1) == 1
        return code

    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    clicked()
    before = {key for key in store.keys() if key[:2] in (b"l:", b"t:", b"q:", b"d:")}
    code = clicked()
    during = {key for key in store.keys() if key[:2] in (b"l:", b"t:", b"q:", b"d:")}
    assert server.api("DELETE", f"/links/{code}").status_code == 204
    after = {key for key in store.keys() if key[:2] in (b"l:", b"t:", b"q:", b"d:")}
    store.close()
    assert len(during) == len(before) + 4
    assert after == before
