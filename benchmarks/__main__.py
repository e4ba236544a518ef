"""`python -m benchmarks`: chooses what is measured, and ends everything when it is interrupted.

Ctrl-C and SIGTERM unwind the stack, where every process that runs is somebody's `with`.  A second
one changes nothing: stopping has limits of its own.  Exit status 0; 1 for a failure, with one line
on stderr, and for figures that contradict each other; 130 when interrupted.
"""

import argparse
import http.client
import signal
import sys
from types import FrameType
from typing import NoReturn

from benchmarks import (
    arguments,
    busy,
    cold,
    comparison,
    counting,
    creations,
    imports,
    lists,
    memory,
    start,
    statistics,
)
from benchmarks.client import Wrong
from benchmarks.contenders import NotStarted
from benchmarks.report import say
from benchmarks.wrk import LoadError
from shortener.config import ConfigError, StartError
from shortener.connections import StoreError

STOPPING = (signal.SIGINT, signal.SIGTERM)
FAILURES = (
    *(LoadError, NotStarted, Wrong, StartError, ConfigError),
    *(OSError, http.client.HTTPException, StoreError),  # no answer where there was one before
)
MEASURES = {
    "cold": cold,
    "busy": busy,
    "counting": counting,
    "creations": creations,
    "imports": imports,
    "lists": lists,
    "memory": memory,
    "start": start,
    "statistics": statistics,
}


def main() -> int:
    """The exit status."""
    for caught in STOPPING:
        signal.signal(caught, _interrupt)
    given = _parser().parse_args()
    measure = MEASURES.get(given.measure, comparison)
    try:
        status: int = measure.run(given)
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except FAILURES as error:
        say(f"benchmarks: {error}")
        return 1
    return status


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    for caught in STOPPING:
        signal.signal(caught, signal.SIG_IGN)
    say("stopping")
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Redirects a second against nginx and plain Flask; or one of the others.",
    )
    arguments.add_json(parser, default=None)
    comparison.options(parser)
    measures = parser.add_subparsers(dest="measure", title="other measures")
    for name, module in MEASURES.items():
        summary = (module.__doc__ or "").partition("\n")[0]
        measure = measures.add_parser(name, help=summary, description=summary)
        arguments.add_json(measure, default=argparse.SUPPRESS)
        module.options(measure)
    return parser


if __name__ == "__main__":
    sys.exit(main())
