"""Redirects and creations a second: ours against plain Flask, on the same machine in turn.

In each round each contender is started afresh and runs alone; the order is swapped from round to
round, so whatever else the machine does wears both.  A round ends with the books: the clicks and
links that the contender has counted must be those that were answered, or up to one more for each
connection (`benchmarks.wrk` says why).  A contender's figure is the median of its rounds; the ratio
is the median of the rounds' own ratios.

Which worker gets how many of the connections is chance, and a round in which one gets all of them
is half as fast; that is why there are several rounds, each with new connections.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import report, wrk
from benchmarks.arguments import positive
from benchmarks.contenders import CONTENDERS, KEY, Contender
from benchmarks.destinations import destination
from benchmarks.report import say

LINKS = 1_000  # that are there to be followed
FOLLOWING = 64  # connections
CREATING = 16  # connections
WARM_UP = 1  # seconds; the links made and followed before have warmed up the rest
COUNTING_PATIENCE = 60.0  # seconds until all clicks have to be counted


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
    """One round of one contender."""

    redirects: wrk.Outcome
    clicks: Books
    creations: wrk.Outcome
    links: Books

    @property
    def faults(self) -> list[str]:
        """What must not happen, each in a few words."""
        found = []
        for what, outcome, books in (
            ("redirects", self.redirects, self.clicks),
            ("creations", self.creations, self.links),
        ):
            if outcome.refused or outcome.broken:
                found.append(f"{what}: {outcome.refused} refused, {outcome.broken} broken")
            if not books.balance:
                found.append(f"{what}: {books.answered} answered, {books.counted} counted")
        return found


class Figure(NamedTuple):
    """One row of the table."""

    name: str
    key: str
    of: Callable[[Result], float]
    digits: int = 0
    compared: bool = True


FIGURES = (
    Figure(f"redirects/s, {FOLLOWING} connections", "redirect_rate", lambda r: r.redirects.rate),
    Figure("redirect p50, ms", "redirect_p50", lambda r: r.redirects.p50, 2),
    Figure("redirect p99, ms", "redirect_p99", lambda r: r.redirects.p99, 2),
    Figure("all clicks counted after, s", "counted_after", lambda r: r.clicks.late, 2, False),
    Figure(f"creations/s, {CREATING} connections", "creation_rate", lambda r: r.creations.rate),
    Figure("creation p50, ms", "creation_p50", lambda r: r.creations.p50, 2),
    Figure("creation p99, ms", "creation_p99", lambda r: r.creations.p99, 2),
)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", metavar="N", type=positive, default=5, help="default: 5")
    parser.add_argument(
        "--seconds", metavar="N", type=positive, default=6, help="of load, each; default: 6"
    )
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 seconds")
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument("--only", choices=names, help="measure one contender")


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 1 when anything was refused, broken or miscounted."""
    wrk.find()
    rounds, seconds = (2, 2) if arguments.quick else (arguments.rounds, arguments.seconds)
    chosen = [kind for kind in CONTENDERS if arguments.only in (None, kind.name)]
    results: dict[str, list[Result]] = {kind.name: [] for kind in chosen}
    for turn in range(rounds):
        for kind in chosen if turn % 2 == 0 else reversed(chosen):
            result = measure(kind, seconds, turn)
            results[kind.name].append(result)
            say(f"round {turn + 1} of {rounds}, {kind.name}: {_line(result)}")
    _tell(results, rounds, seconds)
    report.keep(arguments.json, _figures(results, seconds))
    faults = [
        f"{name}, round {place}: {fault}"
        for name, of_rounds in results.items()
        for place, result in enumerate(of_rounds, 1)
        for fault in result.faults
    ]
    for fault in faults:
        say(f"WRONG {fault}")
    return 1 if faults else 0


