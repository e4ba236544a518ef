"""Every answered redirect is counted exactly once, whatever is killed meanwhile."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import exceptions

from shortener import connections, keys
from shortener.config import Settings
from shortener.counting import pieces, tally, wiring
from shortener.counting.aggregator import Aggregator
from shortener.counting.applying import SCRIPT
from shortener.counting.pieces import SITE_BUCKET
from shortener.counting.tally import Applied, Tally
from tests.harness import Cutting, Load, Server, descendants, eventually, private_redis
from tests.written import click, stored, write

NewServer = Callable[..., Server]


def start_with_links(server: Server, count: int = 20) -> list[str]:
    server.start()
    return [server.make_link(f"https://example.com/{n}")["code"] for n in range(count)]


def assert_exact(server: Server, codes: list[str], load: Load) -> None:
    """Counted equals answered, but for requests that were in flight on broken connections."""
    low, high = load.answered.total(), load.answered.total() + load.broken
    counted = eventually(server.site_clicks, lambda clicks: clicks >= low)
    time.sleep(1.5)  # nothing is counted twice after that
    assert low <= server.site_clicks() <= high, (low, high, load.statuses)
    by_link = {code: server.clicks(code) for code in codes}
    assert sum(by_link.values()) == server.site_clicks() >= counted
    for code, clicks in by_link.items():
        assert load.answered[code] <= clicks <= load.answered[code] + load.broken
    if not load.broken:
        assert by_link == {code: load.answered[code] for code in codes}


def test_without_faults_the_counts_are_exact(new_server: NewServer) -> None:
    """Clicks of many connections over several workers are counted, each for its link."""
    server = new_server(WORKERS="2")
    codes = start_with_links(server)
    with Load(server.address, codes) as load:
        load.wait_for(2_000)
    assert load.broken == 0
    assert set(load.statuses) == {302}
    assert_exact(server, codes, load)


def test_a_killed_worker_loses_no_answered_click(new_server: NewServer) -> None:
    """`kill -9` of a worker under load: only its open connections fail, its journal is finished."""
    server = new_server(WORKERS="2")
    codes = start_with_links(server)
    with Load(server.address, codes) as load:
        load.wait_for(500)
        os.kill(server.workers()[0], signal.SIGKILL)
        load.wait_for(500)
    assert set(load.statuses) == {302}
    assert_exact(server, codes, load)


def test_a_killed_aggregator_counts_nothing_twice(new_server: NewServer) -> None:
    """`kill -9` of the aggregator, three times under load: it is started again, and exact."""
    server = new_server()
    codes = start_with_links(server)
    with Load(server.address, codes) as load:
        for _ in range(3):
            load.wait_for(400)
            (killed,) = server.pids("shortener: aggregator")
            os.kill(killed, signal.SIGKILL)
            eventually(
                lambda: server.pids("shortener: aggregator"),
                lambda pids, old=killed: pids not in ([], [old]),
            )
    assert load.broken == 0
    assert_exact(server, codes, load)


def test_a_killed_redis_stops_no_known_redirect(new_server: NewServer) -> None:
    """`kill -9` of Redis under load: links served before go on, and their clicks are counted."""
    server = new_server(WORKERS="1")  # each knows what it has served itself
    codes = start_with_links(server)
    for code in codes:
        assert server.follow(code).status_code == 302
    before = len(codes)
    with Load(server.address, codes) as load:
        load.wait_for(400)
        os.kill(server.pids("valkey")[0], signal.SIGKILL)
        load.wait_for(1_000)
    assert load.broken == 0
    assert set(load.statuses) == {302}
    for code in codes:
        load.answered[code] += 1
    assert load.answered.total() > before
    assert_exact(server, codes, load)


def test_everything_killed_at_once_is_exact_after_a_start(new_server: NewServer) -> None:
    """`kill -9` of launcher, Redis, workers and aggregator together; then a start."""
    server = new_server(WORKERS="2")
    codes = start_with_links(server)
    with Load(server.address, codes) as load:
        load.wait_for(1_000)
        server.kill_all()
    assert_exact(server.start(), codes, load)


def test_a_killed_launcher_takes_its_processes_along(new_server: NewServer) -> None:
    """`kill -9` of the launcher alone leaves nothing running, and the next start finds it all."""
    server = new_server()
    codes = start_with_links(server, 1)
    assert server.follow(codes[0]).status_code == 302
    launcher = server._process
    assert launcher is not None
    pids = descendants(launcher.pid)
    assert len(pids) >= 5  # Redis, the aggregator, gunicorn, workers and offices
    launcher.kill()
    alive = eventually(lambda: [p for p in pids if Path(f"/proc/{p}").exists()], lambda p: not p)
    assert alive == []
    server.kill_all()
    server.start()
    assert eventually(lambda: server.clicks(codes[0]), lambda clicks: clicks == 1) == 1


def test_a_lost_reply_counts_nothing_twice(new_server: NewServer, tmp_path: Path) -> None:
    """The reply of an apply is lost after its effect: the mark says so, and nothing is repeated."""
    redis = private_redis(tmp_path / "r")
    cutting = Cutting(tmp_path / "cut", Path(redis.url.removeprefix("unix://")))
    try:
        server = new_server("--without-aggregator", REDIS_URL=redis.url)
        codes = start_with_links(server, 3)
        for _ in range(10):
            for code in codes:
                assert server.follow(code).status_code == 302
        aggregator = own_aggregator(server, cutting.url)
        cutting.cut_reply_to = b"EVALSHA"
        with pytest.raises(connections.StoreError):
            work_off(aggregator)
        assert cutting.cuts == 1
        store = connections.sync(redis.url)
        marks = [mark for marks in Tally(store).marks().values() for mark in marks.values()]
        store.close()
        assert (
            max(mark.offset for mark in marks) > 0
        )  # the effect was there, the sender does not know
        work_off(aggregator)  # goes on believing that nothing was applied
        assert server.site_clicks() == 30
        assert [server.clicks(code) for code in codes] == [10, 10, 10]
    finally:
        cutting.close()
        redis.stop()


def test_the_site_is_never_ahead_of_its_links(new_server: NewServer, tmp_path: Path) -> None:
    """Whoever sees a click in the totals of the site sees it in those of its link, also when the
    aggregator comes no further than that."""
    redis = private_redis(tmp_path / "r")
    cutting = Cutting(tmp_path / "cut", Path(redis.url.removeprefix("unix://")))
    try:
        server = new_server("--without-aggregator", REDIS_URL=redis.url, WORKERS="1")
        codes = start_with_links(server, 20)
        follow_all(server, codes, 1)
        aggregator = own_aggregator(server, cutting.url)
        code = next(code for code in codes if keys.bucket(code) != SITE_BUCKET)
        cutting.cut_reply_to = code.encode()
        with pytest.raises(connections.StoreError):
            work_off(aggregator)
        assert (server.clicks(code), server.site_clicks()) == (1, 0)
        work_off(aggregator)
        assert sum(map(server.clicks, codes)) == server.site_clicks() == 20
    finally:
        cutting.close()
        redis.stop()


def test_a_stretch_that_was_begun_is_finished_by_whoever_comes(
    new_server: NewServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too much for one script is applied in parts; when a reply is lost in between, another
    aggregator, that would have cut it otherwise, goes on where the first one stopped, although more
    clicks have come since.  So does the first one, late."""
    redis = private_redis(tmp_path / "r")
    cutting = Cutting(tmp_path / "cut", Path(redis.url.removeprefix("unix://")))
    try:
        server = new_server("--without-aggregator", REDIS_URL=redis.url)
        codes = start_with_links(server, 60)
        follow_all(server, codes, 2)
        monkeypatch.setattr(tally, "FITTING", 30)
        first = own_aggregator(server, cutting.url)
        cutting.cut_reply_to = b"0 1 "
        with pytest.raises(connections.StoreError):
            work_off(first)
        store = connections.sync(redis.url)
        (begun,) = [m for marks in Tally(store).marks().values() for m in marks.values() if m.end]
        store.close()
        assert (begun.done, begun.parts > 1) == (1, True)
        follow_all(server, codes, 1)
        monkeypatch.setattr(tally, "FITTING", 10_000)
        work_off(own_aggregator(server, redis.url))
        assert server.site_clicks() == 180
        assert {code: server.clicks(code) for code in codes} == dict.fromkeys(codes, 3)
        follow_all(server, codes, 1)
        work_off(first)
        assert server.site_clicks() == 240
        assert {code: server.clicks(code) for code in codes} == dict.fromkeys(codes, 4)
    finally:
        cutting.close()
        redis.stop()


