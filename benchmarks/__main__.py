"""`python -m benchmarks`: chooses what is measured, and ends everything when it is interrupted.

Ctrl-C and SIGTERM unwind the stack, where every process that runs is somebody's `with`.  A second
one changes nothing: stopping has limits of its own.  Exit status 0; 1 for a failure, with one line
on stderr, and for figures that contradict each other; 130 when interrupted.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from benchmarks import comparison, memory, start
from benchmarks.client import Wrong
from benchmarks.contenders import NotStarted
from benchmarks.report import say
from benchmarks.wrk import LoadError
from shortener.config import ConfigError, StartError

STOPPING = (signal.SIGINT, signal.SIGTERM)
MEASURES = {"memory": memory, "start": start}


def main() -> int:
    """The exit status."""
    for caught in STOPPING:
        signal.signal(caught, _interrupt)
    arguments = _parser().parse_args()
    measure = MEASURES.get(arguments.measure, comparison)
    try:
        status: int = measure.run(arguments)
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except (LoadError, NotStarted, Wrong, StartError, ConfigError) as error:
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
        description="Redirects and creations a second against plain Flask; or one of the others.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    comparison.options(parser)
    measures = parser.add_subparsers(dest="measure", title="other measures")
    for name, module in MEASURES.items():
        summary = (module.__doc__ or "").partition("\n")[0]
        measure = measures.add_parser(name, help=summary, description=summary)
        measure.add_argument(
            "--json", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="write figures"
        )
        module.options(measure)
    return parser


if __name__ == "__main__":
    sys.exit(main())
