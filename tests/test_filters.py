"""`GET /api/v1/links` with filters, a search and an order: what matches, all of it, once."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness import Server, eventually

NewServer = Callable[..., Server]
DOMAINS = "go.example,kurz.example"

# code, and what else: made in this order, so the last one is the newest
STOCK: list[tuple[str, str, dict[str, Any]]] = [
    ("alpha", "https://example.com/Riyadh/news?x=1", {"title": "Morning", "tags": ["news"]}),
    ("beta", "https://example.org/sport", {"title": "Ein Straßenlauf", "tags": ["sport", "news"]}),
    ("gamma", "https://example.net/%D9%85%D9%82%D8%A7%D9%84", {"tags": ["news", "sport", "x"]}),
    ("delta", "https://example.net/", {"title": 'Say "hi" \\ there', "tags": ["sport"]}),
    ("kilo", "https://example.net/K", {"title": "مقال عن الرياض"}),
    ("alpha", "https://example.net/go", {"domain": "go.example", "tags": ["news"]}),
    ("omega", "https://example.net/kurz", {"domain": "kurz.example"}),
]
ALL = [code for code, _, _ in STOCK][::-1]


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with three domains and the stock."""
    directory = tmp_path_factory.mktemp("stocked") / "data"
    server = Server(directory, DOMAINS=DOMAINS, WORKERS="1").start()
    for code, url, fields in STOCK:
        server.make_link(url, code=code, **fields)
    yield server
    server.stop()