def test_clicks_of_one_record_are_counted_in_one_step(
    new_server: NewServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aggregators that are gone after one script each: whatever is too much for a script is cut
    between records, so those who come next begin at one."""
    redis = private_redis(tmp_path / "r")
    apply = Tally.apply

    def apply_once(tally: Tally, *given: Any) -> Applied:
        if vars(tally).setdefault("applied", 0):
            raise exceptions.ConnectionError("gone")
        vars(tally)["applied"] = 1
        return apply(tally, *given)

    try:
        server = new_server("--without-aggregator", REDIS_URL=redis.url)
        (code,) = start_with_links(server, 1)
        link, now = stored(server, code), time.time_ns() // 1_000_000
        write(server, [click(now, link, referrer=f"https://{n}.example/") for n in range(100)])
        monkeypatch.setattr(pieces, "MAX_INCREMENTS", 100)
        monkeypatch.setattr(Tally, "apply", apply_once)
        scripts = 0
        while work_off_as_far_as_it_goes(own_aggregator(server, redis.url)):
            scripts += 1
        assert scripts > 10
        assert (server.clicks(code), server.site_clicks()) == (100, 100)
    finally:
        redis.stop()


def test_clicks_that_a_script_fails_on_are_set_aside(new_server: NewServer) -> None:
    """Somebody has put another type where an index was: after a second try its bucket's clicks are
    kept in a file, those alone, and everything else is counted, also what comes later."""
    server = new_server(WORKERS="1")
    codes = start_with_links(server, 30)
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    broken = next(b for b in map(keys.bucket, codes) if b != SITE_BUCKET)
    hit = [code for code in codes if keys.bucket(code) == broken]
    index = store.dump(keys.index(broken))
    store.set(keys.index(broken), "not ours")
    follow_all(server, codes, 2)
    folder = server.data_dir / "set-aside"

    def kept() -> list[str]:
        files = [file.read_bytes() for file in folder.glob(f"*.{broken}.json")]
        return sorted(click[2] for file in files for click in msgspec.json.decode(file, type=list))

    assert eventually(kept, lambda found: len(found) == 2 * len(hit)) == sorted(hit * 2)
    store.restore(keys.index(broken), 0, index, replace=True)
    follow_all(server, codes, 1)
    for code in codes:
        wanted = 1 if code in hit else 3
        assert eventually(lambda c=code: server.clicks(c), lambda n, w=wanted: n >= w) == wanted
    told = f"shortener_clicks_set_aside_total {2 * len(hit)}.0"
    assert told in eventually(lambda: server.http.get("/-/metrics").text, lambda text: told in text)
    store.close()


def test_two_aggregators_by_mistake_count_once(new_server: NewServer, tmp_path: Path) -> None:
    """Both know the journals from the beginning, and apply in turns: every click counts once."""
    redis = private_redis(tmp_path / "r")
    try:
        server = new_server("--without-aggregator", REDIS_URL=redis.url)
        codes = start_with_links(server, 3)
        both = [own_aggregator(server, redis.url) for _ in range(2)]
        for turn in range(1, 6):
            follow_all(server, codes, 4)
            for aggregator in both:
                work_off(aggregator)
            assert server.site_clicks() == turn * 12
        assert [server.clicks(code) for code in codes] == [20, 20, 20]
    finally:
        redis.stop()


def test_a_store_that_went_back_gets_its_clicks_again(
    new_server: NewServer, tmp_path: Path
) -> None:
    """Redis comes back with an older state and nobody clicks: the clicks since are replayed."""
    redis = private_redis(tmp_path / "r")
    files = tmp_path / "r" / "redis" / "appendonlydir"
    try:
        server = new_server(REDIS_URL=redis.url)
        codes = start_with_links(server, 3)
        follow_all(server, codes, 10)
        assert eventually(server.site_clicks, lambda clicks: clicks == 30) == 30
        shutil.copytree(files, tmp_path / "older")
        follow_all(server, codes, 10)
        assert eventually(server.site_clicks, lambda clicks: clicks == 60) == 60

        redis.kill()
        shutil.rmtree(files)
        shutil.copytree(tmp_path / "older", files)
        redis.start()

        assert eventually(server.site_clicks, lambda clicks: clicks == 60) == 60
        time.sleep(1.5)
        assert [server.clicks(code) for code in codes] == [20, 20, 20]
        assert server.site_clicks() == 60
    finally:
        redis.stop()


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (("maxmemory", "1"), ("maxmemory", "0")),
        (("min-replicas-to-write", "1"), ("min-replicas-to-write", "0")),
    ],
    ids=["memory is full", "no replica"],
)
def test_a_store_that_cannot_write_gets_its_clicks_later(
    new_server: NewServer, begin: tuple[str, str], end: tuple[str, str]
) -> None:
    """Redirects go on, links are 503, clicks wait in the journal; nothing is set aside or lost."""
    server = new_server().start()
    codes = [server.make_link()["code"] for _ in range(3)]
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    follow_all(server, codes, 1)
    for _ in range(3):
        store.config_set(*begin)
        follow_all(server, codes, 5)
        refused = server.api("POST", "/links", json={"url": "https://example.com/"})
        assert refused.status_code == 503
        time.sleep(1.0)
        store.config_set(*end)
    store.close()
    for code in codes:
        assert eventually(lambda c=code: server.clicks(c), lambda clicks: clicks >= 16) == 16
    assert eventually(server.site_clicks, lambda clicks: clicks >= 48) == 48
    assert not (server.data_dir / "set-aside").exists()


def test_a_demoted_store_gets_its_clicks_later(new_server: NewServer) -> None:
    """`READONLY`, as after a failover: the same."""
    server = new_server().start()
    code = server.make_link()["code"]
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    store.execute_command("REPLICAOF", "127.0.0.1", "1")
    follow_all(server, [code], 20)
    assert server.api("POST", "/links", json={"url": "https://example.com/"}).status_code == 503
    time.sleep(1.5)
    store.execute_command("REPLICAOF", "NO", "ONE")
    store.close()
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 20) == 20
    assert not (server.data_dir / "set-aside").exists()


def test_an_emptied_store_is_no_loop(new_server: NewServer) -> None:
    """`FLUSHALL`: links are 404, nothing crashes, and new clicks count again."""
    server = new_server()
    (code,) = start_with_links(server, 1)
    assert server.follow(code).status_code == 302
    assert eventually(server.site_clicks, lambda clicks: clicks == 1) == 1
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    store.script_flush()
    assert server.follow(code).status_code == 302
    assert eventually(server.site_clicks, lambda clicks: clicks == 2) == 2
    store.flushall()
    store.close()
    assert server.follow(code).status_code == 404
    server.stop()
    server.start()  # registers the admin key again
    new = server.make_link()["code"]
    assert server.follow(new).status_code == 302
    assert eventually(lambda: server.clicks(new), lambda clicks: clicks == 1) == 1


def test_a_click_of_a_deleted_link_goes_to_no_namesake(
    new_server: NewServer, tmp_path: Path
) -> None:
    """A click counts for the link's number: not for another link that took the name since."""
    redis = private_redis(tmp_path / "r")
    try:
        server = new_server("--without-aggregator", REDIS_URL=redis.url)
        server.start()
        server.make_link(code="same")
        assert server.follow("same").status_code == 302
        assert server.api("DELETE", "/links/same").status_code == 204
        server.make_link("https://example.com/other", code="same")
        work_off(own_aggregator(server, redis.url))
        assert server.clicks("same") == 0
        assert server.site_clicks() == 1
    finally:
        redis.stop()


def follow_all(server: Server, codes: list[str], times: int) -> None:
    for _ in range(times):
        for code in codes:
            assert server.follow(code).status_code == 302


def own_aggregator(server: Server, url: str) -> Aggregator:
    """An aggregator in this process, over the journals of `server`; Redis knows its script."""
    settings = Settings.load({"SHORTENER_DATA_DIR": str(server.data_dir)})
    store = connections.sync(url)
    store.script_load(SCRIPT)
    return wiring.aggregator(settings, store, "test")


def work_off(aggregator: Aggregator) -> None:
    while aggregator.step():
        pass


def work_off_as_far_as_it_goes(aggregator: Aggregator) -> bool:
    """Whether that was not to the end."""
    try:
        work_off(aggregator)
    except connections.StoreError:
        return True
    return False
