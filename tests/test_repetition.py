"""Requests that are sent again, or twice at once, make their links once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from shortener import connections, keys
from tests.harness import Cutting, Server, eventually, private_redis

NewServer = Callable[..., Server]


def post(server: Server, key: str, path: str = "/links", **body: Any) -> httpx.Response:
    """Make links with an `Idempotency-Key`."""
    body = body or {"url": "https://example.com/"}
    return server.api("POST", path, json=body, headers={"Idempotency-Key": key})


def total(server: Server, **query: Any) -> int:
    return int(server.api("GET", "/links", params=query).json()["total"])


@pytest.mark.parametrize("fields", [{}, {"code_length": 16}, {"code": "repeated"}], ids=str)
def test_the_same_key_gets_the_same_link(server: Server, fields: dict[str, Any]) -> None:
    """201, then 200 with the link as it is now."""
    body = {"url": "https://example.com/same"} | fields
    first, second = (post(server, f"same {fields}", **body) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    server.api("PATCH", f"/links/{first.json()['code']}", json={"title": "Later"})
    assert post(server, f"same {fields}", **body).json()["title"] == "Later"


def test_another_body_is_refused(server: Server) -> None:
    """422 that names the header; nothing is made."""
    post(server, "body", url="https://example.com/1")
    before = total(server)
    answer = post(server, "body", url="https://example.com/2")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert total(server) == before


def test_keys_belong_to_who_uses_them(server: Server) -> None:
    """The same text from another API key is another request."""
    other = server.api("POST", "/keys", json={"name": "o", "scopes": ["links:write"]}).json()["key"]
    mine = post(server, "mine").json()
    headers = {"Idempotency-Key": "mine", "Authorization": f"Bearer {other}"}
    answer = server.api("POST", "/links", json={"url": "https://example.com/"}, headers=headers)
    assert (answer.status_code, answer.json()["code"] == mine["code"]) == (201, False)


def test_what_was_deleted_stays_deleted(server: Server) -> None:
    """A late repetition brings nothing back, also when the name is another's by now."""
    body = {"url": "https://example.com/", "code": "deleted-again"}
    assert post(server, "deleted", **body).status_code == 201
    server.api("DELETE", "/links/deleted-again")
    assert post(server, "deleted", **body).status_code == 404
    server.make_link("https://example.com/other", code="deleted-again")
    assert post(server, "deleted", **body).status_code == 404


def test_many_at_once_make_one_link(new_server: NewServer) -> None:
    """Twenty equal requests with one key, on two workers: one is 201, all are the same link."""
    server = new_server(WORKERS="2").start()
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(
                lambda _: post(server, "race", code_length=10, url="https://e.com/"), range(20)
            )
        )
    assert {answer.json()["code"] for answer in answers} == {answers[0].json()["code"]}
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert total(server) == 1


def test_a_bulk_request_again_makes_nothing_new(server: Server) -> None:
    """The same links in the same order; what failed is tried again."""
    links = [{"url": f"https://example.com/{n}", "code_length": 5 + n} for n in range(6)]
    links.append({"url": "https://example.com/", "code": "bulk-again"})
    blocker = server.make_link("https://example.com/blocker", code="bulk-again")
    first = post(server, "bulk", "/links/bulk", links=links).json()["results"]
    assert [result["status"] for result in first] == [201] * 6 + [409]
    second = post(server, "bulk", "/links/bulk", links=links).json()["results"]
    assert [result["status"] for result in second] == [200] * 6 + [409]
    assert [r["link"] for r in first[:6]] == [r["link"] for r in second[:6]]
    server.api("DELETE", f"/links/{blocker['code']}")


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "a\tb"], ids=ascii)
def test_a_key_that_is_none_is_refused(server: Server, key: str) -> None:
    """1 to 255 printable ASCII characters."""
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    answer = server.api("POST", "/links", json={"url": "https://example.com/"}, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_a_key_is_forgotten_after_a_day(server: Server) -> None:
    """The claim expires in the store within 24 hours."""
    post(server, "expiry")
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    claims = list(store.scan_iter("c:*", count=1000))
    assert claims
    assert all(0 < store.ttl(claim) <= 24 * 3600 for claim in claims)


CUTS: dict[str, tuple[bytes, dict[str, Any], dict[str, str]]] = {
    "the record, with a key": (b"MSETNX", {}, {"Idempotency-Key": "cut"}),
    "the index, with a key": (b"ZADD", {"code_length": 9}, {"Idempotency-Key": "cut"}),
    "the record of an alias": (b"MSETNX", {"code": "cut"}, {}),
    "the record, with find_existing": (b"MSETNX", {"find_existing": True}, {}),
    "the index, with find_existing": (b"ZADD", {"find_existing": True}, {}),
}


@pytest.mark.parametrize(("command", "fields", "headers"), CUTS.values(), ids=CUTS)
def test_a_lost_reply_makes_one_link(
    new_server: NewServer,
    tmp_path: Path,
    command: bytes,
    fields: dict[str, Any],
    headers: dict[str, str],
) -> None:
    """The reply of Redis is lost after its effect: 503; the same request again gets the one link
    that was made."""
    redis = private_redis(tmp_path / "redis")
    cutting = Cutting(tmp_path / "cutting", Path(redis.url.removeprefix("unix://")))
    try:
        server = new_server(REDIS_URL=cutting.url, WORKERS="1").start()
        connections.sync(redis.url).script_flush()  # so the script's text goes over the wire
        cutting.cut_reply_to = command
        body = {"url": "https://example.com/cut"} | fields
        lost = server.api("POST", "/links", json=body, headers=headers)
        assert (lost.status_code, cutting.cuts) == (503, 1)
        again = eventually(
            lambda: server.api("POST", "/links", json=body, headers=headers),
            lambda answer: answer.status_code != 503,
        )
        assert again.status_code in (200, 201)
        assert total(server) == 1
        names = connections.sync(redis.url).zcard(keys.index(keys.bucket(again.json()["code"])))
        assert names == 1
        server.stop()
    finally:
        cutting.close()
        redis.stop()
