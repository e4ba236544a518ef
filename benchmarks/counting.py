"""What counting a click costs, in the processor time that answering its redirect takes.

Visitors follow links through a proxy that is believed, over 64 connections, while the aggregator is
held up: what the workers and Redis have had is the redirects'.  Then the aggregator goes on, and
what it and Redis have had when every click is in the statistics is the counting's.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import ClassVar, NamedTuple

from benchmarks import processes, report, wrk
from benchmarks.arguments import positive
from benchmarks.contenders import PROGRAMS, Ours
from benchmarks.report import say
from benchmarks.visitors import MIX, visitors

CONNECTIONS = 64
PATIENCE = 120.0  # seconds until clicks have to be in the statistics


class Case(NamedTuple):
    """Who follows how many links: what they share is counted together."""

    links: int
    visitors: int

    def __str__(self) -> str:
        return f"{self.links:,} links, {self.visitors:,} visitors"


CASES = (Case(20, MIX), Case(1_000, MIX), Case(20, 50_000))


class Proxied(Ours):
    """Ours, behind a proxy."""

    settings: ClassVar[Mapping[str, str]] = {"TRUSTED_PROXIES": "1"}


class Costs(NamedTuple):
    """Processor time for one click, in microseconds."""

    redirect: float
    aggregator: float
    redis: float

    @property
    def ratio(self) -> float:
        """Clicks that are counted in the time that one redirect takes."""
        return self.redirect / (self.aggregator + self.redis)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", metavar="N", type=positive, default=3, help="default: 3")
    parser.add_argument(
        "--seconds", metavar="N", type=positive, default=10, help="of load, each; default: 10"
    )


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 1 when anything was refused, broken or miscounted."""
    found: dict[Case, list[Costs]] = {}
    good = True
    for case in CASES:
        with report.scratch() as scratch, Proxied(Path(scratch)) as ours:
            codes = ours.fill(case.links)
            load = wrk.Load(Path(scratch), ours.port, CONNECTIONS)
            for turn in range(arguments.rounds + 1):
                costs = _measure(ours, load, case, codes, arguments.seconds, turn)
                good = good and costs is not None
                if costs is not None and turn:  # the first one warms up
                    say(f"{case}, round {turn}: {costs.ratio:.2f} clicks counted for a redirect")
                    found.setdefault(case, []).append(costs)
    rows = [
        [
            str(case),
            *(f"{median(column):.1f}" for column in zip(*costs, strict=True)),
            f"{median(one.ratio for one in costs):.2f}",
        ]
        for case, costs in found.items()
    ]
    title = f"processor time of a click, us; {MIX:,} user agents, referrers, addresses"
    report.table([title, "redirect", "aggregator", "Redis", "counted for a redirect"], rows)
    figures = {str(case): [one._asdict() for one in costs] for case, costs in found.items()}
    report.keep(arguments.json, figures)
    return 0 if good else 1


def _measure(
    ours: Ours, load: wrk.Load, case: Case, codes: list[str], seconds: int, turn: int
) -> Costs | None:
    """What redirects cost, and then the counting of their clicks; None when anything is wrong."""

    def times() -> dict[str, float]:
        return processes.seconds_by_program(ours.pids, PROGRAMS)

    counted_before = ours.clicks(codes)
    with ours.held_up():
        begun = times()
        outcome = load.visit(codes, visitors(case.visitors, turn), seconds, turn)
        answered = times()
    deadline = time.monotonic() + PATIENCE
    while (clicks := ours.clicks(codes) - counted_before) < outcome.answers:
        if time.monotonic() > deadline:
            break
        time.sleep(0.3)
    time.sleep(ours.counting_delay)  # those that wrk has forgotten
    counted, clicks = times(), ours.clicks(codes) - counted_before
    if outcome.refused or outcome.broken:
        say(f"refused: {outcome.refused}, broken: {outcome.broken}")
        return None
    if not outcome.answers <= clicks <= outcome.answers + CONNECTIONS:
        say(f"{outcome.answers} answers and {clicks} clicks")
        return None
    answering = answered["workers"] - begun["workers"] + answered["Redis"] - begun["Redis"]
    return Costs(
        answering * 1e6 / clicks,
        (counted["aggregator"] - answered["aggregator"]) * 1e6 / clicks,
        (counted["Redis"] - answered["Redis"]) * 1e6 / clicks,
    )
