"""What a question to the list costs with 100,000 links, and what others wait meanwhile.

Links are made through the API a thousand at a time, a third with a tag and all with a title; then
each question is asked in turn, over HTTP, and its total is checked.  Meanwhile another client asks
Redis for a record every few milliseconds, as a redirect does: what it waits is what lists cost it.
"""

import argparse
import json
import threading
import time
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks import report
from benchmarks.arguments import positive
from benchmarks.client import Wrong
from benchmarks.contenders import Ours
from benchmarks.report import say
from shortener import connections
from shortener.embedded import socket_path

LINKS = 100_000
BULK = 1_000
ROUNDS = 7
PAUSE = 0.002  # seconds between two reads of the client that stands for redirects


class Asked(NamedTuple):
    """A query, and which of the links it is answered with: all where `n % divisor == rest`."""

    query: str
    divisor: int = 1
    rest: int = 0

    def total(self, links: int) -> int:
        return sum(1 for n in range(links) if n % self.divisor == self.rest)


QUESTIONS = {
    "newest first": Asked(""),
    "one tag": Asked("tag=third", 3),
    "two tags": Asked("tag=third&tag=ninth", 9),
    "most clicked first": Asked("sort=-clicks"),
    "a text in one link": Asked("search=number%20500%20of", 1 << 60, 500),
    "a text in a tenth": Asked("search=%2F7%2F", 10, 7),
    "a text in all": Asked("search=EXAMPLE"),
    "a text in none": Asked("search=nothing", 1, 1),
    "a text, a tag, by clicks": Asked("search=%2F7%2F&tag=third&sort=-clicks", 30, 27),
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--links", metavar="N", type=positive, default=LINKS, help=f"default: {LINKS:,}"
    )


def run(arguments: argparse.Namespace) -> int:
    """Always 0; raises `Wrong` when a total is not what was made."""
    links = -(-arguments.links // BULK) * BULK
    times: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    with report.scratch() as scratch, Ours(Path(scratch)) as ours:
        _fill(ours, links)
        waits = _Waits(Path(scratch) / "data")
        with waits:
            time.sleep(3)
        quiet, waits.found = waits.found, []
        with waits, ours.client() as client:
            for turn in range(ROUNDS):
                for name, asked in QUESTIONS.items():
                    began = time.monotonic()
                    answer = client.read(f"/api/v1/links?{asked.query}")
                    times[name].append(time.monotonic() - began)
                    if answer["total"] != asked.total(links):
                        raise Wrong(f"{name}: {answer['total']} links, not {asked.total(links)}")
                say(f"round {turn + 1} of {ROUNDS}")
    rows = [
        [name, f"{median(some) * 1000:.1f}", f"{max(some) * 1000:.1f}"]
        for name, some in times.items()
    ]
    report.table([f"lists, {links:,} links, ms", "median", "slowest"], rows)
    waited = {"quiet": quiet, "while lists are read": waits.found}
    report.table(
        ["a record read from Redis, ms", "p50", "p99", "longest"],
        [
            [name, *(f"{value * 1000:.2f}" for value in (median(some), _p99(some), max(some)))]
            for name, some in waited.items()
        ],
    )
    report.keep(arguments.json, {"links": links, "seconds": times, "waits": waited})
    return 0


def _fill(ours: Ours, links: int) -> None:
    """Number n is tagged `third` when 3 divides it, and `ninth` when 9 does."""
    with ours.client() as client:
        for first in range(0, links, BULK):
            wishes = [
                {
                    "url": f"https://www.example.com/{n % 10}/{n:07d}/a-page-of-some-length",
                    "title": f"A title of some words, number {n} of them",
                    "tags": [tag for tag, d in (("third", 3), ("ninth", 9)) if n % d == 0],
                }
                for n in range(first, first + BULK)
            ]
            client.post("/api/v1/links/bulk", json.dumps({"links": wishes}).encode())
            if (first // BULK) % 20 == 19:
                say(f"{first + BULK:,} of {links:,} links made")


class _Waits:
    """Reads one record again and again, and remembers how long each took, in seconds."""

    def __init__(self, data: Path) -> None:
        self._store = connections.sync(f"unix://{socket_path(data)}")
        self.found: list[float] = []

    def __enter__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PAUSE):
            began = time.monotonic()
            self._store.get("l:none")
            self.found.append(time.monotonic() - began)


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[-1]
