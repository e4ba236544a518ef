"""While Redis is away: what was served goes on, the rest waits with 503, and it heals by itself."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import httpx
import pytest

from tests.harness import NO_TLS, Load, Server, eventually

NewServer = Callable[..., Server]


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "killed"])
def test_known_codes_redirect_and_unknown_ones_wait(
    new_server: NewServer, fault: signal.Signals
) -> None:
    """A code this worker has served redirects; another one is 503 with `Retry-After`, never 404;
    links are not made; afterwards every answered click is counted."""
    server = new_server(WORKERS="1").start()
    launcher = server._process
    assert launcher is not None
    known, unseen = server.make_link()["code"], server.make_link()["code"]
    assert server.follow(known).status_code == 302
    (redis,) = server.pids("valkey")
    launcher.send_signal(signal.SIGSTOP)  # or it would start Redis again at once
    os.kill(redis, fault)
    try:
        assert [server.follow(known).status_code for _ in range(20)] == [302] * 20
        for code in (unseen, "nothere"):
            answer = server.follow(code)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["type"] == "/-/errors#store-away"
        page = server.follow(unseen, Accept="text/html")
        assert (page.status_code, page.headers["content-type"][:9]) == (503, "text/html")
        refused = server.api("POST", "/links", json={"url": "https://example.com/"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        ready = server.http.get("/-/ready").json()
        assert (ready["status"], ready["checks"]["redis"]["status"]) == ("degraded", "degraded")
        assert server.http.get("/-/health").status_code == 200
    finally:
        if fault == signal.SIGSTOP:
            os.kill(redis, signal.SIGCONT)
        launcher.send_signal(signal.SIGCONT)
    assert eventually(lambda: server.follow(unseen).status_code, lambda s: s == 302) == 302
    assert eventually(lambda: server.follow("nothere").status_code, lambda s: s == 404) == 404
    assert eventually(lambda: server.clicks(known), lambda clicks: clicks == 21) == 21
    ready = eventually(lambda: server.http.get("/-/ready").json(), lambda r: r["status"] == "ok")
    assert ready["status"] == "ok"


def test_a_frozen_redis_holds_nobody_up_and_nothing_counts_twice(new_server: NewServer) -> None:
    """Redis is stopped under load and goes on: no error, no lost and no doubled click."""
    server = new_server().start()
    codes = [server.make_link()["code"] for _ in range(10)]
    for code in codes:
        assert server.follow(code).status_code == 302
    (redis,) = server.pids("valkey")
    with Load(server.address, codes) as load:
        load.wait_for(300)
        os.kill(redis, signal.SIGSTOP)
        load.wait_for(1_000)
        os.kill(redis, signal.SIGCONT)
        load.wait_for(300)
    assert load.broken == 0
    assert set(load.statuses) == {302}
    wanted = load.answered.total() + len(codes)
    assert eventually(server.site_clicks, lambda clicks: clicks >= wanted) == wanted
    time.sleep(1.5)
    assert server.site_clicks() == wanted


def test_calls_that_wait_for_redis_hold_up_no_visitor(new_server: NewServer) -> None:
    """While many API calls wait for a frozen Redis, a visitor gets the 503 before any of them."""
    server = new_server(WORKERS="1").start()
    code = server.make_link()["code"]
    (redis,) = server.pids("valkey")
    os.kill(redis, signal.SIGSTOP)
    try:
        assert server.follow("nothere").status_code == 503
        asked = {"headers": {"Authorization": "Bearer made up"}, "timeout": 60, "verify": NO_TLS}
        url = f"{server.address}/api/v1/links"
        with ThreadPoolExecutor(40) as threads:
            calls = [threads.submit(httpx.get, url, **asked) for _ in range(40)]
            wait(calls, return_when=FIRST_COMPLETED)  # by now all threads are taken
            waiting = [call for call in calls if not call.done()]
            assert server.follow(code).status_code == 503
            assert any(not call.done() for call in waiting)
    finally:
        os.kill(redis, signal.SIGCONT)


def test_a_worker_that_starts_without_redis_heals(new_server: NewServer) -> None:
    """A worker killed while Redis is frozen is replaced by one that answers 503, and then heals."""
    server = new_server(WORKERS="1").start()
    code = server.make_link()["code"]
    (redis,) = server.pids("valkey")
    (worker,) = server.workers()
    os.kill(redis, signal.SIGSTOP)
    try:
        os.kill(worker, signal.SIGKILL)
        new = eventually(server.workers, lambda found: found and found != [worker])
        assert new != [worker]
        server.http.close()
        server._clients.clear()
        assert server.follow(code).status_code == 503
    finally:
        os.kill(redis, signal.SIGCONT)
    assert eventually(lambda: server.follow(code).status_code, lambda s: s == 302) == 302
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 1) == 1
    assert server.make_link()["code"]
