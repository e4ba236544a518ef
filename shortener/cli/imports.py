"""Links out of a file.  Safe to interrupt and to repeat: what is there already stays as it is."""

import io
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from shortener.cli.progress import Meter
from shortener.cli.remote import counted, remote, show
from shortener.cli.sending import Batch, Lanes, Outcome, batches, send
from shortener.cli.sources import (
    Line,
    Lines,
    SourceError,
    Unread,
    csv_rows,
    is_csv,
    json_lines,
)
from shortener.client import CallError, Client
from shortener.errors import Failure

MAX_TOLD = 20  # failed lines on stderr
STOPPING = b"stopping when the calls under way have ended; Ctrl-C again stops at once\n"
SAFE = "repeating the command goes on and makes nothing twice"


class _Zone(click.ParamType[tzinfo]):
    name = "zone"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tzinfo:
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"{value} is no IANA time zone, such as Asia/Riyadh", param, ctx)


class _Importing:
    """One run: what was counted, and where it is."""

    def __init__(self, meter: Meter, errors: IO[str] | None) -> None:
        self.stop = threading.Event()
        self.created = self.existing = self.failed = self.reached = 0
        self._meter, self._errors = meter, errors

    def good(self, lines: Lines) -> Iterator[Line]:
        """The records, until we are to stop; lines that are none are counted here."""
        for line in lines:
            if self.stop.is_set():
                return
            if isinstance(line, Unread):
                self.fail(line.number, line.reason)
            else:
                yield line

    def count(self, batch: Batch, outcome: Outcome) -> None:
        """Take down what became of a batch."""
        self.created += outcome.created
        self.existing += outcome.existing
        self.reached = batch.lines[-1].number
        for number, reason in outcome.failed:
            self.fail(number, reason)

    def fail(self, number: int, reason: str) -> None:
        """A line that did not become a link: told, unless too many were."""
        self.failed += 1
        line = f"line {number}: {' '.join(reason.split())}"
        if self._errors is not None:
            print(line, file=self._errors, flush=True)
        if self.failed <= MAX_TOLD:
            self._meter.say(line)
        elif self.failed == MAX_TOLD + 1:
            more = "are only counted" if self._errors is None else "are only in the file of errors"
            self._meter.say(f"further lines that fail {more}")

    @property
    def done(self) -> int:
        return self.created + self.existing + self.failed

    def __str__(self) -> str:
        return f"{self.created:,} created, {self.existing:,} there already, {self.failed:,} failed"


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), help="Default: by its name.")
@click.option("--errors", type=click.Path(dir_okay=False), help="Write all failed lines to it.")
@click.option(
    "--ignore", metavar="COLUMN", multiple=True, help="Leave a CSV column out; may be repeated."
)
@click.option("--tz", type=_Zone(), help="Time zone of times in CSV that have no offset.")
@remote
def import_file(
    client: Client,
    file: str,
    form: str | None,
    errors: str | None,
    ignore: tuple[str, ...],
    tz: tzinfo | None,
    as_json: bool,
) -> None:
    """Make the links in FILE, JSON lines or CSV; - is standard input.

    JSON lines are what `export` writes. CSV needs a first line that names its columns: our fields,
    or those of Bitly, Shlink, YOURLS and Kutt. Repeating an import changes nothing. Exit status 1
    when a line failed; the others are imported.
    """
    if errors is not None and _is_one(errors, file):
        raise click.UsageError("--errors would overwrite the file that is to be read")
    opened = _open(file)
    has_rows = form == "csv" if form else is_csv(file, opened)
    lines = csv_rows(opened, ignore, tz) if has_rows else json_lines(opened)
    kept = None if errors is None else _create(errors)
    name = "stdin" if file == "-" else Path(file).name
    with Meter(f"importing {name}", _size(opened)) as meter:
        run = _Importing(meter, kept)
        ended = _run(client, run, lines, meter, opened)
    if ended is not None and not run.reached:
        raise Failure(ended)
    if as_json:
        counts = {"created": run.created, "existing": run.existing, "failed": run.failed}
        show(counts | {"line": run.reached})
    else:
        print(run)
    if ended is not None:
        raise Failure(f"{ended}; stopped after line {run.reached:,}: {SAFE}")
    if run.failed:
        raise Failure(f"{counted(run.failed, 'line')} of {name} failed")


def _run(
    client: Client, run: _Importing, lines: Lines, meter: Meter, opened: io.BufferedReader
) -> str | None:
    """Send everything; answers why it ended early, if it did."""
    lanes = Lanes(lambda batch: send(client, batch, run.stop.wait))
    restore = signal.signal(signal.SIGINT, lambda *_: _interrupted(run))
    try:
        for batch in batches(run.good(lines)):
            if run.stop.is_set():
                break
            for answered in lanes.put(batch):
                run.count(*answered)
                meter.show(run.done, _position(opened))
        for answered in lanes.rest():
            run.count(*answered)
            meter.show(run.done, _position(opened))
    except CallError as error:
        return str(error)
    except SourceError as error:
        return f"{opened.name}: {error}"
    except OSError as error:  # of the disk
        return str(error.strerror)
    except KeyboardInterrupt:
        return "interrupted"
    finally:
        signal.signal(signal.SIGINT, restore)
    return "interrupted" if run.stop.is_set() else None


def _interrupted(run: _Importing) -> None:
    """Let the calls under way end; whoever asks again does not wait for them."""
    if run.stop.is_set():
        raise KeyboardInterrupt
    run.stop.set()
    os.write(2, STOPPING)  # a print may be what we interrupt


def _is_one(errors: str, file: str) -> bool:
    """Whether two names are of one file."""
    return file != "-" and Path(errors).exists() and Path(errors).samefile(file)


def _open(file: str) -> io.BufferedReader:
    if file == "-":
        return sys.stdin.buffer  # type: ignore[return-value]
    try:
        return open(file, "rb")
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None


def _create(file: str) -> IO[str]:
    try:
        return open(file, "w", encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None


def _size(file: io.BufferedReader) -> int | None:
    """Bytes of a file; None for a pipe."""
    about = os.fstat(file.fileno())
    return about.st_size if stat.S_ISREG(about.st_mode) else None


def _position(file: io.BufferedReader) -> int:
    """How many bytes were read; 0 for a pipe."""
    return file.raw.tell() if file.seekable() else 0


COMMANDS = (import_file,)
