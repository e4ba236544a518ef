"""Remembered links: a change is seen by every worker at once, whatever becomes of the connection
that tells of changes.

The bound of 50 ms is the promise itself (`records.LEASE`), counted from the moment that the client
has read that the change was made.  Only requests that were begun later than that are held to it, so
a busy machine makes the tests slower, not wrong.
"""

import asyncio
import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
import pytest

from shortener import connections, keys
from shortener.embedded import Embedded
from shortener.errors import StoreAway
from shortener.gauges import Counters
from shortener.links.link import decode, encode
from shortener.tracked import Tracked
from shortener.web.records import Found, Records
from tests.harness import NO_TLS, Load, Server, Wire, descriptors, eventually, private_redis
from tests.talk import follow_many

NewServer = Callable[..., Server]
BOUND = 0.05  # seconds
VISITORS = 4  # over a wire, which is slower than a socket


class Seen(NamedTuple):
    """One answer: when its request was begun and answered, and where it led."""

    begun: float
    ended: float
    code: str
    location: str | None


class Watchers:
    """Visitors who follow codes without pause, over many connections, and write down what they see.

    At most a thousand visits a second each, so that what changes links gets its turn too.
    """

    def __init__(self, server: Server, codes: list[str], visitors: int = 12) -> None:
        self._address = server.address.removeprefix("http://")
        self._codes = codes
        self._stop = threading.Event()
        self.seen: list[Seen] = []
        self.broken = 0
        self._threads = [
            threading.Thread(target=self._run, args=(place,)) for place in range(visitors)
        ]

    def __enter__(self) -> "Watchers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int) -> None:
        """Until so many more were seen."""
        wanted = len(self.seen) + answers
        assert eventually(lambda: len(self.seen), lambda count: count >= wanted) >= wanted

    def late(self, change: "Change") -> list[Seen]:
        """Answers from before a change whose requests were begun after its bound."""
        return [
            seen
            for seen in self.seen
            if (seen.code, seen.location) == (change.code, change.old)
            and seen.begun > change.at + BOUND
            and seen.ended < change.until
        ]

    def _run(self, place: int) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=20)
        while not self._stop.is_set():
            code = self._codes[place % len(self._codes)]
            place += 1
            begun = time.monotonic()
            try:
                connection.request("GET", f"/{code}")
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection.close()
                continue
            location = answer.getheader("location")
            self.seen.append(Seen(begun, time.monotonic(), code, location or str(answer.status)))
            if place % 50 == 0:
                connection.close()  # the next one may reach another worker
            self._stop.wait(0.001)
        connection.close()


def change(server: Server, code: str, url: str) -> float:
    """Change where a link leads; when that was acknowledged."""
    answer = server.api("PATCH", f"/links/{code}", json={"url": url})
    assert answer.status_code == 200, answer.text
    return time.monotonic()


class Change(NamedTuple):
    """Where a link led before, when that was over, and until when."""

    code: str
    old: str
    at: float
    until: float = float("inf")


def assert_none_is_late(watchers: Watchers, changes: list[Change], allowed: int = 0) -> None:
    late = [seen for each in changes for seen in watchers.late(each)]
    assert changes
    assert len(late) <= allowed, late


def answered_without_redis(server: Server) -> int:
    """How many redirects may have been answered from memory because Redis did not answer in time.

    They may be of before a change; the metrics tell of them.  On a machine that has nothing else to
    do there are none while a wire stands; on a busy one a reply through it can take too long.  Each
    look-up that is counted was that of at most all visitors.
    """
    text = server.http.get("/-/metrics").text
    (line,) = [line for line in text.splitlines() if 'answered_by="stale_cache"' in line]
    return int(float(line.split()[-1])) * VISITORS


def test_a_change_is_seen_by_all_workers_within_50_ms(new_server: NewServer) -> None:
    """Links are changed and deleted under load on three workers; nobody who comes later than
    50 ms after the acknowledgement is sent to the old place."""
    server = new_server(WORKERS="3").start()
    codes = [server.make_link(f"https://example.com/{n}/0")["code"] for n in range(4)]
    changes: list[Change] = []
    with Watchers(server, codes) as watchers:
        watchers.wait_for(300)
        for turn in range(25):
            for place, code in enumerate(codes):
                at = change(server, code, f"https://example.com/{place}/{turn + 1}")
                changes.append(Change(code, f"https://example.com/{place}/{turn}", at))
        for place, code in enumerate(codes):
            assert server.api("DELETE", f"/links/{code}").status_code == 204
            changes.append(Change(code, f"https://example.com/{place}/25", time.monotonic()))
        watchers.wait_for(300)
    assert_none_is_late(watchers, changes)
    assert watchers.broken == 0
    assert {seen.location for seen in watchers.seen[-50:]} <= {"404", "429"}


