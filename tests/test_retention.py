"""How long statistics are kept: what is finer goes earlier, so a link's memory is bounded."""

import time
from collections.abc import Callable

import pytest

from shortener import connections, keys
from shortener.statistics import cells
from tests.harness import Server, eventually, run
from tests.written import click, stored, write

NewServer = Callable[..., Server]
DAY = 86_400  # seconds


def test_hashes_go_when_their_cells_are_not_kept_any_more(new_server: NewServer) -> None:
    """Each hash lives as long as its last cell is kept and a few days more; totals and months stay
    for ever."""
    kept = {"q": 3, "b": 5, "d": 40}
    server = new_server(WORKERS="1", KEEP_QUARTERS="3", KEEP_LABELS="5", KEEP_DAYS="40").start()
    server.make_link(code="kept")
    link, now = stored(server, "kept"), int(time.time())
    write(server, [click(now * 1000, link)])
    assert eventually(lambda: server.clicks("kept"), bool) == 1
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    names = cells.statistics(keys.bucket(link.name), str(link.number), now)
    left = {name[0]: store.ttl(name) / DAY for name in names if store.exists(name)}
    store.close()
    longest = {"q": 7, "b": 4, "d": 366}  # days from a hash's first cell to its end
    assert left.keys() == {"t", "m", *kept}
    for kind, days in kept.items():
        assert days < left[kind] <= days + longest[kind] + 3, left
    assert left["t"] < 0
    assert left["m"] < 0


def test_what_comes_too_late_to_be_kept_leaves_nothing_behind(new_server: NewServer) -> None:
    """A click that is older than its finer cells are kept counts for its month and for ever."""
    server = new_server(WORKERS="1", KEEP_QUARTERS="3", KEEP_LABELS="5", KEEP_DAYS="5").start()
    server.make_link(code="older")
    link, now = stored(server, "older"), int(time.time())
    write(server, [click((now - 800 * DAY) * 1000, link, referrer="https://t.co/")])
    read = lambda: server.api("GET", "/links/older").json()["clicks"]  # noqa: E731
    assert eventually(read, bool) == 1
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    own = f":{link.number}".encode()
    found = {name[:1] for name in store.scan_iter(count=1000) if own in name and b"{" in name}
    store.close()
    assert found & {b"q", b"b", b"d"} == set()
    answer = server.api("GET", "/links/older/stats?from=2024-01-01&interval=month").json()
    assert answer["totals"]["clicks"] == 1
    assert {"value": "t.co", "clicks": 1} in answer["by"]["referrer"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"KEEP_DAYS": "10"}, "SHORTENER_KEEP_DAYS: is less than KEEP_LABELS or KEEP_QUARTERS"),
        ({"KEEP_LABELS": "0"}, "SHORTENER_KEEP_LABELS: must be a whole number from 1 to 400"),
        ({"KEEP_QUARTERS": "101"}, "SHORTENER_KEEP_QUARTERS: must be a whole number from 1 to 100"),
        ({"COUNTRY_HEADER": "a b"}, "SHORTENER_COUNTRY_HEADER: must be the name of a header"),
        ({"GEOIP_DB": "/nowhere"}, "SHORTENER_GEOIP_DB: cannot read /nowhere"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_settings_that_make_no_sense_stop_the_start(
    tmp_path: object, settings: dict[str, str], said: str
) -> None:
    """One line on stderr and exit status 2."""
    answer = run("serve", DATA_DIR=str(tmp_path), BIND="127.0.0.1:0", **settings)
    assert (answer.returncode, answer.stderr.strip()) == (2, f"shortener: {said}")
