"""How soon a server that was stopped redirects again: what a restart costs visitors.

From the moment `shortener serve` is executed, on a data directory that has links, to the first
redirect that is answered.  Somebody asks all the time: connections are tried every few
milliseconds, and the first that is accepted waits for its answer.
"""

import argparse
import http.client
import subprocess
import time
from pathlib import Path
from statistics import median

from benchmarks import report, stock
from benchmarks.arguments import positive
from benchmarks.client import Client
from benchmarks.contenders import KEY, STOP_PATIENCE, NotStarted, free_port, serve
from benchmarks.destinations import destination
from benchmarks.report import say
from shortener import children

LINKS = 10_000
STARTS = 5
PAUSE = 0.002  # seconds between two tries
PATIENCE = 120.0  # seconds until the first redirect


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--links", metavar="N", type=positive, default=LINKS, help=f"default: {LINKS:,}"
    )
    parser.add_argument(
        "--starts", metavar="N", type=positive, default=STARTS, help=f"default: {STARTS}"
    )


def run(arguments: argparse.Namespace) -> int:
    """Always 0; raises `NotStarted` when no redirect comes."""
    with report.scratch() as scratch:
        directory = Path(scratch)
        data = directory / "data"
        with stock.store(data) as (settings, url):
            codes = [code for batch in stock.fill(settings, url, arguments.links) for code in batch]
        say(f"{len(codes):,} links made")
        times = []
        for turn in range(arguments.starts):
            times.append(first_redirect(directory, data, codes[0]))
            say(f"start {turn + 1} of {arguments.starts}: {times[-1]:.3f} s")
    rows = [
        ["seconds from start to the first redirect", f"{median(times):.3f}"],
        ["fastest", f"{min(times):.3f}"],
        ["slowest", f"{max(times):.3f}"],
        ["links in the data directory", f"{arguments.links:,}"],
    ]
    report.table([f"start, median of {arguments.starts}", ""], rows)
    report.keep(arguments.json, {"links": arguments.links, "seconds": times})
    return 0


def first_redirect(directory: Path, data: Path, code: str) -> float:
    """Seconds until `code` redirects; the server is stopped afterwards."""
    port = free_port()
    command, environ = serve(data, port)
    with (directory / "log").open("wb") as log:
        began = time.monotonic()
        process = children.start(command, environ, output=log.fileno())
    try:
        _wait(process, port, code)
        return time.monotonic() - began
    finally:
        children.stop(process, STOP_PATIENCE)


def _wait(process: "subprocess.Popen[bytes]", port: int, code: str) -> None:
    """Return at the first redirect.  A server that is up before its store answers otherwise."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with Client(port, KEY) as client:
                if client.follow(code) == (302, destination(0)):
                    return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(PAUSE)
    raise NotStarted(f"`shortener serve` does not redirect /{code}")
