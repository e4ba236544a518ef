"""How far a long command came, on stderr: a bar on a terminal, else a line now and then."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

INTERVAL = 5.0  # seconds between two lines


class Meter:
    """Shows `links` done, and of `total` steps how many."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._total, self._next = what, total, time.monotonic() + INTERVAL
        self._bar = self._task = None
        if sys.stderr.isatty():
            count = TextColumn("{task.fields[links]:,} links")
            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), count)
            console = Console(stderr=True)
            self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
            self._task = self._bar.add_task(what, total=total, links=0)

    def __enter__(self) -> "Meter":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, links: int, done: int, total: int | None = None) -> None:
        """So many links, and `done` steps of the total, which may be known only now."""
        self._total = total or self._total
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=self._total, links=links)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL
            share = f" ({min(done / self._total, 1):.0%})" if self._total else ""
            self.say(f"{self._what}: {links:,} links{share}")

    def say(self, line: str) -> None:
        """A line on stderr, above the bar."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)
