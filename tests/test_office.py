"""Flask's process beside a worker: it may die or hang, and redirects go on."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness import NO_TLS, Load, Server, eventually, parent

NewServer = Callable[..., Server]


@pytest.fixture
def server(new_server: NewServer) -> Server:
    """One worker, so one office."""
    return new_server(WORKERS="1").start()


def office(server: Server) -> int:
    """The process of the one office."""
    (pid,) = server.pids("shortener: office")
    return pid


def another(server: Server, old: int) -> int:
    """The office that has come in place of an old one."""
    (new,) = eventually(
        lambda: server.pids("shortener: office"), lambda found: len(found) == 1 and found != [old]
    )
    assert new != old
    return new


@pytest.fixture
def maker(server: Server) -> Iterator["Maker"]:
    """Makes links until the test ends."""
    with Maker(server) as making:
        yield making


class Maker:
    """Four clients that make links without pause, each with a code of its own choice."""

    def __init__(self, server: Server) -> None:
        self._server, self._stop = server, threading.Event()
        self.statuses: dict[str, int] = {}  # by code
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(4)]

    def __enter__(self) -> "Maker":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, place: int) -> None:
        headers = {"Authorization": f"Bearer {self._server.key}"}
        with httpx.Client(
            base_url=self._server.address, timeout=30, headers=headers, verify=NO_TLS
        ) as client:
            number = 0
            while not self._stop.is_set():
                code, number = f"made-{place}-{number}", number + 1
                body = {"url": "https://example.com/", "code": code}
                self.statuses[code] = client.post("/api/v1/links", json=body).status_code


def test_a_killed_office_stops_no_redirect_and_loses_nothing_acknowledged(
    server: Server, maker: Maker
) -> None:
    """`kill -9` under load, three times: every redirect is answered, a link whose making was
    answered is there, what was cut off, if anything, is told as 503, and the next call works."""
    codes = [server.make_link()["code"] for _ in range(4)]
    with Load(server.address, codes) as load:
        for _ in range(3):
            made = len(maker.statuses)
            eventually(lambda: len(maker.statuses), lambda count, made=made: count > made + 50)
            old = office(server)
            os.kill(old, signal.SIGKILL)
            another(server, old)
            load.wait_for(200)
        assert server.make_link()["code"]
    maker.stop()
    assert load.broken == 0
    assert set(load.statuses) == {302}
    assert {201} <= set(maker.statuses.values()) <= {201, 503}
    for code, status in maker.statuses.items():
        if status == 201:
            assert server.follow(code).status_code == 302
    assert "the office stopped (-9)" in server.errors()


def test_a_hung_office_is_replaced(server: Server) -> None:
    """Stopped dead: redirects go on, the process says that it lives, a call is told 503 within its
    bound, the next ones work."""
    code = server.make_link()["code"]
    old = office(server)
    os.kill(old, signal.SIGSTOP)
    with Load(server.address, [code]) as load:
        alive = server.http.get("/-/health")
        assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
        began = time.monotonic()
        answer = server.api("GET", "/links")
        assert time.monotonic() - began < 10
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["type"] == "/-/errors#unavailable"
        load.wait_for(100)
    assert set(load.statuses) == {302}
    assert load.broken == 0
    another(server, old)
    assert server.api("GET", "/links").status_code == 200
    found = server.http.get("/-/metrics").text
    assert 'shortener_requests_total{kind="api",status="503"} 1.0' in found


def test_visitors_who_came_through_a_gate_are_counted_though_it_dies(server: Server) -> None:
    """Clicks that Flask wrote down outlive its process, each counted once."""
    secret = server.make_link(password="open sesame")["code"]
    limited = server.make_link(max_clicks=9)["code"]
    for _ in range(3):
        entered = server.http.post(f"/{secret}", data={"password": "open sesame"})
        assert entered.status_code == 303
        assert server.follow(limited).status_code == 302
    old = office(server)
    os.kill(old, signal.SIGKILL)
    another(server, old)
    for code in (secret, limited):
        assert eventually(lambda code=code: server.clicks(code), (3).__eq__) == 3
    time.sleep(1.5)
    assert [server.clicks(code) for code in (secret, limited)] == [3, 3]
    assert server.api("GET", f"/links/{limited}").json()["remaining"] == 6


def test_a_reload_brings_another_office_and_fails_no_call(server: Server, maker: Maker) -> None:
    """SIGHUP under load: calls that are under way are answered by the old one."""
    eventually(lambda: len(maker.statuses), lambda count: count > 50)
    old = office(server)
    server._process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    another(server, old)
    made = len(maker.statuses)
    eventually(lambda: len(maker.statuses), lambda count: count > made + 50)
    maker.stop()
    assert set(maker.statuses.values()) == {201}


def test_a_worker_that_cannot_begin_does_not_wait_for_its_office(server: Server) -> None:
    """What it needs is damaged, and then mended: gunicorn gives up at once, is started again, and
    again, until all answers."""
    code = server.make_link()["code"]
    identity = server.data_dir / "host"
    kept = identity.read_text()
    identity.write_text("nothing of the kind")
    os.kill(server.workers()[0], signal.SIGKILL)
    assert "gunicorn stopped" in eventually(server.errors, lambda said: "gunicorn stopped" in said)
    identity.write_text(kept)
    server.http.close()
    server._clients.clear()
    assert server.follow(code).status_code == 302
    assert server.api("GET", f"/links/{code}").status_code == 200


def test_an_office_does_not_outlive_its_worker(server: Server) -> None:
    """Also when it hangs while the worker is killed."""
    old = office(server)
    os.kill(old, signal.SIGSTOP)
    os.kill(parent(old), signal.SIGKILL)
    assert eventually(lambda: parent(old), lambda found: found in (0, 1)) in (0, 1)
    assert eventually(
        lambda: server.pids("shortener: office"), lambda found: found not in ([], [old])
    )
    assert eventually(lambda: Path(f"/proc/{old}").exists(), lambda there: not there) is False


def test_reports_and_counting_leave_the_processor_to_visitors(server: Server) -> None:
    """Offices and the aggregator have a lower priority than workers, and interrupt nobody."""
    others = [office(server), *server.pids("shortener: aggregator")]
    (worker,) = server.workers()
    usual = os.getpriority(os.PRIO_PROCESS, worker)
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in others} == {min(usual + 10, 19)}
    assert {os.sched_getscheduler(pid) for pid in others} == {os.SCHED_BATCH}
    assert os.sched_getscheduler(worker) != os.SCHED_BATCH
