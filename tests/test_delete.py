"""`DELETE /api/v1/links/{code}`: the link goes, its statistics with it, the site's stay."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from shortener import connections, keys
from shortener.journal import Click, Journal
from shortener.links.repository import decode
from shortener.statistics import cells
from tests.harness import BROWSER, Server, eventually

NewServer = Callable[..., Server]
DAY = 24 * 3600 * 1000  # milliseconds


def number_of(store: redis.Redis, code: str) -> int:
    """The number that the statistics of a link are kept under."""
    record = store.get(keys.link(code))
    assert isinstance(record, bytes)
    return decode(record).number


def kept_of(store: redis.Redis, code: str, number: int) -> set[str]:
    """What kinds of key of a link are in the store, and whether its index has it; of visitors those
    of the last week, as those of days long ago live on for a few minutes."""
    found = {name.decode() for name in store.scan_iter(count=1000)}
    kinds = {name[0] for name in found if name.split(":")[2:3] in ([str(number)], [code])}
    bucket = keys.bucket(code)
    if not store.exists(*cells.visitors(bucket, str(number), int(time.time()))):
        kinds.discard("v")
    entry = store.zscore(keys.index(keys.bucket(code)), code)
    return kinds | (set() if entry is None else {"i"})


def click_at(at: int, number: int, code: str) -> Click:
    return Click(at, number, code, (), "192.0.2.1", BROWSER, "", "")


@pytest.mark.parametrize("fields", [{}, {"code": "deleted"}, {"code": "محذوف"}], ids=str)
def test_a_deleted_link_is_nowhere(server: Server, fields: dict[str, str]) -> None:
    """204 without a body; then every address of it is 404, also for visitors, and the list is
    without it."""
    code = server.make_link(**fields)["code"]
    assert server.follow(code).status_code == 302
    answer = server.api("DELETE", f"/links/{code}")
    assert (answer.status_code, answer.content) == (204, b"")
    calls = [("GET", ""), ("DELETE", ""), ("PATCH", ""), ("GET", "/stats")]
    answers = [server.api(method, f"/links/{code}{rest}", json={}) for method, rest in calls]
    assert [(a.status_code, a.json()["type"]) for a in answers] == [
        (404, "/-/errors#link-not-found")
    ] * len(calls)
    assert server.follow(code).status_code == 404
    listed = server.api("GET", "/links", params={"limit": 200}).json()["links"]
    assert code not in [link["code"] for link in listed]


def test_deletion_knows_no_case(server: Server) -> None:
    """The code may be spelled as a visitor may spell it."""
    code = server.make_link(code="delete-case")["code"]
    assert server.api("DELETE", "/links/DELETE-Case").status_code == 204
    assert server.api("GET", f"/links/{code}").status_code == 404


def test_other_links_stay(server: Server) -> None:
    """A link whose code only begins alike is not touched."""
    server.make_link(code="del-one")
    other = server.make_link(code="del-one-more")
    assert server.api("DELETE", "/links/del-one").status_code == 204
    assert server.api("GET", "/links/del-one-more").json() == other


def test_an_unknown_parameter_deletes_nothing(server: Server) -> None:
    """422 that names it, and the link is still there."""
    code = server.make_link()["code"]
    answer = server.api("DELETE", f"/links/{code}", params={"force": "true"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["force"]
    assert server.api("GET", f"/links/{code}").status_code == 200


def test_nothing_of_it_stays_in_the_store(new_server: NewServer) -> None:
    """Record, index entry, totals, quarters and days are gone, also those of clicks long ago;
    the link beside it keeps its own."""
    server = new_server(WORKERS="1").start()
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    codes = [server.make_link()["code"] for _ in range(2)]
    numbers = [number_of(store, code) for code in codes]
    now = time.time_ns() // 1_000_000
    ages = [0, 1, 8, 20, 34, 100, 500, 799]
    journal = Journal(server.data_dir / "journal", _host(server), "never", 1 << 30)
    journal.append(
        [
            click_at(now - age * DAY, number, code)
            for code, number in zip(codes, numbers, strict=True)
            for age in ages
        ]
    )
    journal.close()
    for code in codes:
        total = eventually(lambda code=code: _total(server, code), lambda n: n == len(ages))
        assert total == len(ages)
    before = [kept_of(store, code, number) for code, number in zip(codes, numbers, strict=True)]
    assert before == [{"l", "i", "t", "q", "d", "m", "b", "v"}] * 2
    assert server.api("DELETE", f"/links/{codes[0]}").status_code == 204
    after = [kept_of(store, code, number) for code, number in zip(codes, numbers, strict=True)]
    assert after == [set(), before[1]]
    store.close()


def test_clicks_on_their_way_bring_nothing_back(new_server: NewServer) -> None:
    """Clicks that are counted after the deletion count for the site, and leave no key of the
    link behind."""
    server = new_server("--without-aggregator", WORKERS="1").start()
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    code = server.make_link()["code"]
    number = number_of(store, code)
    assert [server.follow(code).status_code for _ in range(5)] == [302] * 5
    assert server.api("DELETE", f"/links/{code}").status_code == 204
    store.close()
    server.stop()
    whole = Server(server.data_dir, **server.settings).start()
    try:
        assert eventually(whole.site_clicks, lambda clicks: clicks == 5) == 5
        store = connections.sync(f"unix://{server.data_dir}/redis/socket")
        assert kept_of(store, code, number) == set()
        store.close()
    finally:
        whole.stop()


def test_the_site_keeps_the_clicks(new_server: NewServer) -> None:
    """What was clicked was clicked: the statistics of the site do not change."""
    server = new_server(WORKERS="1").start()
    gone, stays = server.make_link()["code"], server.make_link()["code"]
    for code in (gone, gone, stays):
        assert server.follow(code).status_code == 302
    assert eventually(server.site_clicks, lambda clicks: clicks == 3) == 3
    before = server.api("GET", "/stats").json()
    assert server.api("DELETE", f"/links/{gone}").status_code == 204
    after = server.api("GET", "/stats", params={"from": before["from"], "to": before["to"]}).json()
    assert after == before


def test_the_name_can_be_given_again(server: Server) -> None:
    """A new link of the same name leads where it says, and its clicks begin at zero."""
    server.make_link("https://example.com/old", code="again")
    assert server.follow("again").status_code == 302
    assert eventually(lambda: server.clicks("again"), lambda clicks: clicks == 1) == 1
    assert server.api("DELETE", "/links/again").status_code == 204
    link = server.make_link("https://example.com/new", code="again")
    assert (link["clicks"], link["last_clicked_at"]) == (0, None)
    assert server.clicks("again") == 0
    assert server.follow("again").headers["location"] == "https://example.com/new"
    assert eventually(lambda: server.clicks("again"), lambda clicks: clicks == 1) == 1


def test_of_deletions_at_once_one_succeeds(server: Server) -> None:
    """Of ten at the same moment exactly one is 204, the others are 404; for each of ten links."""

    def delete(code: str) -> int:
        return server.api("DELETE", f"/links/{code}").status_code

    with ThreadPoolExecutor(10) as threads:
        for _ in range(10):
            code = server.make_link()["code"]
            assert sorted(threads.map(delete, [code] * 10)) == [204] + [404] * 9


def _host(server: Server) -> str:
    return (server.data_dir / "host").read_text().strip()


def _total(server: Server, code: str) -> int:
    return int(server.api("GET", f"/links/{code}").json()["clicks"])