def listed(server: Server, query: str, limit: int = 2) -> tuple[list[str], int]:
    """The codes that a query is answered with, page by page, and the total."""
    codes: list[str] = []
    cursor = ""
    while True:
        answer = server.api("GET", f"/links?limit={limit}&{query}{cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        codes += [link["code"] for link in page["links"]]
        if page["next_cursor"] is None:
            return codes, page["total"]
        cursor = f"&cursor={page['next_cursor']}"


MATCHES: dict[str, tuple[str, list[str]]] = {
    "everything": ("", ALL),
    "oldest first": ("sort=created", ALL[::-1]),
    "a tag": ("tag=news", ["alpha", "gamma", "beta", "alpha"]),
    "a tag in another case": ("tag=NEWS", ["alpha", "gamma", "beta", "alpha"]),
    "a tag, oldest first": ("tag=sport&sort=created", ["beta", "gamma", "delta"]),
    "two tags": ("tag=sport&tag=news", ["gamma", "beta"]),
    "three tags": ("tag=news&tag=x&tag=sport", ["gamma"]),
    "a tag twice": ("tag=sport&tag=sport", ["delta", "gamma", "beta"]),
    "no such tag": ("tag=none", []),
    "tags that never meet": ("tag=x&tag=none", []),
    "a text in the code": ("search=lph", ["alpha", "alpha"]),
    "a text in the URL, in another case": ("search=rIYADH", ["alpha"]),
    "a text in the query of the URL": ("search=x%3D1", ["alpha"]),
    "a text in the title": ("search=morning", ["alpha"]),
    "a text that case folds longer": ("search=STRASSE", ["beta"]),
    "a quote": ("search=%22hi%22", ["delta"]),
    "a backslash": ("search=%5C", ["delta"]),
    "a text in Arabic, also where a URL encodes it": ("search=مقال", ["kilo", "gamma"]),
    "an encoded text as it is": ("search=%25d9%2585", ["gamma"]),
    "a text in nothing but the record's own words": ("search=%22tg%22", []),
    "no text": ("search=", ALL),
    "a text that only all three together have": ("search=alpha%20https", []),
    "a text and a tag": ("search=example.net&tag=news", ["alpha", "gamma"]),
    "a text, a tag, oldest first": (
        "search=example.net&tag=sport&sort=created",
        ["gamma", "delta"],
    ),
    "the default domain": ("domain=127.0.0.1", ["kilo", "delta", "gamma", "beta", "alpha"]),
    "another domain": ("domain=go.example", ["alpha"]),
    "another domain with its port": ("domain=GO.example:8000", ["alpha"]),
    "another domain and a text": ("domain=kurz.example&search=example.net", ["omega"]),
    "another domain and a tag": ("domain=go.example&tag=news", ["alpha"]),
    "made after a time long ago": ("created_after=2020-01-01T00:00:00Z", ALL),
    "made before a time long ago": ("created_before=2020-01-01T00:00:00%2B03:00", []),
    "made in a time to come": ("created_after=2199-01-01T00:00:00Z", []),
    "made before then, with a text": ("created_before=2199-01-01T00:00:00Z&search=kilo", ["kilo"]),
    "made in time, with a tag": (
        "created_after=2020-01-01T00:00:00Z&created_before=2199-01-01T00:00:00Z&tag=x",
        ["gamma"],
    ),
}


@pytest.mark.parametrize(("query", "codes"), MATCHES.values(), ids=MATCHES)
def test_a_filter_finds_what_matches(stocked: Server, query: str, codes: list[str]) -> None:
    """All that match, in order, over several pages; `total` counts them."""
    assert listed(stocked, query) == (codes, len(codes))


REFUSED: dict[str, tuple[str, str]] = {
    "sort: unknown": ("sort=name", "sort"),
    "sort: empty": ("sort=", "sort"),
    "sort: twice": ("sort=created&sort=created", "sort"),
    "tag: empty": ("tag=", "tag"),
    "tag: too long": ("tag=" + "t" * 65, "tag"),
    "tag: too many": ("&".join(f"tag={n}" for n in range(21)), "tag"),
    "search: too long": ("search=" + "s" * 257, "search"),
    "search: control character": ("search=a%0ab", "search"),
    "domain: not ours": ("domain=example.com", "domain"),
    "created_after: a date": ("created_after=2026-01-01", "created_after"),
    "created_after: no time": ("created_after=then", "created_after"),
    "created_before: without offset": ("created_before=2026-01-01T00:00:00", "created_before"),
    "cursor: of another order": ("sort=created&cursor=bjU", "cursor"),
    "cursor: by clicks, without them": ("sort=-clicks&cursor=YzU", "cursor"),
}


@pytest.mark.parametrize(("query", "field"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked_is_refused(stocked: Server, query: str, field: str) -> None:
    """422 that names the parameter."""
    answer = stocked.api("GET", f"/links?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_change_moves_a_link_between_filters(new_server: NewServer) -> None:
    """New tags, title and URL are found at once, and the old ones no more."""
    server = new_server(WORKERS="1").start()
    server.make_link("https://example.com/before", code="moving", tags=["old", "both"], title="Old")
    changed = {"tags": ["both", "new"], "title": "New", "url": "https://example.com/after"}
    assert server.api("PATCH", "/links/moving", json=changed).status_code == 200
    for gone in ("tag=old", "search=before", "search=old"):
        assert listed(server, gone) == ([], 0), gone
    for found in ("tag=new", "tag=both", "search=after", "search=NEW"):
        assert listed(server, found) == (["moving"], 1), found
    assert server.api("DELETE", "/links/moving").status_code == 204
    for gone in ("tag=new", "tag=both", "search=after", ""):
        assert listed(server, gone) == ([], 0), gone


def test_the_most_clicked_come_first(new_server: NewServer) -> None:
    """`-clicks` is exact: by clicks, equal ones and those without any newest first; also with a
    filter, and on every page."""
    server = new_server(WORKERS="1").start()
    clicks = {"one": 1, "none": 0, "three": 3, "also-one": 1, "also-none": 0, "two": 2, "uno": 1}
    for code in clicks:
        server.make_link(code=code, tags=["o"] if "o" in code else [])
    for code, count in clicks.items():
        for _ in range(count):
            assert server.follow(code).status_code == 302
    for code, count in clicks.items():  # not in the same step as each other or as the site
        assert (
            eventually(lambda c=code: server.clicks(c), lambda found, n=count: found == n) == count
        )
    ordered = ["three", "two", "uno", "also-one", "one", "also-none", "none"]
    assert listed(server, "sort=-clicks") == (ordered, 7)
    tagged = [code for code in ordered if "o" in code]
    assert listed(server, "sort=-clicks&tag=o") == (tagged, len(tagged))
    assert listed(server, "sort=-clicks&search=one") == (
        ["also-one", "one", "also-none", "none"],
        4,
    )
    server.api("DELETE", "/links/two")
    assert listed(server, "sort=-clicks") == ([code for code in ordered if code != "two"], 6)


def test_a_search_reaches_every_link_once_while_links_are_made(new_server: NewServer) -> None:
    """Who pages through a search while others make and delete links sees each that was there before
    and stays, once."""
    server = new_server(WORKERS="2").start()
    kept = [server.make_link(title=f"wanted {n}")["code"] for n in range(60)]
    doomed = [server.make_link(title="wanted, not for long")["code"] for n in range(60)]
    stop = threading.Event()

    def disturb() -> None:
        while doomed and not stop.is_set():
            server.make_link(title="wanted too")
            server.api("DELETE", f"/links/{doomed.pop()}")

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for query in ("search=wanted", "search=wanted&sort=created", "search=wanted&sort=-clicks"):
            codes, _ = listed(server, query, limit=7)
            assert len(set(codes)) == len(codes)
            assert set(kept) <= set(codes), query
    finally:
        stop.set()
        thread.join()
