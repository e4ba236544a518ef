"""Redirects a second: ours against nginx, what one would build by hand, Flask, and a bare loop.

In each round each contender is started afresh and runs alone; the order is turned from round to
round, so whatever else the machine does wears all.  A contender is filled, warmed up, and followed
over 16, 64 and 256 connections; a run ends with the books: the clicks that the contender has
counted must be those that were answered, or up to one more for each connection (`benchmarks.wrk`
says why).  Before that every answer of a load of its own is looked at.

A contender's figure is the median of its rounds; a ratio is the median of the rounds' own ratios.
Processor time is that of all processes of the contender until its clicks are counted, its store and
what applies them included, by request; wrk's own is not in it.

Which worker gets how many of the connections is chance; that is why there are several rounds, each
with new connections.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import plot, processes, report, wrk
from benchmarks.arguments import positive
from benchmarks.bare import Bare
from benchmarks.client import Wrong
from benchmarks.contenders import Contender, Ours, Plain
from benchmarks.nginx import Lua, Nginx
from benchmarks.report import say

LINKS = 1_000  # that are there to be followed
CONNECTIONS = (16, 64, 256)
CONTENDERS: tuple[type[Contender], ...] = (Ours, Bare, Nginx, Lua, Plain)
YARDSTICK = Lua.name
WARM_UP = 1  # seconds, for each number of connections
COUNTING_PATIENCE = 120.0  # seconds until all clicks have to be counted


class Books(NamedTuple):
    """What a contender counted of what it answered; `late` is in seconds after the load."""

    answered: int
    counted: int
    allowed: int  # so many more were perhaps answered without being reported
    late: float

    @property
    def balance(self) -> bool:
        return 0 <= self.counted - self.answered <= self.allowed


class Result(NamedTuple):
    """One contender under one number of connections, in one round."""

    load: wrk.Outcome
    books: Books | None  # None for who does not count
    processor: float  # microseconds a request

    @property
    def faults(self) -> list[str]:
        """What must not happen, each in a few words."""
        found = []
        if self.load.refused or self.load.broken:
            found.append(f"{self.load.refused} refused, {self.load.broken} broken")
        if self.books is not None and not self.books.balance:
            found.append(f"{self.books.answered} answered, {self.books.counted} counted")
        return found


Round = dict[int, Result]  # by connections


class Figure(NamedTuple):
    """One column of the table."""

    name: str
    of: Callable[[Result], float]
    digits: int = 0


FIGURES = {
    "rate": Figure("redirects/s", lambda result: result.load.rate),
    "p50": Figure("p50, ms", lambda result: result.load.p50, 2),
    "p99": Figure("p99, ms", lambda result: result.load.p99, 2),
    "processor": Figure("processor, µs", lambda result: result.processor, 1),
    "late": Figure("counted after, s", lambda result: result.books.late if result.books else 0, 1),
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", metavar="N", type=positive, default=5, help="default: 5")
    parser.add_argument(
        "--seconds", metavar="N", type=positive, default=6, help="of load, each; default: 6"
    )
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 second")
    parser.add_argument("--connections", metavar="N", type=positive, nargs="+", default=CONNECTIONS)
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument("--only", choices=names, nargs="+", help="measure these")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw an SVG")


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 1 when anything was refused, broken, wrong or miscounted."""
    rounds, seconds = (2, 1) if arguments.quick else (arguments.rounds, arguments.seconds)
    chosen = [
        kind for kind in present(CONTENDERS) if not arguments.only or kind.name in arguments.only
    ]
    results = take_turns(
        chosen, rounds, lambda kind, turn: measure(kind, arguments.connections, seconds, turn)
    )
    _tell(results, rounds, seconds)
    figures = {"seconds": seconds, "medians": medians(results), "ratios": _ratios(results)}
    report.keep(arguments.json, figures | {"rounds": _plain(results)})
    if arguments.plot:
        plot.draw(arguments.plot, medians(results))
    return judge(results)


def present(contenders: Iterable[type[Contender]]) -> list[type[Contender]]:
    """Those that can run here; says what to install for the others.  Raises `LoadError`."""
    wrk.find()
    for kind in contenders:
        if missing := kind.missing():
            say(f"{kind.name} is left out: {missing}")
    return [kind for kind in contenders if not kind.missing()]


def take_turns(
    contenders: Sequence[type[Contender]],
    rounds: int,
    measure: Callable[[type[Contender], int], Round],
) -> dict[str, list[Round]]:
    """Every contender in every round, in turned order; says what comes out."""
    results: dict[str, list[Round]] = {kind.name: [] for kind in contenders}
    for turn in range(rounds):
        for kind in contenders if turn % 2 == 0 else reversed(contenders):
            results[kind.name].append(measure(kind, turn))
            for connections, result in results[kind.name][-1].items():
                verdict = "; ".join(result.faults) or "in order"
                say(
                    f"round {turn + 1} of {rounds}, {kind.name}, {connections} connections: "
                    f"{result.load.rate:,.0f}/s, p99 {result.load.p99:.1f} ms, {verdict}"
                )
    return results


def judge(results: dict[str, list[Round]]) -> int:
    """The exit status; says what was wrong."""
    faults = [
        f"{name}, round {place}, {connections} connections: {fault}"
        for name, rounds in results.items()
        for place, of_round in enumerate(rounds, 1)
        for connections, result in of_round.items()
        for fault in result.faults
    ]
    for fault in faults:
        say(f"WRONG {fault}")
    return 1 if faults else 0


