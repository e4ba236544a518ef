"""`/-/links/bulk`: many links at once, from a list of addresses or a CSV file.

First everything is looked at and nothing made.  What is then made carries a value that is used
once: sent again, also in part, it makes no link twice.  A script sends it in portions and shows how
far it is; without one it is one request, of at most as many links as a call of the API.
"""

import csv
import io
import secrets
import time
from typing import Any, NamedTuple

import msgspec
from flask import Blueprint, Response, request

from shortener.config import Settings
from shortener.errors import Invalid, Problem
from shortener.links.link import Wish
from shortener.links.mint import Mint
from shortener.web.api import bodies
from shortener.web.api.access import account
from shortener.web.api.stats_forms import plain
from shortener.web.api.wishes import Wishes
from shortener.web.dashboard.desk import Desk, page
from shortener.web.dashboard.forms import repetition

COLUMNS = ("url", "code", "title", "tags", "expires_at", "domain")  # that a file may have
MAX_ROWS = 20_000  # in one file; its size is bounded as every body is
DELIMITERS = ",;\t"  # spreadsheets write each of them, by country
SHOWN = 100  # rows of a table
PORTION = 100  # links that the script sends at a time

Row = dict[str, Any]


class Outcome(NamedTuple):
    """What became of a row; one of the last two is empty."""

    number: int
    url: str
    short_url: str
    error: str


def blueprint(desk: Desk, mint: Mint, wishes: Wishes, settings: Settings) -> Blueprint:
    """Many links at once."""
    views = Blueprint("bulk", __name__)

    @views.get("/links/bulk")
    @desk.needs("links:write")
    def form() -> Response:
        return page("bulk.html", columns=COLUMNS, most=MAX_ROWS)

    @views.post("/links/bulk")
    @desk.needs("links:write")
    @desk.access.limited
    def send() -> Response:
        """Look at the rows, or make them: `check`, `make`, `csv` or, for the script, `part`."""
        action = request.form.get("action", "check")
        try:
            rows = read(_text())
            if action not in ("check", "part") and len(rows) > bodies.MAX_BULK:
                fault = f"are {len(rows):,}: without scripts at most {bodies.MAX_BULK:,} at a time"
                raise Invalid.field("text", fault)
        except Invalid as problem:
            wrong = {one.field: one.message for one in problem.fields}
            return page("bulk.html", 422, columns=COLUMNS, most=MAX_ROWS, wrong=wrong, text=_text())
        if action == "check":
            return _preview(rows)
        outcomes = _make(rows[: bodies.MAX_BULK])
        if action == "part":
            return Response(msgspec.json.encode(outcomes), mimetype="application/json")
        if action == "csv":
            return _csv(outcomes)
        made = sum(not one.error for one in outcomes)
        given = {"text": request.form["text"], "once": request.form.get("once", "")}
        return page("bulk-made.html", outcomes=outcomes, made=made, given=given)

    def _preview(rows: list[Row]) -> Response:
        read_ = wishes.read_all(rows, int(time.time()))
        looked = [
            Outcome(n, str(row.get("url", "")), "", one.detail if isinstance(one, Problem) else "")
            for n, (row, one) in enumerate(zip(rows, read_, strict=True), 1)
        ]
        wrong = [one for one in looked if one.error]
        return page(
            "bulk-preview.html",
            total=len(rows),
            good=len(rows) - len(wrong),
            wrong=wrong[:SHOWN],
            more_wrong=len(wrong) - len(wrong[:SHOWN]),
            first=[one for one in looked if not one.error][:10],
            text=write(rows),
            once=secrets.token_urlsafe(12),
            portion=PORTION,
            most=bodies.MAX_BULK,
        )

    def _make(rows: list[Row]) -> list[Outcome]:
        now = int(time.time())
        read_ = wishes.read_all(rows, now)
        good: list[Wish] = [one for one in read_ if not isinstance(one, Problem)]
        made = iter(mint.make(good, account().id, now, repetition(request.form, rows)))
        found = []
        for number, (row, one) in enumerate(zip(rows, read_, strict=True), 1):
            outcome = one if isinstance(one, Problem) else next(made)
            url = str(row.get("url", ""))
            if isinstance(outcome, Problem):
                found.append(Outcome(number, url, "", outcome.detail))
            else:
                link = outcome.link
                found.append(Outcome(number, url, settings.short_url(link.domain, link.code), ""))
        return found

    return views


def _text() -> str:
    """What was pasted, or is in the file that was sent instead.  Raises `Invalid`."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return request.form.get("text", "")
    try:
        return str(file.read(), "utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid.field("file", "must be UTF-8 text") from None


def read(text: str) -> list[Row]:
    """The rows of a list of addresses, or of CSV with a header.  Raises `Invalid`."""
    text = text.replace("\0", "")
    first = text.lstrip().partition("\n")[0].partition("\r")[0]
    delimiter = max(DELIMITERS, key=first.count)
    if "url" in _names(first.split(delimiter)):
        rows = _table(text.lstrip(), delimiter)
    else:
        rows = [{"url": line.strip()} for line in text.splitlines() if line.strip()]
    if not rows:
        raise Invalid.field("text", "has no addresses")
    if len(rows) > MAX_ROWS:
        raise Invalid.field("text", f"has {len(rows):,} rows: at most {MAX_ROWS:,} at a time")
    return rows


def _table(text: str, delimiter: str) -> list[Row]:
    """The rows of CSV, whatever its lines end with.  Raises `Invalid`."""
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise Invalid.field("text", f"is not CSV: {error}") from None
    header = _names(lines[0])
    for name in header:
        if name not in COLUMNS:
            known = ", ".join(COLUMNS)
            raise Invalid.field("text", f"has the column {name}: known are {known}")
    lines = [line for line in lines[1:] if any(cell.strip() for cell in line)]
    return [_row(dict(zip(header, line, strict=False))) for line in lines]


def _names(cells: list[str]) -> list[str]:
    """What the cells of a header say."""
    return [cell.strip().strip('"').lower() for cell in cells]


def _row(cells: dict[str, str]) -> Row:
    """A row as the body of a call has it, without what is empty."""
    row: Row = {name: cell.strip() for name, cell in cells.items() if cell.strip()}
    if "tags" in row:
        row["tags"] = [tag.strip() for tag in row["tags"].split(",") if tag.strip()]
    return row


def write(rows: list[Row]) -> str:
    """The rows as CSV, each on a line of its own."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = row | ({"tags": ",".join(row["tags"])} if "tags" in row else {})
        writer.writerow({name: " ".join(str(cell).split()) for name, cell in cells.items()})
    return text.getvalue()


def _csv(outcomes: list[Outcome]) -> Response:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["row", "url", "short_url", "error"])
    rows.writerows(
        [one.number, plain(one.url), one.short_url, plain(one.error)] for one in outcomes
    )
    response = Response(text.getvalue(), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=links.csv"
    return response
