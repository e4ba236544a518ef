"""Live events: what is clicked, told once a second to whoever listens."""

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import NO_TLS, Server, eventually
from tests.talk import Talk, request

NewServer = Callable[..., Server]


class Listener:
    """One stream, read by a thread; `events` are those that came, `lines` everything."""

    def __init__(self, server: Server, key: str | None = None) -> None:
        self._headers = {"Authorization": f"Bearer {key or server.key}"}
        self._url = f"{server.address}/api/v1/live"
        self.events: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.status = 0
        self.headers: httpx.Headers = httpx.Headers()
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert eventually(lambda: self.status, bool), "no answer"

    def _read(self) -> None:
        with (
            contextlib.suppress(httpx.HTTPError),
            httpx.stream(
                "GET", self._url, headers=self._headers, timeout=30, verify=NO_TLS
            ) as answer,
        ):
            self.status, self.headers = answer.status_code, answer.headers
            for line in answer.iter_lines():
                self.lines.append(line)
                if line.startswith("data: "):
                    self.events.append(json.loads(line[6:]))
        self.ended.set()

    def sum(self, name: str, field: str) -> dict[str, int]:
        """Clicks by a field, over all events."""
        found: dict[str, int] = {}
        for event in list(self.events):
            for entry in event[name]:
                found[entry[field]] = found.get(entry[field], 0) + entry["clicks"]
        return found

    @property
    def clicks(self) -> int:
        return sum(event["clicks"] for event in list(self.events))


@pytest.fixture
def listening(new_server: NewServer) -> tuple[Server, Listener]:
    """A server with a link `live`, and somebody who listens until a first click was heard."""
    server = new_server(WORKERS="1").start()
    server.make_link(code="live")
    listener = Listener(server)
    heard(server, listener)
    return server, listener


def heard(server: Server, listener: Listener) -> None:
    """Click until the listener hears of it: from then on it hears everything."""
    deadline = time.monotonic() + 20
    while not listener.events:
        assert time.monotonic() < deadline, listener.lines
        assert server.follow("live").status_code == 302
        time.sleep(0.5)
    time.sleep(2)
    listener.events.clear()


def test_clicks_are_told_as_they_happen(listening: tuple[Server, Listener]) -> None:
    """How many, of which links, from which countries and referrers; no bots."""
    server, listener = listening
    server.make_link(code="other")
    for code, referrer in (("live", "https://t.co/"), ("live", ""), ("other", "https://t.co/")):
        assert server.follow(code, Referer=referrer).status_code == 302
    assert server.follow("live", User_Agent="curl/8").status_code == 302
    assert eventually(lambda: listener.clicks, (3).__eq__) == 3
    time.sleep(1.5)
    assert listener.clicks == 3
    assert listener.sum("links", "code") == {"live": 2, "other": 1}
    assert {entry["domain"] for event in listener.events for entry in event["links"]} == {
        "127.0.0.1"
    }
    assert listener.sum("countries", "value") == {"unknown": 3}
    assert listener.sum("referrers", "value") == {"t.co": 2, "direct": 1}


def test_the_stream_is_one_of_server_sent_events(listening: tuple[Server, Listener]) -> None:
    """Its type, that it is kept nowhere, when to come again, and a number for each event."""
    server, listener = listening
    assert listener.headers["content-type"] == "text/event-stream"
    assert listener.headers["cache-control"] == "no-store"
    assert listener.lines[0] == "retry: 2000"
    server.follow("live")
    assert eventually(lambda: listener.clicks, bool) == 1
    assert [line.partition(":")[0] for line in listener.lines if line][-2:] == ["id", "data"]


def test_there_is_at_most_one_event_a_second(listening: tuple[Server, Listener]) -> None:
    """However much is clicked."""
    server, listener = listening
    began = time.monotonic()
    clicks = 0
    while time.monotonic() - began < 4:
        assert server.follow("live").status_code == 302
        clicks += 1
    assert eventually(lambda: listener.clicks, clicks.__eq__) == clicks
    assert len(listener.events) <= time.monotonic() - began + 1


