"""`GET /api/v1/links`: newest first, in pages that neither skip nor repeat a link."""

import base64
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shortener import keys
from tests.harness import Server

NewServer = Callable[..., Server]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[str]]]:
    """A server with 205 links, and their codes from the newest to the oldest."""
    server = Server(tmp_path_factory.mktemp("many") / "data", WORKERS="1").start()
    codes = [server.make_link(f"https://example.com/{n}")["code"] for n in range(205)]
    yield server, codes[::-1]
    server.stop()


def ask(server: Server, **params: Any) -> dict[str, Any]:
    """A page of the list."""
    answer = server.api("GET", "/links", params=params)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def pages(server: Server, limit: int) -> Iterator[list[str]]:
    """The codes of each page, from the first to the last."""
    params: dict[str, Any] = {"limit": limit}
    seen: set[str | None] = set()
    while True:
        page = ask(server, **params)
        assert len(page["links"]) <= limit
        yield [link["code"] for link in page["links"]]
        if page["next_cursor"] is None:
            return
        params["cursor"] = page["next_cursor"]
        assert params["cursor"] not in seen
        seen.add(params["cursor"])


def test_a_new_site_has_an_empty_list(new_server: NewServer) -> None:
    """No links, no next page, a total of zero."""
    server = new_server(WORKERS="1").start()
    assert ask(server) == {"links": [], "next_cursor": None, "total": 0}


def test_links_that_are_kept_together_are_paged_too(new_server: NewServer) -> None:
    """A site whose links all lie in one bucket of the store is listed to its end."""
    server = new_server(WORKERS="1").start()
    codes = [f"together-{n}" for n in range(400)]
    chosen = [code for code in codes if keys.bucket(code) == keys.bucket(codes[0])][:6]
    for code in chosen:
        server.make_link(code=code)
    assert list(pages(server, 2)) == [chosen[:3:-1], chosen[3:1:-1], chosen[1::-1]]


def test_the_newest_link_comes_first(server: Server) -> None:
    """Links are in the reverse of the order they were made in, aliases among codes."""
    made = [
        server.make_link()["code"],
        server.make_link(code="list-alias")["code"],
        server.make_link(code_length=12)["code"],
    ]
    assert [link["code"] for link in ask(server, limit=3)["links"]] == made[::-1]


def test_a_listed_link_is_the_link(server: Server) -> None:
    """An entry has every field that the link has when it is read alone."""
    code = server.make_link(title="T", tags=["a", "b"], expires_at="2099-01-01T00:00:00Z")["code"]
    (entry,) = ask(server, limit=1)["links"]
    assert entry == server.api("GET", f"/links/{code}").json()


def test_without_a_limit_a_page_has_fifty(many: tuple[Server, list[str]]) -> None:
    """The newest fifty, and where to go on."""
    server, codes = many
    page = ask(server)
    assert [link["code"] for link in page["links"]] == codes[:50]
    assert page["next_cursor"]


def test_the_total_counts_all_links(many: tuple[Server, list[str]]) -> None:
    """`total` is the same on every page, whatever the limit."""
    server, codes = many
    first = ask(server, limit=200)
    last = ask(server, limit=200, cursor=first["next_cursor"])
    assert [first["total"], last["total"], ask(server, limit=1)["total"]] == [len(codes)] * 3


def test_the_total_follows_creation_and_deletion(server: Server) -> None:
    """One more with a new link, one less without it."""
    before = ask(server, limit=1)["total"]
    code = server.make_link()["code"]
    assert ask(server, limit=1)["total"] == before + 1
    server.api("DELETE", f"/links/{code}")
    assert ask(server, limit=1)["total"] == before


@pytest.mark.parametrize("limit", [1, 41, 50, 200])
def test_pages_are_the_whole_list(many: tuple[Server, list[str]], limit: int) -> None:
    """One after the other they have every link once, in order; all but the last are full."""
    server, codes = many
    found = list(pages(server, limit))
    assert [code for page in found for code in page] == codes
    assert {len(page) for page in found[:-1]} == {limit}


