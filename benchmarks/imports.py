"""What an import takes: time, the memory of the command, and whose processor time it is.

`shortener import` brings a CSV file into `shortener serve` as it comes: links that have codes, as
from another shortener; then, into a new one, URLs alone, for each of which an equal link is looked
for; then that file again, which must make nothing.  The books: as many links as lines, and no more
after the last.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import processes, report
from benchmarks.arguments import positive
from benchmarks.client import Wrong
from benchmarks.contenders import KEY, PROGRAMS, STOP_PATIENCE, Ours
from benchmarks.destinations import LENGTH, destination
from benchmarks.report import say
from shortener import children

LINKS = 1_000_000
COLUMNS = ("with codes", "URLs alone", "again")


class Import(NamedTuple):
    """One run of the command."""

    seconds: float
    memory: int  # bytes of the command, at most
    processor: dict[str, float]  # microseconds a link, by program


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--links", metavar="N", type=positive, default=LINKS, help=f"default: {LINKS:,}"
    )


def run(arguments: argparse.Namespace) -> int:
    """Always 0; raises `Wrong` when links are missing, or there twice."""
    links = arguments.links
    created, existing = {"created": links, "existing": 0}, {"created": 0, "existing": links}
    with report.scratch() as scratch, Ours(Path(scratch)) as ours:
        coded = bring_in(ours, write(Path(scratch), links, with_codes=True), links, created)
    with report.scratch() as scratch, Ours(Path(scratch)) as ours:
        file = write(Path(scratch), links, with_codes=False)
        runs = [coded, *(bring_in(ours, file, links, each) for each in (created, existing))]
    rows = [
        ["seconds", *(f"{one.seconds:,.1f}" for one in runs)],
        ["links a second", *(f"{links / one.seconds:,.0f}" for one in runs)],
        ["MB of the command", *(f"{one.memory / 1e6:,.0f}" for one in runs)],
    ]
    for program in coded.processor:
        name = f"processor time of a link, us: {program}"
        rows.append([name, *(f"{one.processor[program]:,.0f}" for one in runs)])
    title = f"import of {links:,} links to URLs of {LENGTH} bytes"
    report.table([title, *COLUMNS], rows)
    report.keep(
        arguments.json,
        {name: one._asdict() for name, one in zip(COLUMNS, runs, strict=True)},
    )
    return 0


def write(folder: Path, links: int, with_codes: bool) -> Path:
    """A CSV file of so many links."""
    file = folder / "links.csv"
    with file.open("w") as written:
        written.write("code,url\n" if with_codes else "url\n")
        for number in range(links):
            code = f"import{number}," if with_codes else ""
            written.write(f"{code}{destination(number)}\n")
    say(f"{file.stat().st_size:,} bytes of CSV")
    return file


def bring_in(ours: Ours, file: Path, links: int, expected: dict[str, int]) -> Import:
    """One import, to its end; what it says and what there is then must be what is `expected`."""
    before = processes.seconds_by_program(ours.pids, PROGRAMS)
    began = time.monotonic()
    said, usage = command(ours, file)
    seconds = time.monotonic() - began
    after = processes.seconds_by_program(ours.pids, PROGRAMS)
    there = ours.links()
    if {name: said.get(name) for name in expected} != expected or there != links:
        raise Wrong(f"the import said {said}, and there are {there:,} links, not {links:,}")
    spent = {"command": usage.ru_utime + usage.ru_stime}
    spent |= {program: after[program] - before[program] for program in after}
    micros = {program: had * 1e6 / links for program, had in spent.items()}
    return Import(seconds, usage.ru_maxrss * processes.MAXRSS, micros)


def command(ours: Ours, file: Path) -> tuple[dict[str, int], resource.struct_rusage]:
    """Run the command; answers what it said, and what it used.  Raises `Wrong` when it fails."""
    asked = [sys.executable, "-m", "shortener", "import", str(file), "--json"]
    environ = os.environ | {"SHORTENER_SERVER": ours.address, "SHORTENER_KEY": KEY}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            asked,
            env=environ,
            stdout=output,
            start_new_session=True,  # Ctrl-C is for us
            preexec_fn=children.dying_with_parent(),
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            children.stop(process, STOP_PATIENCE)
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise Wrong(f"the import ended with status {process.returncode}")
        output.seek(0)
        return json.load(output), usage
