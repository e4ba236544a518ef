"""Metrics: what Prometheus reads is what happened, over all workers."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from shortener.web.records import LEASE
from tests.harness import NO_TLS, Server, eventually

NewServer = Callable[..., Server]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(server: Server) -> Samples:
    """What `/-/metrics` says: value by name and labels."""
    answer = server.http.get("/-/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """One sample; 0 when there is none."""
    return found.get((f"shortener_{name}", tuple(sorted(labels.items()))), 0)


def test_requests_add_up_over_two_workers(new_server: NewServer) -> None:
    """Redirects on the event loop and answers of Flask, by kind and status, each counted once;
    a click of each redirect, and a batch for each look-up."""
    server = new_server(WORKERS="2").start()
    assert eventually(lambda: len(server.workers()), lambda count: count == 2) == 2
    code, limited = server.make_link()["code"], server.make_link(max_clicks=5)["code"]
    moved = server.make_link(redirect_status=301)["code"]
    visits = [*(code for _ in range(60)), *(moved for _ in range(20)), limited, *(["none"] * 3)]

    def visit(path: str) -> int:
        return httpx.get(
            f"{server.address}/{path}", headers={"Connection": "close"}, verify=NO_TLS
        ).status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(visit, visits))
    assert statuses.count(302) == 61
    assert server.follow(code, "HEAD").status_code == 302
    assert server.http.get("/-/errors").status_code == 200
    assert server.http.get("/robots.txt").status_code in (200, 404)
    assert server.http.get("/api/v1/links").status_code == 401

    found = samples(server)
    assert value(found, "requests_total", kind="redirect", status="302") == 62
    assert value(found, "requests_total", kind="redirect", status="301") == 20
    assert value(found, "requests_total", kind="redirect", status="404") == 3
    assert value(found, "requests_total", kind="api", status="201") == 3
    assert value(found, "requests_total", kind="api", status="401") == 1
    assert value(found, "requests_total", kind="page", status="200") >= 1
    assert value(found, "request_seconds_count", kind="redirect") == 82
    assert value(found, "request_seconds_bucket", kind="redirect", le="+Inf") == 82
    assert value(found, "request_seconds_sum", kind="redirect") > 0
    assert value(found, "request_seconds_count", kind="api") == 4
    assert value(found, "clicks_written_total") == 81 + 3  # visits to unknown codes as well
    assert value(found, "journal_written_bytes_total") == value(found, "journal_bytes") > 81 * 20
    assert value(found, "links") == 3
    assert value(found, "redis_up") == 1
    assert value(found, "build_info", version="0.1.0") == 1
    applied = eventually(
        lambda: value(samples(server), "clicks_applied_total"), lambda count: count == 84
    )
    assert applied == 84
    found = samples(server)
    assert value(found, "journal_lag_bytes") == 0
    assert value(found, "aggregator_up") == 1


def test_look_ups_that_redis_answered_are_told_with_their_batches(new_server: NewServer) -> None:
    """The codes of all batches are the look-ups that Redis answered."""
    server = new_server(WORKERS="1").start()
    codes = [server.make_link()["code"] for _ in range(30)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(server.follow, codes))
    found = samples(server)
    assert value(found, "lookups_total", answered_by="redis") == 30
    assert value(found, "batch_codes_sum") == 30
    assert 1 <= value(found, "batch_codes_count") <= 30
    assert value(found, "batch_codes_bucket", le="+Inf") == value(found, "batch_codes_count")


def test_buckets_never_go_down(new_server: NewServer) -> None:
    """The counts of a histogram rise with its bounds, to the count of all."""
    server = new_server(WORKERS="1").start()
    code = server.make_link()["code"]
    for _ in range(20):
        server.follow(code)
    found = samples(server)
    buckets = [
        (float(dict(labels)["le"]), count)
        for (name, labels), count in found.items()
        if name == "shortener_request_seconds_bucket" and dict(labels)["kind"] == "redirect"
    ]
    counts = [count for _, count in sorted(buckets)]
    assert counts == sorted(counts)
    assert counts[-1] == 20


def test_numbers_outlive_workers_and_end_with_the_service(new_server: NewServer) -> None:
    """A killed or reloaded worker takes nothing with it; a new start begins at zero."""
    server = new_server(WORKERS="1").start()
    code = server.make_link()["code"]
    for _ in range(5):
        server.follow(code)

    def redirects() -> float:
        return value(samples(server), "requests_total", kind="redirect", status="302")

    assert redirects() == 5
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    eventually(server.workers, lambda found: found and found != [worker])
    server.http.close()
    server._clients.clear()
    assert eventually(lambda: server.follow(code).status_code, lambda s: s == 302) == 302
    assert redirects() == 6
    server.kill_all()
    server.start()
    assert redirects() == 0


def test_a_store_that_is_away_is_told(new_server: NewServer) -> None:
    """Metrics are answered without Redis: it is down, its errors are counted, and redirects of
    remembered links too."""
    server = new_server(WORKERS="1").start()
    code = server.make_link()["code"]
    server.follow(code)
    before = value(samples(server), "redis_errors_total")
    (redis,) = server.pids("valkey")
    os.kill(redis, signal.SIGSTOP)
    try:
        time.sleep(2 * LEASE)  # now Redis has to be asked
        assert [server.follow(code).status_code for _ in range(3)] == [302] * 3
        assert server.api("GET", "/links").status_code == 503
        found = samples(server)
        assert value(found, "redis_up") == 0
        assert ("shortener_links", ()) not in found
        assert value(found, "redis_errors_total") >= before + 2
        assert value(found, "lookups_total", answered_by="stale_cache") == 3
        assert value(found, "requests_total", kind="redirect", status="302") == 4
        assert value(found, "requests_total", kind="api", status="503") == 1
    finally:
        os.kill(redis, signal.SIGCONT)


def test_dropped_clicks_are_told(new_server: NewServer) -> None:
    """Clicks that no journal could take are counted as dropped, not as written."""
    server = new_server("--without-aggregator", WORKERS="1", JOURNAL_LIMIT="1").start()
    code = server.make_link()["code"]
    agent = {"User_Agent": "x" * 500, "Referer": "y" * 500}

    def dropped() -> float:
        for _ in range(200):
            server.follow(code, **agent)
        return value(samples(server), "clicks_dropped_total")

    assert eventually(dropped, lambda count: count > 0) > 0
    found = samples(server)
    redirects = value(found, "requests_total", kind="redirect", status="302")
    lost, written = value(found, "clicks_dropped_total"), value(found, "clicks_written_total")
    assert lost + written == redirects
    assert value(found, "aggregator_up") == 0


def test_refusals_are_told_by_limit(new_server: NewServer) -> None:
    """A 429 counts under the limit that was met."""
    server = new_server(WORKERS="1", RATE_LIMIT="1/hour").start()
    made = {"name": "x", "scopes": ["links:write"]}
    key = server.api("POST", "/keys", json=made).json()["key"]
    for _ in range(3):
        server.api("POST", "/links", json={}, headers={"Authorization": f"Bearer {key}"})
    for n in range(104):
        server.follow(f"none{n}")
    found = samples(server)
    assert value(found, "limited_total", limit="creation") == 2
    assert value(found, "limited_total", limit="unknown") == 4
    assert value(found, "limited_total", limit="keys") == 0


def test_what_strangers_choose_is_in_no_label(new_server: NewServer) -> None:
    """Made-up paths and methods make no new series: a kind and a status each."""
    server = new_server(WORKERS="1").start()
    for n in range(10):
        for path in (f"/no{n}", f"/no{n}/more", f"/api/v1/no{n}", f"/-/no{n}", f"/no{n}.txt"):
            for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", f"MADEUP{n}"):
                server.http.request(method, path)
    found = [labels for name, labels in samples(server) if name == "shortener_requests_total"]
    assert 3 <= len(found) <= 12
    assert {label for labels in found for label, _ in labels} == {"kind", "status"}


def test_a_scraper_that_asks_for_openmetrics_gets_it(server: Server) -> None:
    """By `Accept`; both versions can be read, and neither may be cached."""
    asked = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    answer = server.http.get("/-/metrics", headers=asked)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics.text_string_to_metric_families(answer.text)}
    assert "shortener_requests" in names
    plain = server.http.get("/-/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert plain.headers["cache-control"] == "no-store"