def measure(
    kind: type[Contender],
    connections: Sequence[int],
    seconds: int,
    turn: int,
    links: int = LINKS,
    afterwards: Callable[[Contender], None] | None = None,
) -> Round:
    """One round of one contender, from its start to its end.  Raises `Wrong`."""
    with report.scratch() as scratch, kind(Path(scratch)) as contender:
        codes = contender.fill(links)
        with contender.client() as client:
            every = max(1, links // LINKS)
            checked = [(codes[n], contender.location(n)) for n in range(0, links, every)]
            client.check(checked)
        counted = len(checked) + verify(contender, codes, seed=turn)
        found: Round = {}
        for place, number in enumerate(connections):
            load = wrk.Load(Path(scratch), contender.port, number)
            seed = (turn + 1) * 100 + place
            warm = load.follow(codes, WARM_UP, seed)
            before = settle(contender, codes, counted + warm.answers)
            found[number] = follow(contender, load, codes, seconds, seed + 50, before, number)
            books = found[number].books
            counted = books.counted + before if books is not None else 0
        if afterwards is not None:
            afterwards(contender)
        return found


def verify(contender: Contender, codes: Sequence[str], seed: int) -> int:
    """A second of load of which every answer is looked at; how many there were.  Raises `Wrong`."""
    locations = [contender.location(number) for number in range(len(codes))]
    load = wrk.Load(contender.directory, contender.port, 64)
    outcome = load.verify(codes, locations, WARM_UP, seed)
    if outcome.wrong or outcome.refused or outcome.broken:
        raise Wrong(f"{contender.name}: {outcome.wrong} answers were no redirect, or a wrong one")
    return outcome.answers


def follow(
    contender: Contender,
    load: wrk.Load,
    codes: Sequence[str],
    seconds: int,
    seed: int,
    before: int,
    allowed: int,
) -> Result:
    """A load, its price, and the books after it; `before` clicks were counted already.

    The price is all that the answers cost, also what is counted after the load.
    """
    pids = contender.pids
    had = processes.seconds(pids)
    outcome = load.follow(codes, seconds, seed)
    ended, wanted = time.monotonic(), before + outcome.answers
    while contender.counts and contender.clicks(codes) < wanted:
        if time.monotonic() - ended > COUNTING_PATIENCE:
            break
        time.sleep(0.2)
    late = time.monotonic() - ended
    took = (processes.seconds(pids) - had) * 1e6 / max(1, outcome.answers)
    if not contender.counts:
        return Result(outcome, None, took)
    counted = settle(contender, codes, wanted) - before
    return Result(outcome, Books(outcome.answers, counted, allowed, late), took)


def settle(contender: Contender, codes: Sequence[str], expected: int) -> int:
    """The clicks counted, once they are at least `expected` and do not become more.

    Nothing is under way then: clicks are promised to be counted within the contender's delay.
    """
    deadline = time.monotonic() + COUNTING_PATIENCE
    counted, since = contender.clicks(codes), time.monotonic()
    while contender.counts and time.monotonic() < deadline:
        time.sleep(0.05)
        now = contender.clicks(codes)
        if now != counted:
            counted, since = now, time.monotonic()
        elif counted >= expected and time.monotonic() - since > contender.counting_delay:
            break
    return counted


def medians(results: dict[str, list[Round]]) -> dict[str, dict[int, dict[str, float]]]:
    """By contender, connections and figure."""
    return {
        name: {
            connections: {
                key: median(figure.of(of_round[connections]) for of_round in rounds)
                for key, figure in FIGURES.items()
            }
            for connections in rounds[0]
        }
        for name, rounds in results.items()
        if rounds
    }


def _ratios(results: dict[str, list[Round]]) -> dict[str, dict[int, float]]:
    """Redirects a second against the yardstick's in the same round; empty without it."""
    yardstick = results.get(YARDSTICK) or []
    return {
        name: {
            connections: median(
                mine[connections].load.rate / its[connections].load.rate
                for mine, its in zip(rounds, yardstick, strict=True)
            )
            for connections in yardstick[0]
        }
        for name, rounds in results.items()
        if yardstick
    }


def _tell(results: dict[str, list[Round]], rounds: int, seconds: int) -> None:
    ratios = _ratios(results)
    rows = []
    for name, by_connections in medians(results).items():
        for connections, figures in by_connections.items():
            values = [f"{figures[key]:,.{figure.digits}f}" for key, figure in FIGURES.items()]
            ratio = f"{ratios[name][connections]:.2f}" if ratios else ""
            rows.append([f"{name}, {connections} connections", *values, ratio])
    rows.sort(key=lambda row: int(row[0].rpartition(", ")[2].split()[0]))
    names = [figure.name for figure in FIGURES.values()]
    report.table(["median", *names, f"against {YARDSTICK}"], rows)
    machine = report.machine()
    print(
        f"\n{rounds} rounds of {seconds} s, in turn, on {machine['processors']} processors, "
        f"Python {machine['python']}; the ratio is the median of the rounds' ratios."
    )


def _plain(results: dict[str, list[Round]]) -> dict[str, Any]:
    return {
        name: [
            {
                connections: {
                    "load": result.load._asdict(),
                    "books": result.books and result.books._asdict(),
                    "processor": result.processor,
                }
                for connections, result in of_round.items()
            }
            for of_round in rounds
        ]
        for name, rounds in results.items()
    }
