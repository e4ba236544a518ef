"""`POST /api/v1/links/bulk`: up to a thousand links in one request, each for itself."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shortener import connections, keys
from tests.harness import Server

NewServer = Callable[..., Server]


def bulk(server: Server, *links: Any, **more: Any) -> httpx.Response:
    return server.api("POST", "/links/bulk", json={"links": list(links)}, **more)


def test_each_item_is_answered_in_order(server: Server) -> None:
    """New links are 201, repeated aliases 200; one that cannot be is an error alone."""
    server.make_link(code="bulk-taken", title="Other")
    answer = bulk(
        server,
        {"url": "https://example.com/1", "title": "One", "tags": ["bulk"]},
        {"url": "javascript:alert(1)"},
        {"url": "https://example.com/2", "code": "bulk-taken"},
        {"url": "https://example.com/3", "code": "bulk-alias"},
        {"url": "https://example.com/3", "code": "bulk-alias"},
        {"url": "https://example.com/4", "colour": "red"},
        "https://example.com/5",
        {"url": "https://example.com/6", "code_length": 12},
    )
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 422, 409, 201, 200, 422, 422, 201]
    assert [result["error"]["type"] for result in results if "error" in result] == [
        "/-/errors#invalid",
        "/-/errors#code-taken",
        "/-/errors#invalid",
        "/-/errors#invalid",
    ]
    assert results[1]["error"]["errors"][0]["field"] == "url"
    assert results[5]["error"]["errors"][0]["field"] == "colour"
    one = results[0]["link"]
    assert server.api("GET", f"/links/{one['code']}").json() == one
    assert (one["title"], one["tags"]) == ("One", ["bulk"])
    assert results[3]["link"] == results[4]["link"]
    assert len(results[7]["link"]["code"]) == 12
    assert server.follow("bulk-alias").headers["location"] == "https://example.com/3"


def test_an_alias_is_given_once(server: Server) -> None:
    """Of items that want one alias the first gets it, and an alias that is another link's already
    is refused; all others of the request are made, and are listed."""
    server.make_link(code="once-7", url="https://example.com/before")
    aliases = [f"once-{n}" for n in range(100)] + ["once-50", "once-51"]
    items = [
        {"url": f"https://example.com/once/{place}", "code": alias, "tags": ["once"]}
        for place, alias in enumerate(aliases)
    ]
    results = bulk(server, *items).json()["results"]
    statuses = [result["status"] for result in results]
    assert [place for place, status in enumerate(statuses) if status != 201] == [7, 100, 101]
    assert {statuses[7], statuses[100], statuses[101]} == {409}
    assert server.follow("once-50").headers["location"] == "https://example.com/once/50"
    assert server.follow("once-7").headers["location"] == "https://example.com/before"
    listed = server.api("GET", "/links", params={"search": "/once/", "limit": 200}).json()
    tagged = server.api("GET", "/links", params={"tag": "once", "limit": 200}).json()
    made = [item["url"] for item, status in zip(items, statuses, strict=True) if status == 201]
    for found in (listed, tagged):
        assert found["total"] == 99
        assert [link["url"] for link in found["links"]] == made[::-1]


def test_what_is_broken_takes_nothing_from_others(new_server: NewServer) -> None:
    """Under one of many aliases lies something that is no link: the request fails, also when it is
    repeated, and what was made of it is whole, with all its tags."""
    server = new_server(WORKERS="1").start()
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    aliases = [f"whole-{n}" for n in range(100)]
    store.hset(keys.link(aliases[50]), "no", "link")
    items = [{"url": "https://example.com/", "code": alias, "tags": ["whole"]} for alias in aliases]
    assert [bulk(server, *items).status_code for _ in range(2)] == [500, 500]
    store.delete(keys.link(aliases[50]))
    assert bulk(server, *items).status_code == 200
    whole = {"tag": "whole", "links": 100, "clicks": 0}
    assert whole in server.api("GET", "/tags").json()["tags"]
    listed = server.api("GET", "/links", params={"tag": "whole", "limit": 200}).json()
    assert {link["code"] for link in listed["links"]} == set(aliases)


def test_a_thousand_links_at_once(server: Server) -> None:
    """All are made, their codes differ, and the newest ones head the list."""
    urls = [f"https://example.com/bulk/{n}" for n in range(1000)]
    results = bulk(server, *({"url": url} for url in urls)).json()["results"]
    assert [result["link"]["url"] for result in results] == urls
    codes = [result["link"]["code"] for result in results]
    assert len(set(codes)) == 1000
    found = server.api("GET", "/links", params={"search": "/bulk/", "limit": 200}).json()
    assert found["total"] == 1000
    assert [link["code"] for link in found["links"]] == codes[:-201:-1]


def test_equal_items_find_each_other(server: Server) -> None:
    """With `find_existing` two equal items of one request are one link."""
    wish = {"url": "https://example.com/bulk-equal", "find_existing": True}
    results = bulk(server, wish, wish, wish | {"title": "Another"}).json()["results"]
    codes = [result["link"]["code"] for result in results]
    assert codes[0] == codes[1]
    assert codes[2] != codes[0]
    assert sorted(result["status"] for result in results) == [200, 201, 201]


def test_passwords_are_bounded(server: Server) -> None:
    """They are slow to hash: more than twenty in one request are refused, the others made."""
    wish = {"url": "https://example.com/", "password": "secret"}
    statuses = [result["status"] for result in bulk(server, *[wish] * 22).json()["results"]]
    assert statuses == [201] * 20 + [422] * 2


REFUSED: dict[str, tuple[Any, str]] = {
    "no links": ({"links": []}, "links"),
    "too many links": ({"links": [{}] * 1001}, "links"),
    "not a list": ({"links": {}}, "links"),
    "nothing": ({}, "links"),
    "something else": ({"links": [{"url": "https://example.com/"}], "more": 1}, "more"),
}


@pytest.mark.parametrize(("body", "field"), REFUSED.values(), ids=REFUSED)
def test_a_request_that_is_none_is_refused(server: Server, body: Any, field: str) -> None:
    """422 as a whole, naming the field."""
    answer = server.api("POST", "/links/bulk", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_it_needs_the_scope(server: Server) -> None:
    """A key that may only read makes none."""
    key = server.api("POST", "/keys", json={"name": "r", "scopes": ["links:read"]}).json()["key"]
    answer = bulk(
        server, {"url": "https://example.com/"}, headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 403