def test_a_link_that_comes_back_is_the_new_one(new_server: NewServer) -> None:
    """Deleted and made again with the same code, over and over: each time the new one is seen."""
    server = new_server(WORKERS="2").start()
    server.make_link("https://example.com/0", code="again")
    changes: list[Change] = []
    with Watchers(server, ["again"]) as watchers:
        for turn in range(20):
            assert server.api("DELETE", "/links/again").status_code == 204
            changes.append(Change("again", f"https://example.com/{turn}", time.monotonic()))
            server.make_link(f"https://example.com/{turn + 1}", code="again")
            made = time.monotonic()
            watchers.wait_for(300)
            changes.append(Change("again", "404", made, until=time.monotonic()))
    assert_none_is_late(watchers, changes)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Embedded]:
    """A Redis of the test's own."""
    redis = private_redis(tmp_path / "store")
    yield redis
    redis.stop()


@pytest.fixture
def wired(tmp_path: Path, store: Embedded, new_server: NewServer) -> Iterator[tuple[Server, Wire]]:
    """A server with two workers, and the wire to its Redis."""
    wire = Wire(tmp_path / "wire", Path(store.url.removeprefix("unix://")))
    yield new_server(WORKERS="2", REDIS_URL=wire.url).start(), wire
    wire.close()


def cut(wire: Wire) -> None:
    """The connections that tell of changes are hung up."""
    for strand in wire.tracked:
        strand.cut()


def die(wire: Wire) -> None:
    """The connections that tell of changes carry nothing any more, and nobody says so."""
    for strand in wire.tracked:
        strand.go_dead()


@pytest.mark.parametrize("fault", [cut, die])
def test_no_old_answer_while_nobody_tells_of_changes(
    wired: tuple[Server, Wire], fault: Callable[[Wire], None]
) -> None:
    """The connection that tells of changes is cut, or goes dead, just before a change, again and
    again: the bound holds, because what cannot be known to be right is read again.  Redis answers
    all the while, over every connection but those.
    """
    server, wire = wired
    code = server.make_link("https://example.com/0")["code"]
    changes: list[Change] = []
    with Watchers(server, [code], VISITORS) as watchers:
        for turn in range(12):
            watchers.wait_for(60)
            eventually(lambda: len(wire.tracked), lambda count: count == 2)
            fault(wire)
            at = change(server, code, f"https://example.com/{turn + 1}")
            changes.append(Change(code, f"https://example.com/{turn}", at))
        watchers.wait_for(60)
    assert_none_is_late(watchers, changes, allowed=answered_without_redis(server))
    assert not any(seen.location in ("404", "500") for seen in watchers.seen)


def test_what_changed_while_the_wire_was_cut_is_read_again(
    wired: tuple[Server, Wire], store: Embedded
) -> None:
    """Everything is cut and refused for a while, ten times, and all links change behind our back:
    visitors are redirected as before or asked to wait, and while the connections stand, nobody is
    sent to an old place.  No descriptor is left over."""
    server, wire = wired
    codes = [server.make_link("https://example.com/0")["code"] for _ in range(40)]
    redis = connections.sync(store.url)
    changes: list[Change] = []
    stale = 0
    with Watchers(server, codes, VISITORS) as watchers:
        watchers.wait_for(300)
        before = {pid: descriptors(pid) for pid in server.workers()}
        for turn in range(10):
            wire.refuses = True
            wire.cut()
            watchers.wait_for(60)
            for code in codes:
                link = decode(redis.get(keys.link(code)))  # type: ignore[arg-type]
                changed = msgspec.structs.replace(link, url=f"https://example.com/{turn + 1}")
                redis.set(keys.link(code), encode(changed))
            wire.refuses = False
            assert eventually(lambda: len(wire.tracked), lambda count: count == 2) == 2
            healed, old = time.monotonic(), f"https://example.com/{turn}"
            stale -= answered_without_redis(server)
            watchers.wait_for(1_000)
            stale += answered_without_redis(server)
            changes.extend(Change(code, old, healed, until=time.monotonic()) for code in codes)
    redis.close()
    assert_none_is_late(watchers, changes, allowed=stale)
    places = {f"https://example.com/{number}" for number in range(11)}
    assert {seen.location for seen in watchers.seen} <= {"503", *places}
    for pid, count in before.items():
        allowed = count + 4  # its journal, and Flask's own connection, if they are new
        left = eventually(lambda pid=pid: descriptors(pid), lambda now, most=allowed: now <= most)
        assert left <= allowed


def test_a_redis_that_is_far_away_is_waited_for(wired: tuple[Server, Wire]) -> None:
    """Replies that take 150 ms: redirects take as long, and none is refused, unless the machine is
    too busy to carry a reply in time."""
    server, wire = wired
    codes = [server.make_link(f"https://example.com/{number}")["code"] for number in range(5)]
    wire.delay = 0.075

    def followed() -> set[int]:
        return {
            httpx.get(f"{server.address}/{code}", verify=NO_TLS).status_code for code in codes * 3
        }

    assert eventually(followed, {302}.__eq__) == {302}
    wire.delay = 0.0


