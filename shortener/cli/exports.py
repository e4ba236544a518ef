"""Links into a file: all of a site, in a form that loses nothing, or as CSV.

A file appears under its name when it is whole and on the disk, and never in the place of another
unless that was asked for.  It is readable to its owner alone: an admin's export has password
hashes.
"""

import contextlib
import csv
import io
import os
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import click
import msgspec

from shortener.cli.columns import EXPORT_COLUMNS, cells
from shortener.cli.progress import Meter
from shortener.cli.remote import counted, remote, show
from shortener.client import Client
from shortener.errors import Failure

RECORDS = 1000  # asked for in a call; the server may give fewer
LINKS = 200  # the same, of the list


class Chunk(NamedTuple):
    """The content of a page, ready to be written; `total` links are expected in all."""

    content: bytes
    links: int
    total: int | None


class _Page(msgspec.Struct):
    records: list[msgspec.Raw]
    next_cursor: str | None


class _Head(msgspec.Struct):
    type: str
    links: int | None = None


_head = msgspec.json.Decoder(_Head).decode


@click.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), help="Default: by its name.")
@click.option("--force", "-f", is_flag=True, help="Overwrite the file.")
@remote
def export_file(client: Client, file: str, form: str | None, force: bool, as_json: bool) -> None:
    """Write all links to FILE; - is standard output.

    JSON lines (.jsonl) lose nothing: `import` makes the same links from them, with their
    statistics. CSV (.csv) has a line for each link, for people and other programs. Interrupted, it
    leaves no file, and may be repeated.
    """
    suffix = file.lower().rpartition(".")[2]
    form = form or {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl"}.get(suffix)
    if form is None and file != "-":
        raise click.UsageError("name the file .jsonl or .csv, or use --format")
    chunks = _csv(client) if form == "csv" else _json_lines(client)
    name = "stdout" if file == "-" else Path(file).name
    links = 0
    with _destination(file, force) as out, Meter(f"exporting {name}", None) as meter:
        for chunk in chunks:
            out.write(chunk.content)
            links += chunk.links
            meter.show(links, links, chunk.total)
    if file == "-":
        return
    show({"file": file, "links": links}) if as_json else print(
        f"{counted(links, 'link')} written to {file}"
    )


def _json_lines(client: Client) -> Iterator[Chunk]:
    """The records as the server gives them, one in a line."""
    cursor, total = None, None
    while True:
        query = {"limit": str(RECORDS)} | ({"cursor": cursor} if cursor else {})
        page = client.call("GET", "/export", query=query, kind=_Page, patience=time.sleep)
        heads = [_head(record) for record in page.records]
        total = next((head.links for head in heads if head.type == "export"), total)
        content = b"".join(bytes(record) + b"\n" for record in page.records)
        yield Chunk(content, sum(head.type == "link" for head in heads), total)
        cursor = page.next_cursor
        if cursor is None:
            return


def _csv(client: Client) -> Iterator[Chunk]:
    """The list of links, oldest first."""
    yield Chunk(_rows([EXPORT_COLUMNS]), 0, None)
    cursor = None
    while True:
        query = {"limit": str(LINKS), "sort": "created"} | ({"cursor": cursor} if cursor else {})
        page = client.call("GET", "/links", query=query, patience=time.sleep)
        links = page["links"]
        yield Chunk(_rows([cells(link) for link in links]), len(links), page["total"])
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _rows(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


@contextlib.contextmanager
def _destination(file: str, force: bool) -> Iterator[BinaryIO]:
    """Where to write: a scratch file beside `file`, which takes its name when all went well."""
    if file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file).resolve()  # not in the place of a symbolic link: where it points to
    _check(path, file, force)
    restore = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    scratch = None
    try:
        descriptor, scratch = tempfile.mkstemp(".part", f".{path.name}.", path.parent)
        with open(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(descriptor)
        _settle(scratch, path, file, force)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None
    finally:
        if scratch is not None:
            Path(scratch).unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, restore)


def _check(path: Path, file: str, force: bool) -> None:
    """Raises `Failure`, before an hour of work, for a file that must not be written."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise Failure(f"{file} is no regular file; - writes to standard output")
    if not force:
        raise Failure(f"{file} exists; --force overwrites it")


def _settle(scratch: str, path: Path, file: str, force: bool) -> None:
    """Give the scratch file its name, for good; without `force` a file that came meanwhile wins."""
    if force:
        Path(scratch).replace(path)
    else:
        try:
            os.link(scratch, path)
        except FileExistsError:
            raise Failure(f"{file} exists; --force overwrites it") from None
        except OSError:  # a file system without hard links
            Path(scratch).rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


COMMANDS = (export_file,)