def test_a_list_that_fits_has_no_next_page(many: tuple[Server, list[str]]) -> None:
    """The page that ends with the oldest link says so, also when it is just full."""
    server, codes = many
    rest = ask(server, limit=200)["next_cursor"]
    page = ask(server, limit=5, cursor=rest)
    assert [link["code"] for link in page["links"]] == codes[200:]
    assert page["next_cursor"] is None


def test_a_cursor_outlives_its_link(server: Server) -> None:
    """The link at the end of a page is deleted: the next page begins behind it all the same."""
    codes = [server.make_link()["code"] for _ in range(4)][::-1]
    page = ask(server, limit=2)
    server.api("DELETE", f"/links/{codes[1]}")
    following = ask(server, limit=2, cursor=page["next_cursor"])
    assert [link["code"] for link in following["links"]] == codes[2:]


def test_paging_while_others_write_reaches_each_link_once(new_server: NewServer) -> None:
    """While other links are made and deleted, a link that was there before and stays is on exactly
    one page, and none is on two."""
    server = new_server(WORKERS="2").start()
    both = [[server.make_link()["code"] for _ in range(2)] for _ in range(60)]
    kept, doomed = [codes[0] for codes in both], [codes[1] for codes in both]
    stop = threading.Event()

    def create() -> int:
        made = 0
        while not stop.is_set():
            server.make_link()
            made += 1
        return made

    def delete() -> list[int]:
        return [server.api("DELETE", f"/links/{code}").status_code for code in doomed]

    passes: list[list[str]] = []
    with ThreadPoolExecutor(4) as threads:
        creating = [threads.submit(create) for _ in range(2)]
        deleting = threads.submit(delete)
        try:
            while not deleting.done() or len(passes) < 3:
                passes.append([code for page in pages(server, 7) for code in page])
        finally:
            stop.set()
    assert all(made.result() for made in creating)
    assert deleting.result() == [204] * len(doomed)
    for reached in passes:
        assert len(set(reached)) == len(reached)
        assert [code for code in reached if code in kept] == kept[::-1]


def forged(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


REFUSED: dict[str, tuple[str, str]] = {
    "limit: none at all": ("limit=0", "limit"),
    "limit: too many": ("limit=201", "limit"),
    "limit: negative": ("limit=-1", "limit"),
    "limit: a fraction": ("limit=1.5", "limit"),
    "limit: no number": ("limit=many", "limit"),
    "limit: empty": ("limit=", "limit"),
    "limit: digits of another script": ("limit=%D9%A1", "limit"),
    "limit: far too long": ("limit=" + "9" * 500, "limit"),
    "cursor: empty": ("cursor=", "cursor"),
    "cursor: no base64": ("cursor=!!!", "cursor"),
    "cursor: a letter alone": ("cursor=n", "cursor"),
    "cursor: not ASCII": ("cursor=%C3%A9", "cursor"),
    "cursor: forged, a bare number": ("cursor=" + forged(b"5"), "cursor"),
    "cursor: forged, a negative number": ("cursor=" + forged(b"n-5"), "cursor"),
    "cursor: forged, infinity": ("cursor=" + forged(b"ninf"), "cursor"),
    "cursor: forged, a bracket": ("cursor=" + forged(b"n(5"), "cursor"),
    "cursor: forged, a huge number": ("cursor=" + forged(b"n" + b"9" * 400), "cursor"),
    "cursor: forged, bytes": ("cursor=" + forged(b"\xff\x00"), "cursor"),
    "unknown": ("page=2", "page"),
    "unknown, in upper case": ("LIMIT=2", "LIMIT"),
    "limit: repeated": ("limit=1&limit=1", "limit"),
    "cursor: repeated": (f"cursor={forged(b'n5')}&cursor={forged(b'n5')}", "cursor"),
}


@pytest.mark.parametrize(("query", "field"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked_is_refused(server: Server, query: str, field: str) -> None:
    """422 that names the parameter."""
    answer = server.api("GET", f"/links?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/-/errors#invalid"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
