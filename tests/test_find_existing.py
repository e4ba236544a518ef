"""`find_existing`: the oldest live link that equals the request, or a new one, never two."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from shortener import connections, keys
from tests.harness import PATIENCE, Cutting, Server, eventually, private_redis

NewServer = Callable[..., Server]
PAST = {"expires_at": "2020-01-01T00:00:00Z"}


def find(server: Server, url: str, **fields: Any) -> httpx.Response:
    return server.api("POST", "/links", json={"url": url, "find_existing": True} | fields)


def test_the_oldest_equal_link_is_found(server: Server) -> None:
    """200 with the first of several; spelled otherwise, a URL is the same."""
    url = "https://example.com/oldest?q=ä"
    oldest, _ = server.make_link(url), server.make_link(url)
    found = find(server, "https://EXAMPLE.com/x/../oldest?q=%C3%A4")
    assert (found.status_code, found.json()) == (200, oldest)


def test_what_is_not_given_may_differ(server: Server) -> None:
    """A link with a title and tags equals a request for its URL alone."""
    link = server.make_link("https://example.com/given", title="T", tags=["a", "b"], max_clicks=7)
    assert find(server, "https://example.com/given").json() == link
    assert find(server, "https://example.com/given", tags=["A", "b"], max_clicks=7).json() == link


DIFFERENT: dict[str, dict[str, Any]] = {
    "another title": {"title": "Other"},
    "no title": {"title": None},
    "tags in another order": {"tags": ["b", "a"]},
    "another status": {"redirect_status": 307},
    "an alias": {"code": "another-alias"},
    "a longer code": {"code_length": 9},
    "a password": {"password": "secret"},
    "a limit": {"max_clicks": 3},
    "an end": {"expires_at": "2099-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("different", DIFFERENT)
def test_what_is_given_must_equal(server: Server, different: str) -> None:
    """Another value of a given field makes a new link, which the next request finds (but for one
    with a password, which is never found)."""
    url, fields = f"https://example.com/given?{different}", DIFFERENT[different]
    link = server.make_link(url, title="T", tags=["a", "b"])
    new = find(server, url, **fields)
    assert (new.status_code, new.json()["code"] == link["code"]) == (201, False)
    again = find(server, url, **fields)
    assert (again.status_code, again.json()["code"] == new.json()["code"]) == (
        (201, False) if "password" in fields else (200, True)
    )


def test_links_that_lead_nowhere_are_not_found(server: Server) -> None:
    """Expired, used up, deleted, changed to lead elsewhere, or behind a password."""
    url = "https://example.com/dead"
    expired, used, deleted, moved = (server.make_link(url)["code"] for _ in range(4))
    server.make_link(url, password="secret")
    server.api("PATCH", f"/links/{expired}", json=PAST)
    server.api("PATCH", f"/links/{used}", json={"max_clicks": 1})
    assert server.follow(used).status_code == 302
    server.api("DELETE", f"/links/{deleted}")
    server.api("PATCH", f"/links/{moved}", json={"url": "https://example.com/moved"})
    new = find(server, url)
    assert new.status_code == 201
    assert find(server, url).json()["code"] == new.json()["code"]
    assert find(server, "https://example.com/moved").json()["code"] == moved


def test_a_found_link_that_goes_is_made_anew(server: Server) -> None:
    """Right after the link that was made is deleted or changed, a new one is made."""
    for change in ("DELETE", "PATCH"):
        url = f"https://example.com/goes/{change}"
        first = find(server, url).json()["code"]
        assert server.api(change, f"/links/{first}", json=PAST).status_code in (200, 204)
        second = find(server, url)
        assert (second.status_code, second.json()["expires_at"]) == (201, None)
        assert find(server, url).json()["code"] == second.json()["code"]


def test_many_at_once_make_one_link(new_server: NewServer) -> None:
    """Twenty equal requests in the same moment, on two workers, ten times: one link each."""
    server = new_server(WORKERS="2").start()
    with ThreadPoolExecutor(20) as pool:
        for turn in range(10):
            url = f"https://example.com/race/{turn}"
            answers = list(pool.map(lambda _, url=url: find(server, url), range(20)))  # type: ignore[misc]
            assert {answer.json()["code"] for answer in answers} == {answers[0].json()["code"]}
            assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert server.api("GET", "/links").json()["total"] == 10


def test_another_domain_is_another_link(new_server: NewServer) -> None:
    """A link of one domain is not found for another."""
    server = new_server(WORKERS="1", DOMAINS="go.example").start()
    own = find(server, "https://example.com/")
    other = find(server, "https://example.com/", domain="go.example")
    assert (own.status_code, other.status_code) == (201, 201)
    assert find(server, "https://example.com/", domain="go.example").json() == other.json()
    assert find(server, "https://example.com/").json() == own.json()


def test_what_was_found_or_made_leaves_nothing_else(new_server: NewServer) -> None:
    """A claim is let go with the answer; a million links do not leave a million claims."""
    server = new_server(WORKERS="1").start()
    made, found = (find(server, "https://example.com/claimed") for _ in range(2))
    bulk = [{"url": f"https://example.com/{n % 70}", "find_existing": True} for n in range(120)]
    results = server.api("POST", "/links/bulk", json={"links": bulk}).json()["results"]
    assert (made.status_code, found.status_code) == (201, 200)
    assert [result["status"] for result in results] == [201] * 70 + [200] * 50
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    assert list(store.scan_iter("c:*", count=1000)) == []


def test_who_claims_late_finds_what_was_made(new_server: NewServer, tmp_path: Path) -> None:
    """One host has found nothing and is held up; meanwhile another one makes the link, from the
    first look to the last: the first answers that."""
    redis = private_redis(tmp_path / "redis")
    cutting = Cutting(tmp_path / "cutting", Path(redis.url.removeprefix("unix://")))
    try:
        slow = new_server(name="slow", REDIS_URL=cutting.url, WORKERS="1").start()
        quick = new_server(
            name="quick", REDIS_URL=redis.url, WORKERS="1", ADMIN_KEY=slow.key
        ).start()
        cutting.hold = b"'NX', 'EX'"
        with ThreadPoolExecutor(1) as thread:
            late = thread.submit(find, slow, "https://example.com/late")
            assert cutting.held.wait(PATIENCE)
            made = find(quick, "https://example.com/late")
            cutting.go_on.set()
            found = late.result()
        assert (made.status_code, found.status_code) == (201, 200)
        assert found.json()["code"] == made.json()["code"]
        slow.stop()
        quick.stop()
    finally:
        cutting.close()
        redis.stop()


def test_a_link_that_is_used_up_as_it_is_found_is_answered(
    new_server: NewServer, tmp_path: Path
) -> None:
    """Of two in a request one is found, and its last visitor comes while the other is made."""
    redis = private_redis(tmp_path / "redis")
    cutting = Cutting(tmp_path / "cutting", Path(redis.url.removeprefix("unix://")))
    try:
        server = new_server(REDIS_URL=cutting.url, WORKERS="1").start()
        last = server.make_link("https://example.com/last", max_clicks=1)["code"]
        urls = ["https://example.com/last", "https://example.com/other"]
        wishes = {"links": [{"url": url, "find_existing": True} for url in urls]}
        cutting.hold = b"'NX', 'EX'"
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(server.api, "POST", "/links/bulk", json=wishes)
            assert cutting.held.wait(PATIENCE)
            store: Any = connections.sync(redis.url)
            number = json.loads(store.get(keys.link(last)))["n"]
            store.set(keys.uses(keys.bucket(last), number), 1)  # as a visitor does
            cutting.go_on.set()
            answer = asked.result()
        assert answer.status_code == 200, answer.text
        results = answer.json()["results"]
        assert [result["status"] for result in results] == [200, 201]
        assert results[0]["link"]["code"] == last
        server.stop()
    finally:
        cutting.close()
        redis.stop()


# What is asked for, and what becomes of it.
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "elsewhere": ({}, {"url": "https://example.com/elsewhere"}),
    "a password": ({}, {"password": "secret"}),
    "over": ({}, PAST),
    "limited, and used up": ({}, {"max_clicks": 1}),
    "used up": ({"max_clicks": 1}, {"forward_query": False}),
}


@pytest.mark.parametrize(("fields", "change"), CHANGES.values(), ids=CHANGES)
def test_a_claim_leads_to_equal_links_only(
    new_server: NewServer, tmp_path: Path, fields: dict[str, Any], change: dict[str, Any]
) -> None:
    """A request has made its link and is held up before it lets its claim go.  Meanwhile the link
    is changed: the next request makes another one, and its repetition finds that."""
    redis = private_redis(tmp_path / "redis")
    cutting = Cutting(tmp_path / "cutting", Path(redis.url.removeprefix("unix://")))
    try:
        server = new_server(REDIS_URL=cutting.url, WORKERS="1").start()
        url = "https://example.com/held-up"
        cutting.hold = b"KEEPTTL"
        with ThreadPoolExecutor(1) as thread:
            held_up = thread.submit(find, server, url, **fields)
            assert cutting.held.wait(PATIENCE)
            cutting.hold = None
            (link,) = server.api("GET", "/links").json()["links"]
            changed = server.api("PATCH", f"/links/{link['code']}", json=change)
            assert changed.status_code == 200
            server.follow(link["code"])
            second, third = (find(server, url, **fields) for _ in range(2))
            cutting.go_on.set()
            first = held_up.result()  # 503, should it have taken too long
        assert first.status_code in (201, 503)
        assert first.json().get("code", link["code"]) == link["code"] != second.json()["code"]
        assert [answer.status_code for answer in (second, third)] == [201, 200]
        assert second.json()["url"] == url
        assert third.json()["code"] == second.json()["code"]
        server.stop()
    finally:
        cutting.close()
        redis.stop()


def test_a_claim_that_was_left_is_let_go_by_the_next(new_server: NewServer, tmp_path: Path) -> None:
    """Whoever finishes what somebody else has begun leaves no claim: a link that is deleted then
    does not come back with its number."""
    redis = private_redis(tmp_path / "redis")
    cutting = Cutting(tmp_path / "cutting", Path(redis.url.removeprefix("unix://")))
    try:
        server = new_server(REDIS_URL=cutting.url, WORKERS="1").start()
        url, store = "https://example.com/let-go", connections.sync(redis.url)
        cutting.cut_reply_to = b"'NX', 'EX'"
        assert (find(server, url).status_code, cutting.cuts) == (503, 1)
        assert len(list(store.scan_iter("c:*"))) == 1
        first = eventually(lambda: find(server, url), lambda answer: answer.status_code != 503)
        assert first.status_code in (200, 201)  # one that was told 503 may have made it
        assert list(store.scan_iter("c:*")) == []
        code = first.json()["code"]
        assert server.api("DELETE", f"/links/{code}").status_code == 204
        assert find(server, url).json()["code"] != code
        server.stop()
    finally:
        cutting.close()
        redis.stop()


def test_many_links_to_one_address_are_looked_through(server: Server) -> None:
    """The oldest of thirty is found, and so is the one that equals in another field."""
    url = "https://example.com/many"
    links = [server.make_link(url, title=f"{n}") for n in range(30)]
    assert find(server, url).json() == links[0]
    assert find(server, url, title="23").json() == links[23]
    bulk = [{"url": url, "find_existing": True, "title": f"{n}"} for n in range(31)]
    results = server.api("POST", "/links/bulk", json={"links": bulk}).json()["results"]
    assert [result["status"] for result in results] == [200] * 30 + [201]
    assert [result["link"]["code"] for result in results[:30]] == [link["code"] for link in links]
