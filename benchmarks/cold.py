"""Redirects of more links than a worker remembers, against nginx + Lua + Redis; and its memory.

100,000 codes are followed at random, and ours may remember about a tenth of them, so nine of ten
redirects need Redis, as all of the other's do.
"""

import argparse
from collections.abc import Mapping
from statistics import median
from typing import ClassVar

from benchmarks import processes, report
from benchmarks.arguments import positive
from benchmarks.comparison import YARDSTICK, judge, measure, medians, present, take_turns
from benchmarks.contenders import Contender, Ours
from benchmarks.nginx import Lua

LINKS = 100_000
CONNECTIONS = 64
MEGABYTES = 12  # 10,000 links of 1.2 kB


class Bounded(Ours):
    """Ours, remembering a tenth."""

    settings: ClassVar[Mapping[str, str]] = {"LINK_CACHE": str(MEGABYTES)}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", metavar="N", type=positive, default=3, help="default: 3")
    parser.add_argument(
        "--seconds", metavar="N", type=positive, default=10, help="of load, each; default: 10"
    )


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 1 when anything was refused, broken, wrong or miscounted."""
    resident: list[int] = []

    def look(contender: Contender) -> None:
        if isinstance(contender, Ours):
            workers = [p for p in contender.pids if "gunicorn: worker" in processes.command(p)]
            resident.append(max(map(processes.resident, workers)))

    results = take_turns(
        present((Bounded, Lua)),
        arguments.rounds,
        lambda kind, turn: measure(kind, (CONNECTIONS,), arguments.seconds, turn, LINKS, look),
    )
    rows = [
        [name, f"{figures['rate']:,.0f}", f"{figures['p99']:.2f}", f"{figures['processor']:.1f}"]
        for name, by in medians(results).items()
        for figures in by.values()
    ]
    title = f"{LINKS:,} codes at random, {CONNECTIONS} connections"
    report.table([title, "redirects/s", "p99, ms", "processor, µs"], rows)
    if results.get(YARDSTICK):
        pairs = zip(results[Bounded.name], results[YARDSTICK], strict=True)
        ratio = median(a[CONNECTIONS].load.rate / b[CONNECTIONS].load.rate for a, b in pairs)
        print(f"\nours against {YARDSTICK}: {ratio:.2f}")
    print(f"\nmemory of a worker after it: {max(resident) / 1e6:.0f} MB")
    figures = {"medians": medians(results), "resident": resident}
    report.keep(arguments.json, figures)
    return judge(results)
