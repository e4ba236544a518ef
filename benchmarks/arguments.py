"""What all measures accept on the command line."""

import argparse
from pathlib import Path


def positive(text: str) -> int:
    """A whole number, 1 or more.  Raises what argparse turns into a usage message."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return number


def add_json(parser: argparse.ArgumentParser, default: str | None) -> None:
    """`--json FILE`; `default` is None, or `argparse.SUPPRESS` where a parser above has it too."""
    parser.add_argument(
        "--json", type=Path, metavar="FILE", default=default, help="write all figures to FILE"
    )
