"""What statistics cost: questions and memory.

A link with 10,000,000 clicks over 400 days, with 200 referrers and 100 countries, is filled through
the aggregator's own apply step, beside one with 10,000 over the same days and labels; then the same
questions are asked of both over HTTP, in turn.  Memory is Redis's own figure for every key that a
link has in statistics.  What counting a click costs, `counting` says.
"""

import argparse
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, cast

import redis

from benchmarks import report, stock
from benchmarks.arguments import positive
from benchmarks.client import Client
from benchmarks.contenders import KEY, STOP_PATIENCE, free_port, serve
from benchmarks.report import say
from shortener import children, connections, keys
from shortener.config import Settings
from shortener.counting.columns import Reader
from shortener.counting.marks import Mark
from shortener.counting.pieces import Pieces, apart
from shortener.counting.salts import Salts
from shortener.counting.tally import Tally
from shortener.journal import Click
from shortener.links.link import Link, decode
from shortener.segments import Batch
from shortener.statistics import cells
from shortener.statistics.agents import Agents
from shortener.statistics.places import finder
from shortener.statistics.visits import Facts, Visits

LARGE, SMALL = 10_000_000, 10_000  # clicks
DAYS = 400
REFERRERS, COUNTRIES = 200, 100
BATCH = 24_000  # clicks that an aggregator reads at a time
ROUNDS = 15
SLOW, LONGEST = 100_000, 4  # scripts that are kept in mind, and told
AGES = (0, 10, 75, 130, 1_300)  # days: after each some cells more have expired
KINDS = {  # of keys
    "t": "totals and months",
    "q": "quarters of an hour",
    "d": "days",
    "m": "labels of months",
    "b": "labels of days",
    "v": "visitors",
}
QUESTIONS = (
    ("30 days, by day, all dimensions", ""),
    ("30 days, by hour", "interval=hour&group_by=country"),
    ("30 days in another zone", "tz=Asia/Kolkata"),
    ("90 days, by week", "from={90}&interval=week"),
    ("400 days, by day, all dimensions", "from={400}"),
    ("400 days, by month", "from={400}&interval=month"),
    ("a day, by hour", "from={1}&to={1}&interval=hour"),
)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clicks", metavar="N", type=positive, default=LARGE, help=f"default: {LARGE:,}"
    )


def run(arguments: argparse.Namespace) -> int:
    """Always 0."""
    with report.scratch() as scratch:
        data = Path(scratch) / "data"
        with stock.store(data) as (settings, url):
            (codes,) = stock.fill(settings, url, 4)
            store = connections.sync(url, connections.BATCH_TIMEOUT)
            links = [decode(cast("bytes", store.get(keys.link(code)))) for code in codes]
            worker = Filling(store, settings)
            memory = {
                "30 days of 20 clicks": worker.memory(daily(links[2]), links[2]),
                "10 clicks in all": worker.memory(few(links[3]), links[3]),
            }
            ages = worker.age(links[2])
            slowest = worker.fill(scaled(links[0], arguments.clicks), "the large link")
            worker.fill(scaled(links[1], SMALL), "the small link")
            store.close()
        answers = ask(Path(scratch), data, codes[:2])
    rows = [
        [name, f"{large:.1f}", f"{small:.1f}", f"{large / small:.2f}"]
        for name, large, small in answers
    ]
    report.table([f"ms over HTTP, median of {ROUNDS}", "large", "small", "ratio"], rows)
    print()
    report.table(
        ["what they cost Redis", ""],
        [
            ["longest scripts while filling, ms", ", ".join(f"{ms:.1f}" for ms in slowest)],
            *([f"bytes of statistics, {name}", f"{size:,}"] for name, size in memory.items()),
        ],
    )
    print()
    report.table(
        ["bytes of the 30 days", *(f"after {days} days" for days in ages)],
        [
            [kind, *(f"{sizes.get(kind, 0):,}" for sizes in ages.values())]
            for kind in (*KINDS.values(), "all")
        ],
    )
    report.keep(
        arguments.json,
        {
            "questions": {name: {"large": a, "small": b} for name, a, b in answers},
            "longest_scripts_ms": slowest,
            "bytes": memory,
            "bytes_by_age": ages,
        },
    )
    return 0