WITHOUT = {"no key": ("", 401), "a wrong key": ("sk_wrong", 401), "another scope": (None, 403)}


@pytest.mark.parametrize(("key", "status"), WITHOUT.values(), ids=WITHOUT)
def test_who_may_not_read_statistics_may_not_listen(
    server: Server, key: str | None, status: int
) -> None:
    """As with every call: a problem, and the connection is free again."""
    if key is None:
        made = server.api("POST", "/keys", json={"name": "links", "scopes": ["links:read"]})
        key = made.json()["key"]
    answer = server.http.get("/api/v1/live", headers={"X-Api-Key": key})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_key_that_reads_statistics_is_enough(server: Server) -> None:
    """`stats:read`, and no more."""
    made = server.api("POST", "/keys", json={"name": "ear", "scopes": ["stats:read"]})
    assert Listener(server, made.json()["key"]).status == 200


def test_other_methods_are_none(server: Server) -> None:
    """405 for what is no `GET`."""
    assert server.api("POST", "/live").status_code == 405


def test_the_stream_survives_a_restart_of_redis(listening: tuple[Server, Listener]) -> None:
    """Whoever listened hears again of clicks, on the same connection."""
    server, listener = listening
    os.kill(server.pids("valkey")[0], signal.SIGKILL)
    assert eventually(lambda: server.api("GET", "/links").status_code, (200).__eq__) == 200
    heard(server, listener)
    assert not listener.ended.is_set()


def test_a_stop_ends_the_stream(listening: tuple[Server, Listener]) -> None:
    """At once and in order: no server waits for its listeners."""
    server, listener = listening
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 8
    assert listener.ended.wait(2)


def test_two_hundred_listen(listening: tuple[Server, Listener]) -> None:
    """All hear the same; who went away is forgotten, and leaves no thread or descriptor behind."""
    server, listener = listening
    (worker,) = server.workers()
    threads, files = counts(worker)
    host, _, port = server.address.removeprefix("http://").partition(":")
    head = f"GET /api/v1/live HTTP/1.1\r\nHost: x\r\nX-Api-Key: {server.key}\r\n\r\n"
    sockets = [socket.create_connection((host, int(port)), 20) for _ in range(200)]
    for one in sockets:
        one.sendall(head.encode())
    for one in sockets:
        assert wait_for(one, b"retry: 2000")
    assert server.follow("live").status_code == 302
    for one in sockets:
        assert wait_for(one, b'"clicks":1,"links":[{"code":"live"')
    assert counts(worker)[0] <= threads + 10
    for one in sockets:
        one.close()
    files_left = eventually(lambda: counts(worker)[1], lambda n: n <= files + 10)
    assert files_left <= files + 10
    server.follow("live")
    assert eventually(lambda: listener.clicks, (2).__eq__) == 2


def test_who_vanishes_with_another_request_in_line_is_forgotten(new_server: NewServer) -> None:
    """A stream ends when its client is gone, also when that had asked for more behind it."""
    server = new_server(WORKERS="1").start()
    (worker,) = server.workers()
    assert httpx.get(f"{server.address}/robots.txt", verify=NO_TLS).status_code == 200
    threads, _ = counts(worker)
    talk = Talk(server.address)
    talk.say(request("/api/v1/live", f"X-Api-Key: {server.key}") + request("/robots.txt"))
    assert wait_for(talk.socket, b"retry: 2000")
    assert eventually(lambda: counts(worker)[0], lambda n: n > threads) > threads
    talk.reset()
    assert eventually(lambda: counts(worker)[0], threads.__eq__) == threads
    assert "Traceback" not in server.errors()


def wait_for(one: socket.socket, text: bytes) -> bool:
    """Whether the text comes, within the socket's patience."""
    seen = b""
    while text not in seen:
        part = one.recv(65536)
        if not part:
            return False
        seen += part
    return True


def counts(pid: int) -> tuple[int, int]:
    """Threads and open files of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())), len(
        list(Path(f"/proc/{pid}/fd").iterdir())
    )
