"""Daily visitors, and the end of what they are told by."""

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from shortener import connections, keys
from shortener.config import Settings
from shortener.counting import wiring
from shortener.counting.aggregator import Aggregator
from shortener.counting.salts import MAX_SILENCE, Salts
from shortener.statistics import cells
from tests.harness import Server, eventually, private_redis
from tests.written import click, stored, write

NewServer = Callable[..., Server]
DAY = 86_400_000  # milliseconds
WHO = ("192.0.2.7", "Browser")  # address and user agent


class Host(NamedTuple):
    """A server without aggregator, the one that the test drives, and their store."""

    server: Server
    aggregator: Aggregator
    salts: Salts
    store: redis.Redis


@pytest.fixture
def host(new_server: NewServer, tmp_path: Path) -> Iterator[Host]:
    own = private_redis(tmp_path / "r")
    try:
        server = new_server("--without-aggregator", REDIS_URL=own.url, WORKERS="1").start()
        settings = Settings.load({"SHORTENER_DATA_DIR": str(server.data_dir)})
        store = connections.sync(own.url)
        salts = Salts(store, settings.timezone, "host")
        yield Host(server, wiring.aggregator(settings, store, "host"), salts, store)
        store.close()
    finally:
        own.stop()


def count(host: Host) -> None:
    while host.aggregator.step():
        pass


def totals(server: Server, code: str) -> tuple[int, int]:
    answer = server.api("GET", f"/links/{code}/stats").json()["totals"]
    return answer["clicks"], answer["visitors"]


def past_day() -> tuple[int, int]:
    """Noon of the day before yesterday in milliseconds since 1970, and the day's number.  Yesterday
    itself is not over before today is as old as `salts.ROOM`."""
    noon = datetime.now(UTC).replace(hour=12) - timedelta(days=2)
    return int(noon.timestamp() * 1000), cells.date_number(noon.date())


def test_a_person_is_one_visitor_a_day(server: Server) -> None:
    """However often they click that day; on another day they are one again, and somebody else is
    another."""
    code = server.make_link()["code"]
    link, at = stored(server, code), int(time.time() * 1000)
    people = [("192.0.2.1", 0)] * 5 + [("192.0.2.2", 0)] + [("192.0.2.1", 3)] * 2
    people += [("192.0.2.1", 9)]
    write(server, [click(at - age * DAY, link, address) for address, age in reversed(people)])
    assert eventually(lambda: totals(server, code), (9, 4).__eq__) == (9, 4)


def test_many_visitors_are_estimated_well(server: Server) -> None:
    """Ten thousand on one day, some of them twice: within 3 percent, and never more than clicks."""
    code = server.make_link()["code"]
    link, at, chance = stored(server, code), int(time.time() * 1000), random.Random(3)
    addresses = [f"10.{n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(10_000)]
    addresses += chance.sample(addresses, 3_000)
    chance.shuffle(addresses)
    write(server, [click(at, link, address) for address in addresses])
    clicks, visitors = eventually(lambda: totals(server, code), lambda found: found[0] == 13_000)
    assert clicks == 13_000
    assert 9_700 <= visitors <= 10_300


def test_visitors_of_a_past_day_cannot_be_told_again(host: Host) -> None:
    """When no journal has clicks of a day any more its salt goes, and with it the visitors: nobody
    can make its hashes again, and a click that comes later still makes no visitor."""
    host.server.make_link(code="told")
    link, (at, day) = stored(host.server, "told"), past_day()
    write(host.server, [click(at, link, "192.0.2.7")])
    count(host)
    before = host.salts.visitor(day, WHO)
    assert before is not None
    host.aggregator.tidy()
    host.salts.forget()
    assert host.salts.visitor(day, WHO) == before  # a journal is still held

    for file in (host.server.data_dir / "journal").iterdir():
        file.unlink()
    host.aggregator.tidy()

    host.salts.forget()
    assert host.salts.visitor(day, WHO) is None
    assert host.store.hexists(keys.SALTS, str(day)) is False
    assert [name for name in host.store.scan_iter() if name[:2] in (b"v:", b"w:")] == []
    assert totals(host.server, "told") == (1, 1)
    write(host.server, [click(at, link, "192.0.2.8")])
    count(host)
    assert totals(host.server, "told") == (2, 1)


def test_hosts_share_the_salt_and_wait_for_each_other(host: Host) -> None:
    """A person is the same visitor on all hosts, and a day's salt stays while any host may still
    have clicks of it; one that has been silent for days is not waited for."""
    other = Salts(host.store, Settings.load({}).timezone, "other")
    _, day = past_day()
    assert host.salts.visitor(day, WHO) == other.visitor(day, WHO) is not None
    assert host.salts.visitor(day, WHO) != host.salts.visitor(day + 1, WHO)
    now = time.time()
    for silent, is_kept in ((60, True), (MAX_SILENCE + 60, False)):
        host.store.hset(keys.HELD, "other", f"{day} {int(now - silent)}")
        host.salts.tidy([], now)
        assert host.store.hexists(keys.SALTS, str(day)) is is_kept


def test_no_address_is_kept(host: Host) -> None:
    """Neither addresses nor user agents are in the store after clicks were counted."""
    host.server.make_link(code="private")
    link, (at, _) = stored(host.server, "private"), past_day()
    write(host.server, [click(at, link, "203.0.113.77", agent="Mozilla/5.0 (Secret; Linux) Xyz")])
    count(host)
    assert totals(host.server, "private") == (1, 1)
    for name in host.store.scan_iter(count=1000):
        dump = host.store.dump(name)
        assert dump is not None
        assert b"203.0.113.77" not in dump + name
        assert b"Secret" not in dump + name
