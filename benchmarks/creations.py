"""Links made a second, one request each: ours against plain Flask.

In each round both are started afresh and run alone, in turned order.  A round ends with the books:
the links that there are must be those whose making was answered, or up to one more for each
connection.  Where the time goes is told by program: what the operating system says that each had.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks import processes, report, wrk
from benchmarks.arguments import positive
from benchmarks.comparison import Books, Result, Round, judge, present, take_turns
from benchmarks.contenders import KEY, PROGRAMS, Contender, Ours, Plain

CONTENDERS: tuple[type[Contender], ...] = (Ours, Plain)
BY_PROGRAM = {Ours.name: PROGRAMS, Plain.name: {"gunicorn": "Flask", "valkey": "Redis"}}
CONNECTIONS = 16
WARM_UP = 1  # seconds
SETTLING = 0.3  # seconds in which no link is made any more
FIGURES: dict[str, Callable[[wrk.Outcome], float]] = {
    f"creations/s, {CONNECTIONS} connections": lambda load: load.rate,
    "p50, ms": lambda load: load.p50,
    "p99, ms": lambda load: load.p99,
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", metavar="N", type=positive, default=5, help="default: 5")
    parser.add_argument(
        "--seconds", metavar="N", type=positive, default=6, help="of load, each; default: 6"
    )
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 seconds")


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 1 when anything was refused, broken or miscounted."""
    rounds, seconds = (2, 2) if arguments.quick else (arguments.rounds, arguments.seconds)
    costs: dict[str, list[dict[str, float]]] = {kind.name: [] for kind in CONTENDERS}

    def one(kind: type[Contender], turn: int) -> Round:
        result, spent = measure(kind, seconds, turn)
        costs[kind.name].append(spent)
        return {CONNECTIONS: result}

    results = take_turns(present(CONTENDERS), rounds, one)
    of = {name: [one[CONNECTIONS].load for one in of_rounds] for name, of_rounds in results.items()}
    first, second = of.values()
    rows = []
    for name, figure in FIGURES.items():
        values = [f"{median(map(figure, loads)):,.1f}" for loads in of.values()]
        pairs = zip(first, second, strict=True)
        rows.append([name, *values, f"{median(figure(a) / figure(b) for a, b in pairs):.2f}"])
    report.table(["median", *of, "ours / plain"], rows)
    print()
    told = [
        [f"{name}: {program}", f"{median(spent[program] for spent in costs[name]):,.0f}"]
        for name in costs
        for program in costs[name][0]
    ]
    report.table(["processor time of a creation, us", ""], told)
    figures = {name: [load._asdict() for load in loads] for name, loads in of.items()}
    report.keep(arguments.json, figures | {"processor": costs})
    return judge(results)


def measure(kind: type[Contender], seconds: int, turn: int) -> tuple[Result, dict[str, float]]:
    """One round of one contender, from its start to its end; and the processor time of a creation
    by program, in microseconds."""
    with report.scratch() as scratch, kind(Path(scratch)) as contender:
        load = wrk.Load(Path(scratch), contender.port, CONNECTIONS)
        load.create(KEY, WARM_UP, seed=2 * turn + 1)
        before = settled(contender)
        programs = BY_PROGRAM[kind.name]
        had = processes.seconds_by_program(contender.pids, programs)
        outcome = load.create(KEY, seconds, seed=2 * turn + 2)
        has = processes.seconds_by_program(contender.pids, programs)
        made = settled(contender) - before
        spent = {name: (has[name] - had[name]) * 1e6 / max(1, made) for name in has}
        return Result(outcome, Books(outcome.answers, made, CONNECTIONS, 0.0), 0.0), spent


def settled(contender: Contender) -> int:
    """How many links there are when no more are made: those under way are made after the load."""
    links = contender.links()
    while True:
        time.sleep(SETTLING)
        if (now := contender.links()) == links:
            return links
        links = now
