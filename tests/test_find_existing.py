"""`find_existing`: the oldest live link that equals the request, or a new one, never two."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from shortener import connections, keys
from shortener.links.repository import CHANGE
from tests.harness import PATIENCE, Cutting, Server, eventually, private_redis

NewServer = Callable[..., Server]
PAST = {"expires_at": "2020-01-01T00:00:00Z"}
# What is in the scripts that look, claim and make;
LOOK, CLAIM, MAKE = b"ZRANGEBYLEX", b"'NX', 'EX'", b"MSETNX"
# in a change of a link, and in the end of an entry in the index of addresses.
SWAP = hashlib.sha1(CHANGE.encode(), usedforsecurity=False).hexdigest().encode()
WITHDRAW = b"ZREM\r\n"


@pytest.fixture
def held(new_server: NewServer, tmp_path: Path) -> Iterator[tuple[Server, Server, Cutting]]:
    """Two hosts of one site; what the first one asks of Redis may be held up."""
    redis = private_redis(tmp_path / "redis")
    cutting = Cutting(tmp_path / "cutting", Path(redis.url.removeprefix("unix://")))
    try:
        slow = new_server(name="slow", REDIS_URL=cutting.url, WORKERS="1").start()
        quick = new_server(
            name="quick", REDIS_URL=redis.url, WORKERS="1", ADMIN_KEY=slow.key
        ).start()
        yield slow, quick, cutting
        slow.stop()
        quick.stop()
    finally:
        cutting.close()
        redis.stop()


def find(server: Server, url: str, **fields: Any) -> httpx.Response:
    return server.api("POST", "/links", json={"url": url, "find_existing": True} | fields)


@contextmanager
def held_up(
    cutting: Cutting, step: bytes, ask: Callable[..., httpx.Response], *args: Any, **fields: Any
) -> "Iterator[Future[httpx.Response]]":
    """Ask, and be held up at a step while the `with` lasts; behind it the answer is there."""
    cutting.hold = step
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(ask, *args, **fields)
        try:
            assert cutting.held.wait(PATIENCE)
            cutting.hold = None
            yield asked
        finally:
            cutting.go_on.set()


def entries(store: Any) -> int:
    """How many the index of addresses has."""
    return sum(store.zcard(key) for key in store.scan_iter("x:*", count=1000))


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


def test_those_at_once_that_differ_get_links_of_their_own(new_server: NewServer) -> None:
    """Twenty requests for one address with five titles, on two workers, ten times: five links."""
    server = new_server(WORKERS="2").start()
    with ThreadPoolExecutor(20) as pool:
        for turn in range(10):
            url = f"https://example.com/titles/{turn}"
            answers = list(
                pool.map(lambda n, url=url: find(server, url, title=f"{n % 5}"), range(20))
            )  # type: ignore[misc]
            codes = {(answer.json()["title"], answer.json()["code"]) for answer in answers}
            assert len(codes) == len({code for _, code in codes}) == 5
            assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201] * 5
    assert server.api("GET", "/links").json()["total"] == 50


def test_what_was_found_or_made_leaves_nothing_else(new_server: NewServer) -> None:
    """Nothing is claimed with the answer, and the index of addresses has an entry for each link."""
    server = new_server(WORKERS="1").start()
    made, found = (find(server, "https://example.com/claimed") for _ in range(2))
    bulk = [{"url": f"https://example.com/{n % 70}", "find_existing": True} for n in range(120)]
    results = server.api("POST", "/links/bulk", json={"links": bulk}).json()["results"]
    assert (made.status_code, found.status_code) == (201, 200)
    assert [result["status"] for result in results] == [201] * 70 + [200] * 50
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    assert list(store.scan_iter("c:*", count=1000)) == []
    assert entries(store) == 71


def test_what_is_found_uses_up_no_numbers(new_server: NewServer) -> None:
    """Codes do not grow longer by asking for what is there, save once after many that were new."""
    server = new_server(WORKERS="1").start()
    wishes = [{"url": f"https://example.com/n/{n}", "find_existing": True} for n in range(100)]
    store: Any = connections.sync(f"unix://{server.data_dir}/redis/socket")
    for expected in [201, *[200] * 9]:
        results = server.api("POST", "/links/bulk", json={"links": wishes}).json()["results"]
        assert {result["status"] for result in results} == {expected}
    assert int(store.get(keys.NUMBER)) == 200


def test_a_request_may_have_some_that_are_there(new_server: NewServer) -> None:
    """In any order and of any number, whatever was asked for before."""
    server = new_server(WORKERS="1").start()

    def statuses(*numbers: int) -> list[int]:
        wishes = [{"url": f"https://example.com/m/{n}", "find_existing": True} for n in numbers]
        results = server.api("POST", "/links/bulk", json={"links": wishes}).json()["results"]
        return [result["status"] for result in results]

    assert statuses(*range(20)) == [201] * 20
    assert statuses(*range(20)) == [200] * 20
    assert statuses(*range(10, 40)) == [200] * 10 + [201] * 20
    assert statuses(*range(40)) == [200] * 40
    assert statuses(*range(40, 60), 59, 0) == [201] * 20 + [200] * 2
    assert statuses(60) == [201]
    assert server.api("GET", "/links").json()["total"] == 61


@pytest.mark.parametrize("step", [LOOK, CLAIM, MAKE], ids=["look", "claim", "make"])
def test_who_is_late_finds_what_was_made(held: tuple[Server, Server, Cutting], step: bytes) -> None:
    """One host is held up before it looks, claims or makes anything, and meanwhile another one
    makes the link: the first answers that."""
    slow, quick, cutting = held
    with held_up(cutting, step, find, slow, "https://example.com/late") as late:
        made = find(quick, "https://example.com/late")
    found = late.result()
    assert (made.status_code, found.status_code) == (201, 200)
    assert found.json()["code"] == made.json()["code"]


def test_a_link_that_is_used_up_as_it_is_found_is_answered(
    held: tuple[Server, Server, Cutting],
) -> None:
    """Of two in a request one is found, and its last visitor comes while the other is made."""
    slow, quick, cutting = held
    last = slow.make_link("https://example.com/last", max_clicks=1)["code"]
    urls = ["https://example.com/last", "https://example.com/other"]
    wishes = {"links": [{"url": url, "find_existing": True} for url in urls]}
    with held_up(cutting, MAKE, slow.api, "POST", "/links/bulk", json=wishes) as asked:
        assert quick.follow(last).status_code == 302
    answer = asked.result()
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [200, 201]
    assert results[0]["link"]["code"] == last


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
    held: tuple[Server, Server, Cutting], fields: dict[str, Any], change: dict[str, Any]
) -> None:
    """A request is held up before it makes the link that it claims.  Meanwhile another one makes
    it, and it is changed: the first request makes another one, and its repetition finds that."""
    slow, quick, cutting = held
    url = "https://example.com/held-up"
    with held_up(cutting, MAKE, find, slow, url, **fields) as asked:
        link = find(quick, url, **fields).json()
        changed = quick.api("PATCH", f"/links/{link['code']}", json=change)
        assert changed.status_code == 200
        quick.follow(link["code"])
    first = asked.result()  # 503, should it have taken too long
    second, third = (find(quick, url, **fields) for _ in range(2))
    assert (first.status_code, second.status_code) in ((201, 200), (503, 201))
    assert first.json().get("code") in (second.json()["code"], None)
    assert second.json()["url"] == url
    assert second.json()["code"] not in (link["code"], None)
    assert (third.status_code, third.json()["code"]) == (200, second.json()["code"])


def test_a_claim_that_was_left_is_let_go_by_the_next(held: tuple[Server, Server, Cutting]) -> None:
    """Whoever finishes what somebody else has begun leaves no claim: a link that is deleted then
    does not come back with its number."""
    slow, quick, cutting = held
    url, store = "https://example.com/let-go", connections.sync(quick.settings["REDIS_URL"])
    cutting.cut_reply_to = CLAIM
    assert (find(slow, url).status_code, cutting.cuts) == (503, 1)
    assert len(list(store.scan_iter("c:*"))) == 1
    first = eventually(lambda: find(slow, url), lambda answer: answer.status_code != 503)
    assert first.status_code in (200, 201)  # one that was told 503 may have made it
    assert list(store.scan_iter("c:*")) == []
    code = first.json()["code"]
    assert slow.api("DELETE", f"/links/{code}").status_code == 204
    assert entries(store) == 0
    assert find(slow, url).json()["code"] != code


def test_a_link_that_is_deleted_as_it_is_looked_for_stays_deleted(
    held: tuple[Server, Server, Cutting],
) -> None:
    """A request has found its entry, and before it reads it, it is deleted: it makes another."""
    slow, quick, cutting = held
    url = "https://example.com/going"
    gone = find(quick, url).json()["code"]
    with held_up(cutting, b"MGET", find, slow, url) as asked:
        assert quick.api("DELETE", f"/links/{gone}").status_code == 204
    made = asked.result()
    assert (made.status_code, made.json()["code"] == gone) == (201, False)
    assert quick.follow(gone).status_code == 404
    assert find(quick, url).json()["code"] == made.json()["code"]


def test_who_makes_what_another_one_has_deleted_is_found(
    held: tuple[Server, Server, Cutting],
) -> None:
    """A request is held up before it makes the link that it claims; another one makes it, and it is
    deleted.  The first, which came before that, makes it again, and it is found."""
    slow, quick, cutting = held
    url = "https://example.com/anew"
    with held_up(cutting, MAKE, find, slow, url) as asked:
        code = find(quick, url).json()["code"]
        assert quick.api("DELETE", f"/links/{code}").status_code == 204
    made, found = asked.result(), find(quick, url)
    assert (made.status_code, found.status_code) == (201, 200)
    assert found.json()["code"] == made.json()["code"] == code


def test_a_link_that_is_being_deleted_does_not_come_back(
    held: tuple[Server, Server, Cutting],
) -> None:
    """A deletion is held up before it takes the entry out of the index: the link is not found."""
    slow, quick, cutting = held
    url = "https://example.com/leaving"
    code = find(quick, url).json()["code"]
    with held_up(cutting, WITHDRAW, slow.api, "DELETE", f"/links/{code}") as deleted:
        meanwhile = find(quick, url)
    assert deleted.result().status_code == 204
    after = find(quick, url)
    assert (meanwhile.status_code, meanwhile.json()["code"] == code) == (201, False)
    assert (after.status_code, after.json()["code"]) == (200, meanwhile.json()["code"])


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_link_that_is_there_again_is_found(
    held: tuple[Server, Server, Cutting], method: str
) -> None:
    """A change, or a deletion, is held up before it takes the entry out of the index, and meanwhile
    another host has the link lead there again, or makes one of the same name."""
    slow, quick, cutting = held
    url = "https://example.com/again"
    quick.make_link(url, code="again")
    body = {"json": {"url": f"{url}/elsewhere"}} if method == "PATCH" else {}
    with held_up(cutting, WITHDRAW, slow.api, method, "/links/again", **body) as changed:
        if method == "PATCH":
            assert quick.api("PATCH", "/links/again", json={"url": url}).status_code == 200
        else:
            quick.make_link(url, code="again")
    assert changed.result().is_success
    found = find(quick, url)
    assert (found.status_code, found.json()["code"]) == (200, "again")


def test_a_link_that_two_change_at_once_is_found(held: tuple[Server, Server, Cutting]) -> None:
    """One leads it away and is held up before it takes the entry out; the other one leads it back,
    and is held up before it does so, until the first has taken it out."""
    slow, _, cutting = held
    url, away = "https://example.com/back", "https://example.com/away"
    slow.make_link(url, code="back")
    slow.make_link(url, code="other")
    slow.api("PATCH", "/links/other", json={"url": away})  # the script is known from now on
    cutting.hold, first_goes_on = WITHDRAW, cutting.go_on
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(slow.api, "PATCH", "/links/back", json={"url": away})
        assert cutting.held.wait(PATIENCE)
        cutting.held.clear()
        cutting.hold, cutting.go_on = SWAP, threading.Event()
        second = threads.submit(slow.api, "PATCH", "/links/back", json={"url": url})
        assert cutting.held.wait(PATIENCE)
        cutting.hold = None
        first_goes_on.set()
        assert first.result().status_code == 200
        cutting.go_on.set()
        assert second.result().json()["url"] == url
    found = find(slow, url)
    assert (found.status_code, found.json()["code"]) == (200, "back")


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "again"}], ids=["plain", "with a key"])
def test_a_link_that_comes_to_lead_there_is_found(
    held: tuple[Server, Server, Cutting], headers: dict[str, str]
) -> None:
    """A new link was to have a code that is taken, and is held up before its entry is taken out;
    meanwhile the link with that code is led to the same address."""
    slow, quick, cutting = held
    slow.make_link()  # the key is known from now on
    code = slow.make_link()["code"]
    store, url = connections.sync(quick.settings["REDIS_URL"]), "https://example.com/taken"
    store.decr(keys.NUMBER)  # as by an old backup
    body = {"json": {"url": url}, "headers": headers}
    with held_up(cutting, WITHDRAW, slow.api, "POST", "/links", **body) as asked:
        assert quick.api("PATCH", f"/links/{code}", json={"url": url}).status_code == 200
    made, found = asked.result(), find(quick, url)
    assert (made.status_code, made.json()["code"] == code) == (201, False)
    assert (found.status_code, found.json()["code"]) == (200, code)


def test_records_of_two_imports_make_one_link(held: tuple[Server, Server, Cutting]) -> None:
    """Also one that is over: an import is held up before it makes it, and meanwhile another one
    does."""
    slow, quick, cutting = held
    record = {"type": "link", "url": "https://example.com/over", "expires_at": PAST["expires_at"]}
    body = {"records": [record]}
    with held_up(cutting, MAKE, slow.api, "POST", "/import", json=body) as asked:
        made = quick.api("POST", "/import", json=body).json()
    found = asked.result().json()
    assert (made["created"], found["created"], found["existing"]) == (1, 0, 1)
    assert quick.api("GET", "/links").json()["total"] == 1


def test_a_record_with_a_code_is_no_other_link(new_server: NewServer) -> None:
    """Whatever else leads to its address."""
    server = new_server(WORKERS="1").start()
    url = "https://example.com/coded"
    server.make_link(url)
    record = {"type": "link", "url": url, "code": "promo", "find_existing": True}
    for created, existing in ((1, 0), (0, 1)):
        result = server.api("POST", "/import", json={"records": [record]}).json()
        assert (result["created"], result["existing"], result["errors"]) == (created, existing, [])
    assert server.follow("promo").headers["location"] == url


def test_of_those_that_differ_none_gets_what_another_one_makes(
    held: tuple[Server, Server, Cutting],
) -> None:
    """Two titles and an alias in one request, which is held up before it makes them; another host
    asks for the same and one more, the other way round: nobody else has the alias."""
    slow, quick, cutting = held
    url = "https://example.com/three"
    wishes = [
        {"url": url, "find_existing": True} | wish
        for wish in (
            {"title": "1"},
            {"title": "2"},
            {"code": "promo", "title": "3"},
            {"title": "4"},
        )
    ]
    body, reverse = {"links": wishes[:3]}, {"links": wishes[::-1]}
    with held_up(cutting, MAKE, slow.api, "POST", "/links/bulk", json=body) as asked:
        made = quick.api("POST", "/links/bulk", json=reverse).json()["results"][::-1]
    found = asked.result().json()["results"]
    assert [result["status"] for result in made] == [201] * 4
    assert [result["status"] for result in found] == [200] * 3
    codes = [result["link"]["code"] for result in made]
    assert [result["link"]["code"] for result in found] == codes[:3]
    assert codes[2] == "promo"
    assert quick.api("GET", "/links").json()["total"] == 4


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
