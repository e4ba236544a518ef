"""Limits: who asks too often waits, nobody else does, and the answer says for how long."""

import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from shortener import connections
from shortener.embedded import socket_path
from shortener.gauges import Counters
from shortener.limits import LIMITS, MAX_COUNTED, Limits
from tests.harness import NO_TLS, Server, private_redis

NewServer = Callable[..., Server]
FREE = int(LIMITS["unknown"].rate.partition("/")[0])  # a minute and network; keys have as many
MADE_UP = "sk_" + "a" * 38


def new_key(server: Server, *scopes: str) -> str:
    body = {"name": "x", "scopes": list(scopes)}
    key: str = server.api("POST", "/keys", json=body).json()["key"]
    return key


def create(server: Server, key: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return server.api("POST", "/links", json={"url": "https://example.com/"}, headers=headers)


def assert_refused(answer: httpx.Response, problem: str, policy: str) -> None:
    """A 429 that says what the limit is, that nothing remains, and when to come back."""
    assert (answer.status_code, answer.json()["type"]) == (429, f"/-/errors#{problem}")
    assert answer.headers["ratelimit-policy"] == policy
    name = policy.partition(";")[0]
    match = re.fullmatch(rf"{name};r=0;t=(\d+)", answer.headers["ratelimit"])
    assert match, answer.headers["ratelimit"]
    assert 1 <= int(match[1]) <= 60
    assert answer.headers["retry-after"] == match[1]


def test_a_key_makes_so_many_links(new_server: NewServer) -> None:
    """The answers count down; at the end it is 429, for this key alone; `admin` is exempt."""
    server = new_server(RATE_LIMIT="5/minute", WORKERS="1").start()
    key = new_key(server, "links:write")
    remaining = []
    for _ in range(5):
        answer = create(server, key)
        assert answer.status_code == 201
        assert answer.headers["ratelimit-policy"] == '"creation";q=5;w=60'
        remaining.append(answer.headers["ratelimit"].split(";")[1])
    assert remaining == ["r=4", "r=3", "r=2", "r=1", "r=0"]
    assert_refused(create(server, key), "rate-limited", '"creation";q=5;w=60')
    assert create(server, new_key(server, "links:write")).status_code == 201
    for _ in range(7):
        answer = create(server, server.key)
        assert answer.status_code == 201
        assert "ratelimit" not in answer.headers
    reading = server.api("GET", "/links", headers={"Authorization": f"Bearer {key}"})
    assert reading.status_code == 200


def test_a_request_that_fails_counts_as_well(new_server: NewServer) -> None:
    """And its answer says how the limit stands."""
    server = new_server(RATE_LIMIT="2/hour", WORKERS="1").start()
    headers = {"Authorization": f"Bearer {new_key(server, 'links:write')}"}
    answers = [server.api("POST", "/links", json={}, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [422, 422, 429]
    assert answers[0].headers["ratelimit-policy"] == '"creation";q=2;w=3600'


def test_workers_count_a_key_together(new_server: NewServer) -> None:
    """Many requests at once on two workers make as many links as the limit says, exactly."""
    server = new_server(RATE_LIMIT="20/hour", WORKERS="2").start()
    key = new_key(server, "links:write")
    url, headers = f"{server.address}/api/v1/links", {"Authorization": f"Bearer {key}"}
    sent = {"json": {"url": "https://example.com/"}, "headers": headers, "verify": NO_TLS}
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(httpx.post, url, **sent) for _ in range(40)]
    assert Counter(call.result().status_code for call in calls) == {201: 20, 429: 20}


def test_without_a_limit_nothing_is_said(new_server: NewServer) -> None:
    """`off` lets a key make links as it likes."""
    server = new_server(RATE_LIMIT="off", WORKERS="1").start()
    answer = create(server, new_key(server, "links:write"))
    assert answer.status_code == 201
    assert "ratelimit-policy" not in answer.headers


def test_while_redis_is_away_a_limited_key_makes_nothing(new_server: NewServer) -> None:
    """What cannot be counted is not let through: 503."""
    server = new_server(WORKERS="1").start()
    key = new_key(server, "links:write")
    assert create(server, key).status_code == 201
    (redis,) = server.pids("valkey")
    os.kill(redis, signal.SIGSTOP)
    try:
        assert create(server, key).status_code == 503
    finally:
        os.kill(redis, signal.SIGCONT)


@pytest.fixture
def proxied(new_server: NewServer) -> Server:
    """A server with one worker behind a proxy: the tests are the proxy and choose addresses."""
    return new_server(TRUSTED_PROXIES="1", WORKERS="1").start()


def ask(server: Server, address: str, times: int) -> Counter[int]:
    """Ask for codes that are none."""
    visit = {"X_Forwarded_For": address}
    return Counter(server.follow(f"none{n:06d}", **visit).status_code for n in range(times))


def test_who_tries_codes_is_stopped(proxied: Server) -> None:
    """Unknown codes turn from 404 to 429 for one address; known ones still redirect for it, and
    for others nothing changes.  Redis is not asked to count."""
    code = proxied.make_link()["code"]
    assert ask(proxied, "192.0.2.1", FREE + 30) == {404: FREE, 429: 30}
    visit = {"X_Forwarded_For": "192.0.2.1"}
    policy = f'"unknown";q={FREE};w=60'
    assert_refused(proxied.follow("none", **visit), "too-many-tries", policy)
    page = proxied.follow("none", Accept="text/html", **visit)
    assert (page.status_code, page.headers["content-type"][:9]) == (429, "text/html")
    assert proxied.follow(code, **visit).status_code == 302
    assert ask(proxied, "192.0.2.2", 3) == {404: 3}
    store = connections.sync(f"unix://{socket_path(proxied.data_dir)}")
    assert list(store.scan_iter("LIMITS*")) == []
    store.close()


def test_previews_are_no_way_around(proxied: Server) -> None:
    """Codes tried with a + count as codes."""
    visit = {"X_Forwarded_For": "192.0.2.1"}
    tried = Counter(proxied.follow(f"none{n:06d}+", **visit).status_code for n in range(FREE + 5))
    assert tried == {404: FREE, 429: 5}
    assert ask(proxied, "192.0.2.1", 2) == {429: 2}
    code = proxied.make_link()["code"]
    assert proxied.follow(f"{code}+", **visit).status_code == 200


def test_a_network_of_ipv6_counts_as_one(proxied: Server) -> None:
    """Addresses of one /64 share a limit, in whatever spelling; the next /64 has its own."""
    for last in range(FREE // 50):
        assert ask(proxied, f"2001:db8:0:1::{last + 1:x}", 50) == {404: 50}
    assert ask(proxied, "[2001:0DB8:0000:0001:ffff::9]:4711", 2) == {429: 2}
    assert ask(proxied, "2001:db8:0:2::1", 2) == {404: 2}


def test_who_tries_keys_is_stopped(proxied: Server) -> None:
    """Keys that are none turn from 401 to 429 for one address; a key that works is not locked out
    there once it was let in, and other addresses are not at all."""
    admin = proxied.key
    url = "/api/v1/links"

    def call(key: str, address: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": address}
        return proxied.http.get(url, headers=headers)

    assert call(admin, "192.0.2.10").status_code == 200
    fresh = new_key(proxied, "links:read")
    keys = (MADE_UP, "made up", MADE_UP + "0", "x" * 300)
    tried = Counter(call(keys[n % 4], "192.0.2.10").status_code for n in range(FREE + 10))
    assert tried == {401: FREE, 429: 10}
    assert_refused(call(MADE_UP, "192.0.2.10"), "too-many-tries", f'"keys";q={FREE};w=60')
    assert call(admin, "192.0.2.10").status_code == 200
    assert call(fresh, "192.0.2.10").status_code == 429
    assert call(fresh, "192.0.2.11").status_code == 200
    assert call(fresh, "192.0.2.10").status_code == 200


def test_a_call_without_a_key_is_no_try(proxied: Server) -> None:
    """A client that forgot its key is told so, however often."""
    headers = {"X-Forwarded-For": "192.0.2.20"}
    found = {
        proxied.http.get("/api/v1/links", headers=headers).status_code for _ in range(FREE + 5)
    }
    assert found == {401}


def test_what_is_counted_in_a_worker_is_bounded(tmp_path: Path) -> None:
    """Of more networks than there is room for, those seen first are forgotten."""
    redis = private_redis(tmp_path / "data")
    store = connections.sync(redis.url)
    limits = Limits(store, Counters())
    assert sum(limits.hit("unknown", "first") for _ in range(FREE + 5)) == FREE
    for n in range(MAX_COUNTED):
        assert limits.hit("unknown", str(n))
    assert limits.hit("unknown", "first")
    store.close()
    redis.stop()
