"""The list of links: `GET /api/v1/links`, newest first, page by page."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness import Server

NewServer = Callable[..., Server]
MADE = 60


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[str]]]:
    """A server with 60 links and their codes, newest first; the tests only read."""
    server = Server(tmp_path_factory.mktemp("filled") / "data").start()
    codes = [server.make_link(f"https://example.com/{n}")["code"] for n in range(MADE)]
    yield server, codes[::-1]
    server.stop()


def page(server: Server, **parameters: Any) -> dict[str, Any]:
    answer = server.api("GET", "/links", params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def codes_of(found: dict[str, Any]) -> list[str]:
    return [link["code"] for link in found["links"]]


def walk(server: Server, limit: int, between: Callable[[], object] = lambda: None) -> list[str]:
    """The codes of all pages; `between` is called after each."""
    codes: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        found = page(server, limit=limit, **cursor)
        codes += codes_of(found)
        if found["next_cursor"] is None:
            return codes
        cursor = {"cursor": found["next_cursor"]}
        between()


def test_an_empty_site_has_an_empty_list(new_server: NewServer) -> None:
    """Every field is there before the first link is."""
    server = new_server().start()
    assert page(server) == {"links": [], "next_cursor": None, "total": 0}


def test_newest_first(filled: tuple[Server, list[str]]) -> None:
    """Links made within one second, too, are in the order in which they were made."""
    server, codes = filled
    assert codes_of(page(server, limit=200)) == codes


def test_an_entry_is_the_link(filled: tuple[Server, list[str]]) -> None:
    """The list answers the same as reading the link."""
    server, codes = filled
    assert page(server, limit=1)["links"] == [server.api("GET", f"/links/{codes[0]}").json()]


def test_a_page_has_fifty_links_unless_told(filled: tuple[Server, list[str]]) -> None:
    """The default of `limit` is 50."""
    server, codes = filled
    found = page(server)
    assert codes_of(found) == codes[:50]
    assert found["next_cursor"] is not None


@pytest.mark.parametrize("limit", [1, 59, 60, 200])
def test_a_page_has_at_most_limit_links(filled: tuple[Server, list[str]], limit: int) -> None:
    """From 1 to 200; there is a cursor exactly when more follow."""
    server, codes = filled
    found = page(server, limit=limit)
    assert codes_of(found) == codes[:limit]
    assert (found["next_cursor"] is None) == (limit >= MADE)


def test_total_counts_all_pages(filled: tuple[Server, list[str]]) -> None:
    """`total` is the same on every page."""
    server, _ = filled
    first = page(server, limit=25)
    second = page(server, limit=25, cursor=first["next_cursor"])
    assert (first["total"], second["total"]) == (MADE, MADE)


@pytest.mark.parametrize("limit", [1, 7, 30, 60])
def test_pages_join_without_gap_or_overlap(filled: tuple[Server, list[str]], limit: int) -> None:
    """Following the cursors gives each link once, also when the last page is full."""
    server, codes = filled
    assert walk(server, limit) == codes


def test_a_cursor_goes_with_another_limit(filled: tuple[Server, list[str]]) -> None:
    """A cursor is a place in the list, whatever the size of the pages."""
    server, codes = filled
    first = page(server, limit=10)
    assert codes_of(page(server, limit=3, cursor=first["next_cursor"])) == codes[10:13]


def test_paging_while_links_are_made(server: Server) -> None:
    """Links made meanwhile shift nothing: each earlier one is reached exactly once."""
    mine = [server.make_link()["code"] for _ in range(20)]
    new: list[str] = []
    reached = walk(server, 9, lambda: new.append(server.make_link()["code"]))
    assert [code for code in reached if code in mine] == mine[::-1]
    assert len(reached) == len(set(reached))
    assert new
    assert not set(new) & set(reached)


def test_a_cursor_outlives_its_link(server: Server) -> None:
    """The link at the end of a page is deleted: the next page goes on behind it."""
    older = [server.make_link()["code"] for _ in range(3)][::-1]
    last = server.make_link()["code"]
    first = page(server, limit=1)
    assert codes_of(first) == [last]
    assert server.api("DELETE", f"/links/{last}").status_code == 204
    assert codes_of(page(server, limit=3, cursor=first["next_cursor"])) == older


def test_deleting_takes_a_link_off_the_list(server: Server) -> None:
    """A deleted link is neither listed nor counted."""
    code = server.make_link()["code"]
    before = page(server, limit=1)
    assert server.api("DELETE", f"/links/{code}").status_code == 204
    after = page(server, limit=1)
    assert codes_of(before) == [code] != codes_of(after)
    assert after["total"] == before["total"] - 1


REFUSED = {
    "limit 0": ("limit=0", "limit"),
    "limit 201": ("limit=201", "limit"),
    "a negative limit": ("limit=-1", "limit"),
    "half a link": ("limit=1.5", "limit"),
    "no number": ("limit=all", "limit"),
    "an empty limit": ("limit=", "limit"),
    "400 digits": (f"limit={'9' * 400}", "limit"),
    "Arabic digits": ("limit=%D9%A3", "limit"),
    "limit twice": ("limit=5&limit=6", "limit"),
    "an empty cursor": ("cursor=", "cursor"),
    "a made-up cursor": ("cursor=abc", "cursor"),
    "a number for a cursor": ("cursor=5", "cursor"),
    "a cursor that is not ASCII": ("cursor=%D9%82", "cursor"),
    "a cursor of 8 kB": (f"cursor={'bjU' * 2700}", "cursor"),
    "an unknown parameter": ("colour=red", "colour"),
    "a misspelt parameter": ("Limit=5", "Limit"),
}


@pytest.mark.parametrize(("query", "field"), REFUSED.values(), ids=REFUSED)
def test_a_query_that_does_not_validate_is_refused(server: Server, query: str, field: str) -> None:
    """422 that names the parameter."""
    answer = server.api("GET", f"/links?{query}")
    assert answer.status_code == 422
    assert [entry["field"] for entry in answer.json()["errors"]] == [field]
