"""What files of links hold, line by line, in memory that does not grow with the file.

JSON lines are checked to be JSON objects and otherwise passed on as they are; rows of CSV become
the same.  A line that cannot be read is told with its number and does not stop the rest.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import BinaryIO, NamedTuple

import msgspec

from shortener.cli.columns import Column, ColumnsError, columns, knows, record

MAX_LINE = 15 << 20  # bytes; a call takes 16 MiB
MAX_ROW = 1 << 20  # characters of a line of CSV
DELIMITERS = ",;\t"
BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    """A record, as one JSON object."""

    number: int  # of the line, from 1
    kind: str  # link, tag, site or export
    record: bytes
    has_password: bool = False  # which the server has to hash


class Unread(NamedTuple):
    """A line that is no record."""

    number: int
    reason: str


class SourceError(Exception):
    """A file that cannot be read at all; the message is one line."""


class _Head(msgspec.Struct):
    """What is looked at of a JSON line; all of it is checked to be JSON."""

    type: str | None = None
    password: object = None


Lines = Iterator[Line | Unread]
_head = msgspec.json.Decoder(_Head).decode
_encode = msgspec.json.Encoder().encode


def is_csv(name: str, file: io.BufferedReader) -> bool:
    """Whether a file holds CSV: its name says so, or how it begins."""
    suffix = name.lower().rpartition(".")[2]
    if suffix in ("csv", "tsv"):
        return True
    if suffix in ("jsonl", "ndjson", "json"):
        return False
    start = file.peek(512).removeprefix(BOM).lstrip()
    return not start.startswith((b"{", b"["))


def json_lines(file: BinaryIO) -> Lines:
    """The records of a file of JSON lines."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if number == 1:
            if line.startswith(UTF_16):
                raise SourceError("is UTF-16; JSON lines have to be UTF-8")
            line = line.removeprefix(BOM)
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield Unread(number, f"is longer than {MAX_LINE >> 20} MiB")
            continue
        line = line.strip()
        if line:
            yield _checked(number, line)


def _checked(number: int, line: bytes) -> Line | Unread:
    try:
        line.decode()
        head = _head(line)
    except UnicodeDecodeError:
        return Unread(number, "is not UTF-8")
    except msgspec.ValidationError as error:
        return Unread(number, f"is not a record: {str(error)[:1].lower()}{str(error)[1:]}")
    except (msgspec.DecodeError, RecursionError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        return Unread(number, f"is not valid JSON: {reason}")
    if head.type is None:  # written by hand: a link
        rest = line[1:].lstrip()
        line = b'{"type":"link"' + (b"" if rest == b"}" else b",") + rest
    return Line(number, head.type or "link", line, head.password is not None)


def csv_rows(file: io.BufferedReader, ignored: Sequence[str], zone: tzinfo | None) -> Lines:
    """The links of a CSV file whose first line names the columns.

    Raises `SourceError` for columns that cannot be used.
    """
    encoding = "utf-16" if file.peek(2).startswith(UTF_16) else "utf-8-sig"
    # newline="" leaves line ends to the parser; what is not UTF-8 must fail its own line alone
    text = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="")
    try:
        yield from _rows(_bounded(text), ignored, zone)
    finally:
        text.detach()  # the file is not ours to close


def _rows(lines: Iterator[str], ignored: Sequence[str], zone: tzinfo | None) -> Lines:
    header = next(lines, "")
    delimiter = max(DELIMITERS, key=lambda sign: sum(map(knows, _cut(header, sign))))
    names = _cut(header, delimiter)
    try:
        wanted = columns(names, ignored, zone)
    except ColumnsError as error:
        raise SourceError(str(error)) from None
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = rows.line_num + 2  # where the row begins; the header was the first line
        try:
            row = next(rows, None)
        except csv.Error as error:
            is_open = re.match("unexpected end|field larger", str(error))
            reason = "a quote is opened and never closed" if is_open else str(error)
            yield Unread(number, f"is not CSV: {reason}")
            continue
        if row is None:
            return
        if row:
            yield _link(number, row, len(names), wanted)


def _link(number: int, row: list[str], width: int, wanted: list[Column]) -> Line | Unread:
    if len(row) != width:
        return Unread(number, f"has {len(row)} columns, not {width}")
    try:
        found = record(row, wanted)
        return Line(number, "link", _encode(found), found.get("password") is not None)
    except UnicodeEncodeError:
        return Unread(number, "is not UTF-8")
    except ValueError as error:
        return Unread(number, str(error))


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text, with their ends.  Raises `SourceError` for one that has none."""
    number = 0
    while True:
        number += 1
        try:
            line = text.readline(MAX_ROW)
        except UnicodeError:
            raise SourceError(f"line {number} is not {text.encoding.upper()}") from None
        if not line:
            return
        if len(line) == MAX_ROW and not line.endswith(("\r", "\n")):
            raise SourceError(f"line {number} is longer than {MAX_ROW:,} characters")
        yield line


def _cut(header: str, delimiter: str) -> list[str]:
    """The names in the first line."""
    return next(csv.reader([header], delimiter=delimiter), [])