class Filling:
    """The aggregator's apply step, without its journals."""

    def __init__(self, store: redis.Redis, settings: Settings) -> None:
        self._store, self._tally = store, Tally(store)
        own, visits = cells.Cells.of(settings), Visits(Facts(finder(""), Agents()))
        salts = Salts(store, settings.timezone, "bench")
        self._pieces = Pieces(Reader(own, visits, salts.visitors), own)
        self._tally.register("bench")
        self._end = 0

    def fill(self, clicks: Iterator[Click], what: str) -> list[float]:
        """Apply them all; the longest scripts, in milliseconds, if they took longer than one."""
        self._store.config_set("slowlog-log-slower-than", 1_000)
        self._store.config_set("slowlog-max-len", SLOW)
        self._store.slowlog_reset()
        done, began = 0, time.monotonic()
        while batch := list(islice(clicks, BATCH)):
            ends = list(range(self._end + 1, self._end + 1 + len(batch)))  # each a byte long
            self._apply(Batch(batch, ends, ends[-1], b""))
            self._end = ends[-1]
            done += len(batch)
            if done % 500_000 < BATCH:
                rate = done / (time.monotonic() - began)
                say(f"{what}: {done:,} clicks, {rate:,.0f} a second")
        slow = self._store.slowlog_get(SLOW)
        scripts = [e["duration"] / 1000 for e in slow if e["command"].startswith(b"EVALSHA")]
        return sorted(scripts, reverse=True)[:LONGEST]

    def memory(self, clicks: list[Click], link: Link) -> int:
        """Bytes of a link's statistics after these clicks, keys and expiries included."""
        self.fill(iter(clicks), "memory")
        return self._sizes(link)["all"]

    def age(self, link: Link) -> dict[int, dict[str, int]]:
        """By days from now, the bytes that are left of a link's statistics, by kind: Redis is let
        delete what expires by then."""
        aged = 0
        found: dict[int, dict[str, int]] = {}
        for days in AGES:
            for name in self._names(link):
                expires = int(self._store.expiretime(name))
                if expires > 0:
                    self._store.expireat(name, expires - (days - aged) * 86_400)
            aged = days
            found[days] = self._sizes(link)
        return found

    def _names(self, link: Link) -> list[str]:
        place = keys.bucket(link.name), str(link.number), int(time.time())
        return [*cells.statistics(*place), *cells.visitors(*place)]

    def _sizes(self, link: Link) -> dict[str, int]:
        """Bytes of a link's statistics, by kind and in all."""
        sizes: dict[str, int] = dict.fromkeys((*KINDS.values(), "all"), 0)
        for name in self._names(link):
            size = int(self._store.memory_usage(name, samples=0) or 0)
            sizes[KINDS[name.partition(":")[0]]] += size
            sizes["all"] += size
        return sizes

    def _apply(self, batch: Batch) -> None:
        """Apply a batch that lies at the end of what was applied."""
        for buckets in apart(keys.BUCKETS):
            begin = Mark(self._end)
            for piece, increments in self._pieces.cut(batch, buckets):
                for bucket in buckets:
                    mark = begin
                    while mark != Mark(piece.end):
                        applied = self._tally.apply("bench", bucket, mark, piece.end, increments)
                        assert applied.mark > mark, applied
                        mark = applied.mark
                begin = Mark(piece.end)


def _click(link: Link, at: datetime, **more: Any) -> Click:
    given: dict[str, Any] = {
        "address": "192.0.2.1",
        "agent": _agent(0),
        "referrer": "",
        "language": "en",
    } | more
    return Click(int(at.timestamp() * 1000), link.number, link.name, link.tags, **given)


def _agent(number: int) -> str:
    system = (
        "Windows NT 10.0; Win64; x64",
        "Linux; Android 14; K",
        "Macintosh; Intel Mac OS X 10_15_7",
    )
    return (
        f"Mozilla/5.0 ({system[number % 3]}) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{100 + number // 60}.0.{number % 60}.0 Safari/537.36"
    )


def scaled(link: Link, clicks: int) -> Iterator[Click]:
    """Clicks over the days, in order, over all referrers and countries."""
    chance, now = random.Random(clicks), datetime.now(UTC)
    start, step = now - timedelta(days=DAYS), timedelta(days=DAYS) / clicks
    for number in range(clicks):
        yield _click(
            link,
            start + number * step,
            address=f"10.{chance.randrange(64)}.{chance.randrange(256)}.{number % 256}",
            agent=_agent(chance.randrange(60)),
            referrer=f"https://site{chance.randrange(REFERRERS)}.example/",
            country=_country(chance.randrange(COUNTRIES)),
            language=("en", "ar", "de", "fr")[number % 4],
            utm=(f"source{number % 10}", "mail", ""),
        )


def _country(number: int) -> str:
    return chr(65 + number // 10) + chr(65 + number % 10)


def daily(link: Link) -> list[Click]:
    """20 clicks a day for 30 days, over 10 referrers and 5 countries."""
    chance, today = random.Random(3), datetime.now(UTC)
    return [
        _click(
            link,
            today - timedelta(days=day, minutes=chance.randrange(1440)),
            address=f"203.0.113.{chance.randrange(256)}",
            agent=_agent(chance.randrange(20)),
            referrer=f"https://referrer{chance.randrange(10)}.example/",
            country=_country(chance.randrange(5)),
        )
        for day in range(29, -1, -1)
        for _ in range(20)
    ]


def few(link: Link) -> list[Click]:
    """The first ten of those, on one day."""
    return daily(link)[-10:]


def ask(directory: Path, data: Path, codes: list[str]) -> list[tuple[str, float, float]]:
    """Each question's median milliseconds over HTTP, of the large link and of the small one."""
    port = free_port()
    command, environ = serve(data, port)
    with (directory / "log").open("wb") as log:
        process = children.start(command, environ, output=log.fileno())
    try:
        client = _connected(port)
        found = []
        for name, query in QUESTIONS:
            times: dict[str, list[float]] = {code: [] for code in codes}
            for _ in range(ROUNDS):
                for code in codes:
                    began = time.perf_counter()
                    client.read(f"/api/v1/links/{code}/stats?{_dated(query)}")
                    times[code].append((time.perf_counter() - began) * 1000)
            large, small = (median(times[code]) for code in codes)
            say(f"{name}: {large:.1f} ms, {small:.1f} ms")
            found.append((name, large, small))
        return found
    finally:
        children.stop(process, STOP_PATIENCE)


def _dated(query: str) -> str:
    for days in (400, 90, 1):
        day = datetime.now(UTC).date() - timedelta(days=days)
        query = query.replace(f"{{{days}}}", str(day))
    return query


def _connected(port: int) -> Client:
    deadline = time.monotonic() + 60
    while True:
        try:
            client = Client(port, KEY)
            client.read("/api/v1/stats")
            return client
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
