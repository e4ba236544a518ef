"""What redirects wait while clicks are counted, and while others read lists and statistics.

2,000 redirects a second over 64 connections, alone and beside eight clients that ask the API one
question after the other, which Flask answers in processes beside the event loops.  And 20,000 a
second while their clicks are counted, and while they are not: the aggregator is held up meanwhile.
What was clicked in one load is counted before the next.
"""

import argparse
import http.client
import threading
from pathlib import Path
from statistics import median

from benchmarks import report, wrk
from benchmarks.arguments import positive
from benchmarks.client import Wrong
from benchmarks.comparison import settle
from benchmarks.contenders import Ours
from benchmarks.report import say

LINKS = 10_000
RATE = 2_000  # redirects a second
COUNTED_RATE = 20_000  # the same, where counting them takes time
CONNECTIONS = 64
READERS = 8
WARM_UP = 4  # seconds: by then most links are remembered


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", metavar="N", type=positive, default=3, help="default: 3")
    parser.add_argument(
        "--seconds", metavar="N", type=positive, default=10, help="of load, each; default: 10"
    )


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 1 when anything was refused, broken or miscounted."""
    quiet, busy, counted, uncounted, read = [], [], [], [], []
    failed, missing = 0, 0
    with report.scratch() as scratch, Ours(Path(scratch)) as ours:
        codes = ours.fill(LINKS)
        load = wrk.Load(Path(scratch), ours.port, CONNECTIONS)
        warm = load.follow(codes, WARM_UP, 4 * arguments.rounds, COUNTED_RATE)
        clicks = settle(ours, codes, warm.answers)
        for turn in range(arguments.rounds):
            quiet.append(load.follow(codes, arguments.seconds, 4 * turn, RATE))
            with Readers(ours, codes) as readers:
                busy.append(load.follow(codes, arguments.seconds, 4 * turn + 1, RATE))
            read.append(readers.answers / arguments.seconds)
            failed += readers.failed
            counted.append(load.follow(codes, arguments.seconds, 4 * turn + 2, COUNTED_RATE))
            expected = clicks + sum(loads[-1].answers for loads in (quiet, busy, counted))
            clicks = settle(ours, codes, expected)
            missing += max(0, expected - clicks)
            with ours.held_up():
                uncounted.append(load.follow(codes, arguments.seconds, 4 * turn + 3, COUNTED_RATE))
            expected = clicks + uncounted[-1].answers
            clicks = settle(ours, codes, expected)
            missing += max(0, expected - clicks)
            say(
                f"round {turn + 1}, p99: {quiet[-1].p99:.2f} ms alone, {busy[-1].p99:.2f} beside; "
                f"{counted[-1].p99:.2f} ms counted, {uncounted[-1].p99:.2f} not"
            )
    runs = {
        "alone": quiet,
        f"beside {READERS} readers": busy,
        "counted": counted,
        "not counted": uncounted,
    }
    rows = [
        [name, *(f"{median(map(of, loads)):,.2f}" for loads in runs.values())]
        for name, of in (
            ("redirects/s", lambda load: load.rate),
            ("p50, ms", lambda load: load.p50),
            ("p99, ms", lambda load: load.p99),
            ("worst, ms", lambda load: load.worst),
        )
    ]
    rows.append(["answers of the API a second", "", f"{median(read):,.0f}", "", ""])
    report.table(["median", *runs], rows)
    figures = {name: [load._asdict() for load in loads] for name, loads in runs.items()}
    report.keep(arguments.json, figures | {"read": read})
    if failed or missing:
        say(f"{failed} readers failed, and {missing:,} clicks were not counted")
    lost = any(load.refused or load.broken for loads in runs.values() for load in loads)
    return 1 if lost or failed or missing else 0


class Readers:
    """Clients that read lists and statistics without pause, as a `with`."""

    def __init__(self, ours: Ours, codes: list[str]) -> None:
        self._ours = ours
        self._questions = (
            *("/api/v1/links?limit=50", "/api/v1/stats", "/api/v1/links?search=headline"),
            f"/api/v1/links/{codes[0]}/stats",
        )
        self._stop = threading.Event()
        self.answers = self.failed = 0
        self._threads = [
            threading.Thread(target=self._read, args=(place,)) for place in range(READERS)
        ]

    def __enter__(self) -> "Readers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _read(self, place: int) -> None:
        try:
            with self._ours.client() as client:
                while not self._stop.is_set():
                    client.read(self._questions[place % len(self._questions)])
                    self.answers += 1
                    place += 1
        except (OSError, http.client.HTTPException, Wrong) as error:
            self.failed += 1
            say(f"a reader was cut off: {error}")