def measure(kind: type[Contender], seconds: int, turn: int) -> Result:
    """One round of one contender, from its start to its end."""
    with report.scratch() as scratch:
        directory = Path(scratch)
        contender = kind(directory)
        following = wrk.Load(directory, contender.port, FOLLOWING)
        creating = wrk.Load(directory, contender.port, CREATING)
        with contender:
            codes = _fill(contender)
            warm = following.follow(codes, WARM_UP, seed=2 * turn)
            before = _settle(contender, codes, LINKS + warm.answers)
            redirects = following.follow(codes, seconds, seed=2 * turn + 1)
            clicks = _clicks(contender, codes, before, redirects)
            links_before = contender.links()
            creations = creating.create(KEY, seconds, seed=turn + 1)
            made = contender.links() - links_before
            return Result(
                redirects, clicks, creations, Books(creations.answers, made, CREATING, 0.0)
            )


def _fill(contender: Contender) -> list[str]:
    """Make links and follow each once; answers their codes.  Raises `Wrong`."""
    urls = [destination(number) for number in range(LINKS)]
    with contender.client() as client:
        codes = [client.create(url) for url in urls]
        client.check(zip(codes, urls, strict=True))
    return codes


def _clicks(contender: Contender, codes: Sequence[str], before: int, outcome: wrk.Outcome) -> Books:
    """The books after a load.  How late they balance is read as soon as they do."""
    ended = time.monotonic()
    while contender.clicks(codes) - before < outcome.answers:
        if time.monotonic() - ended > COUNTING_PATIENCE:
            break
        time.sleep(0.02)
    late = time.monotonic() - ended
    counted = _settle(contender, codes, before + outcome.answers) - before
    return Books(outcome.answers, counted, FOLLOWING, late)


def _settle(contender: Contender, codes: Sequence[str], expected: int) -> int:
    """The clicks counted, once they are at least `expected` and do not become more.

    Nothing is under way then: clicks are promised to be counted within the contender's delay.
    """
    deadline = time.monotonic() + COUNTING_PATIENCE
    counted, since = contender.clicks(codes), time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(0.05)
        now = contender.clicks(codes)
        if now != counted:
            counted, since = now, time.monotonic()
        elif counted >= expected and time.monotonic() - since > contender.counting_delay:
            break
    return counted


def _line(result: Result) -> str:
    verdict = "; ".join(result.faults) or "all counted"
    return (
        f"{result.redirects.rate:,.0f} redirects/s (p99 {result.redirects.p99:.1f} ms), "
        f"{result.creations.rate:,.0f} creations/s, {verdict}"
    )


def _medians(results: dict[str, list[Result]]) -> dict[str, dict[str, float]]:
    return {
        figure.key: {name: median(map(figure.of, rounds)) for name, rounds in results.items()}
        for figure in FIGURES
    }


def _ratios(results: dict[str, list[Result]]) -> dict[str, float | None]:
    """Ours by plain, by figure; None where that says nothing or only one was measured."""
    first, *others = (results.get(kind.name, []) for kind in CONTENDERS)
    ratios: dict[str, float | None] = {}
    for figure in FIGURES:
        pairs = [(figure.of(a), figure.of(b)) for a, b in zip(first, *others, strict=False)]
        wanted = figure.compared and pairs
        ratios[figure.key] = median(a / b for a, b in pairs) if wanted else None
    return ratios


def _tell(results: dict[str, list[Result]], rounds: int, seconds: int) -> None:
    medians, ratios = _medians(results), _ratios(results)
    rows = []
    for figure in FIGURES:
        values = [f"{value:,.{figure.digits}f}" for value in medians[figure.key].values()]
        ratio = ratios[figure.key]
        rows.append([figure.name, *values, "" if ratio is None else f"{ratio:.2f}"])
    exact = [
        f"{sum(result.clicks.balance for result in of_rounds)} of {rounds}"
        for of_rounds in results.values()
    ]
    rows.append(["rounds with every click counted", *exact, ""])
    report.table(["median", *results, "ours / plain"], rows)
    machine = report.machine()
    print(
        f"\n{rounds} rounds of {seconds} s, in turn, on {machine['processors']} processors, "
        f"Python {machine['python']}; the ratio is the median of the rounds' ratios."
    )


def _figures(results: dict[str, list[Result]], seconds: int) -> dict[str, Any]:
    rounds = {
        name: [{field: part._asdict() for field, part in result._asdict().items()} for result in of]
        for name, of in results.items()
    }
    return {
        "seconds": seconds,
        "medians": _medians(results),
        "ratios": _ratios(results),
        "rounds": rounds,
    }