def test_a_new_worker_takes_nobody_before_it_can_look_links_up(
    wired: tuple[Server, Wire],
) -> None:
    """Connecting takes longer than a visitor would wait for a reply of Redis: who comes to a worker
    that has just begun finds it connected."""
    server, wire = wired
    code = server.make_link()["code"]
    wire.greeting = 0.5
    for worker in server.workers():
        os.kill(worker, signal.SIGKILL)
    assert httpx.get(f"{server.address}/{code}", timeout=20, verify=NO_TLS).status_code == 302


def test_remembered_links_ask_redis_nothing(server: Server) -> None:
    """Two thousand visits of one link cost a handful of commands, not two thousand."""
    code = server.make_link()["code"]
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    with Load(server.address, [code], connections=2) as load:
        load.wait_for(200)
        before = reads(store)
        load.wait_for(2_000)
        asked = reads(store) - before
    store.close()
    assert asked < 500


def reads(store: "connections.redis.Redis") -> int:
    """How many `MGET` a Redis has answered."""
    return int(store.info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"])


def test_an_emptied_store_has_no_links(new_server: NewServer) -> None:
    """`FLUSHALL` names no keys; all the same nothing is remembered after it."""
    server = new_server(WORKERS="1").start()
    code = server.make_link()["code"]
    assert server.follow(code).status_code == 302
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    with Watchers(server, [code], visitors=2) as watchers:
        watchers.wait_for(20)
        store.flushall()
        emptied = time.monotonic()
        watchers.wait_for(50)
    store.close()
    assert_none_is_late(watchers, [Change(code, "https://example.com/", emptied)])


def test_what_is_decided_at_the_click_is_not_remembered(new_server: NewServer) -> None:
    """A remembered link begins and ends on time, without anybody telling of it."""
    from datetime import UTC, datetime, timedelta

    server = new_server(WORKERS="1").start()
    now = datetime.now(UTC).replace(microsecond=0)
    begins, ends = now + timedelta(seconds=2), now + timedelta(seconds=4)
    server.make_link(code="span", starts_at=begins.isoformat(), expires_at=ends.isoformat())
    with Watchers(server, ["span"], visitors=1) as watchers:
        eventually(lambda: server.follow("span").status_code, lambda status: status == 410)
        watchers.wait_for(4)
    found = [(seen.begun, seen.location) for seen in watchers.seen]
    kinds = [location for _, location in found]
    assert set(kinds) == {"404", "https://example.com/", "410"}
    assert kinds == sorted(kinds, key=["404", "https://example.com/", "410"].index)


def test_what_is_remembered_is_bounded(new_server: NewServer) -> None:
    """With `LINK_CACHE=1` a worker that was asked for 4,000 long links has not grown by as much."""
    server = new_server(WORKERS="1", LINK_CACHE="1").start()
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    made = server.make_link("https://example.com/" + "l" * 8_000, code="x0")["code"]
    record = store.get(keys.link(made))
    assert isinstance(record, bytes)
    for number in range(1, 4_000):
        store.set(keys.link(f"x{number}"), record)
    store.close()
    (worker,) = server.workers()
    codes = [f"x{number}" for number in range(4_000)]
    assert set(follow_many(server.address, codes[:200])) == {302}
    before = resident(worker)
    assert set(follow_many(server.address, codes[200:])) == {302}
    assert resident(worker) - before < 16 << 20  # 3,800 of them have 90 MB in three copies


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def without_tracking(server: Server) -> Iterator[None]:
    """A Redis that lets nobody track: the default user may not."""
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    store.execute_command("ACL", "SETUSER", "default", "-client|tracking")
    yield
    store.execute_command("ACL", "SETUSER", "default", "+client|tracking")
    store.close()


def test_a_redis_that_does_not_track_is_asked_each_time(new_server: NewServer) -> None:
    """Managed services may not allow it: then nothing that is remembered is trusted."""
    server = new_server(WORKERS="1").start()
    code = server.make_link("https://example.com/0")["code"]
    with without_tracking(server):
        (old,) = server.workers()
        os.kill(old, signal.SIGTERM)
        eventually(server.workers, lambda found: found and old not in found)
        server.http.close()
        server._clients.clear()
        for number in range(1, 30):
            change(server, code, f"https://example.com/{number}")
            assert server.follow(code).headers["location"] == f"https://example.com/{number}"
    assert "Redis does not track" in server.errors()


def test_who_cannot_use_what_was_found_costs_nobody_else_an_answer() -> None:
    """All who asked for the same link, or in the same turn, are told; each in a later turn."""
    told: list[Found] = []

    def fail(_: Found) -> None:
        raise LookupError

    async def ask() -> None:
        async def refuse(*_: object) -> Tracked:
            raise ConnectionRefusedError

        records = Records(refuse, lambda _: None, 1 << 20, Counters())
        for name in ("one", "other"):
            for then in (fail, told.append):
                records.find(name, then)
        assert told == []
        async with asyncio.timeout(5):
            while len(told) < 2:
                await asyncio.sleep(0.01)
        records.find("third", told.append)  # while Redis is away
        assert len(told) == 2
        await asyncio.sleep(0.01)
        records.close()

    asyncio.run(ask())
    assert [type(found) for found in told] == [StoreAway] * 3
