"""What people and programs read: Markdown tables, JSON files, progress lines.

Results go to stdout, everything said on the way to stderr, so a table can be piped into a file.
"""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def say(line: str) -> None:
    """A progress line."""
    print(line, file=sys.stderr, flush=True)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table; all columns but the first are figures."""
    rules = ["---", *("---:" for _ in headings[1:])]
    cells = [list(headings), rules, *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *figures = (
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("| " + " | ".join([first, *figures]) + " |")


def keep(file: Path | None, figures: dict[str, Any]) -> None:
    """Write figures to a file, when there is one, together with the machine's description."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(machine() | figures, indent=2) + "\n", "utf-8")
        say(f"figures are in {file}")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "processors": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def scratch() -> "tempfile.TemporaryDirectory[str]":
    """A fresh directory, removed at the end of its `with`; `TMPDIR` says on which disk."""
    return tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
