"""What redirects wait while others read lists and statistics without pause.

2,000 redirects a second over 64 connections, first alone and then beside eight clients that ask
the API one question after the other, which Flask answers in processes beside the event loops.
"""

import argparse
import http.client
import threading
from pathlib import Path
from statistics import median

from benchmarks import report, wrk
from benchmarks.arguments import positive
from benchmarks.contenders import Ours
from benchmarks.report import say

LINKS = 10_000
RATE = 2_000  # redirects a second
CONNECTIONS = 64
READERS = 8


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", metavar="N", type=positive, default=3, help="default: 3")
    parser.add_argument(
        "--seconds", metavar="N", type=positive, default=10, help="of load, each; default: 10"
    )


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 1 when anything was refused or broken."""
    quiet, busy, read = [], [], []
    with report.scratch() as scratch, Ours(Path(scratch)) as ours:
        codes = ours.fill(LINKS)
        load = wrk.Load(Path(scratch), ours.port, CONNECTIONS)
        for turn in range(arguments.rounds):
            quiet.append(load.follow(codes, arguments.seconds, 2 * turn, RATE))
            with Readers(ours, codes) as readers:
                busy.append(load.follow(codes, arguments.seconds, 2 * turn + 1, RATE))
            read.append(readers.answers / arguments.seconds)
            say(f"round {turn + 1}: p99 {quiet[-1].p99:.2f} ms alone, {busy[-1].p99:.2f} ms beside")
    rows = [
        [name, *(f"{median(map(of, loads)):,.2f}" for loads in (quiet, busy))]
        for name, of in (
            ("redirects/s", lambda load: load.rate),
            ("p50, ms", lambda load: load.p50),
            ("p99, ms", lambda load: load.p99),
            ("worst, ms", lambda load: load.worst),
        )
    ]
    rows.append(["answers of the API a second", "", f"{median(read):,.0f}"])
    report.table(["median", "alone", f"beside {READERS} readers"], rows)
    figures = {"alone": [o._asdict() for o in quiet], "beside": [o._asdict() for o in busy]}
    report.keep(arguments.json, figures | {"read": read})
    return 1 if any(load.refused or load.broken for load in (*quiet, *busy)) else 0


class Readers:
    """Clients that read lists and statistics without pause, as a `with`."""

    def __init__(self, ours: Ours, codes: list[str]) -> None:
        self._ours = ours
        self._questions = (
            *("/api/v1/links?limit=50", "/api/v1/stats", "/api/v1/links?search=headline"),
            f"/api/v1/links/{codes[0]}/stats",
        )
        self._stop = threading.Event()
        self.answers = 0
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
        except (OSError, http.client.HTTPException) as error:
            say(f"a reader was cut off: {error}")
