"""Statistics, drawn in the terminal.

Labels come from strangers: they are printed as they are, never as markup.
"""

import json
import sys
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from shortener.cli.remote import remote, target
from shortener.client import Client
from shortener.statistics.visits import DIMENSIONS

BAR = 40  # characters of the longest bar
TOP = 5  # labels of each dimension, when none was asked for
_MISSING = {dimension.name: dimension.missing for dimension in DIMENSIONS}


@click.command()
@click.argument("code", required=False)
@click.option("--from", "start", metavar="TIME", help="Date or RFC 3339 time.")
@click.option("--to", "end", metavar="TIME", help="Date (included) or RFC 3339 time.")
@click.option("--interval", type=click.Choice(["hour", "day", "week", "month"]), default="day")
@click.option("--tz", metavar="ZONE", help="Time zone; default: the site's.")
@click.option(
    "--by",
    "dimensions",
    metavar="DIMENSION",
    multiple=True,
    help=f"Which labels; may be repeated. One or more of {', '.join(_MISSING)}.",
)
@click.option("--limit", type=click.IntRange(1, 1000), help="Most labels of each dimension.")
@click.option("--tag", metavar="T", help="Of all links with this tag, instead of one.")
@click.option("--orphans", is_flag=True, help="Of visits to unknown codes, instead of a link's.")
@click.option(
    "--csv", "as_csv", is_flag=True, help="The series, or the labels of one --by, as CSV."
)
@remote
def stats(client: Client, code: str | None, as_json: bool, **options: Any) -> None:
    """Show the clicks of the link CODE, of a tag, of unknown codes, or of the whole site."""
    if code is not None and (options["tag"] is not None or options["orphans"]):
        raise click.UsageError("CODE cannot be given together with --tag or --orphans")
    if as_json and options["as_csv"]:
        raise click.UsageError("--json cannot be given together with --csv")
    dimensions = [name for given in options["dimensions"] for name in given.split(",")]
    limit = options["limit"] or (None if dimensions or as_json else TOP)
    given = {
        "interval": options["interval"],
        "from": options["start"],
        "to": options["end"],
        "tz": options["tz"],
        "group_by": ",".join(dimensions) or None,
        "limit": limit,
        "tag": options["tag"],
        "orphans": "true" if options["orphans"] else None,
        "format": "csv" if options["as_csv"] else "json",
    }
    path, query = "/stats", [(name, str(value)) for name, value in given.items() if value]
    if code is not None:
        link = target(client, code, None)
        path, query = f"{link.path}/stats", [*query, *link.query]
    if options["as_csv"]:
        table = client.call("GET", path, query=query, kind=bytes).decode()
        sys.stdout.write(table.replace("\r\n", "\n"))
        return
    answer = client.call("GET", path, query=query)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        _draw(answer, is_brief=not dimensions)


def _draw(answer: dict[str, Any], is_brief: bool) -> None:
    """Totals, the series as bars, and labels: if brief, of what visitors did tell."""
    console = Console(markup=False, highlight=False, emoji=False)
    clicks, visitors, bots = (
        _number(answer["totals"][noun], noun) for noun in ("clicks", "visitors", "bots")
    )
    console.print(
        f"{clicks} from {answer['from']} to {answer['to']}, {visitors}, {bots}", soft_wrap=True
    )
    is_hourly = answer["interval"] == "hour"
    shown = [row["start"][:16].replace("T", " ") for row in answer["series"]]
    starts = shown if is_hourly else [start[:10] for start in shown]
    console.print(_bars(zip(starts, (row["clicks"] for row in answer["series"]), strict=True)))
    for name, entries in answer["by"].items():
        if is_brief and [entry["value"] for entry in entries] in ([], [_MISSING.get(name)]):
            continue
        console.print(f"\n{name}")
        labels = ("(other)" if entry["value"] is None else entry["value"] for entry in entries)
        console.print(_bars(zip(labels, (entry["clicks"] for entry in entries), strict=True)))
    told = answer["by_range"]
    if (told["from"], told["to"]) != (answer["from"], answer["to"]):
        console.print(f"\nlabels are from {told['from']} to {told['to']}", soft_wrap=True)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun[:-1] if count == 1 else noun}"


def _bars(rows: Iterable[tuple[str, int]]) -> Table:
    """A row for each label: how many, and a bar as long as that is of the largest."""
    entries = list(rows)
    highest = max((clicks for _, clicks in entries), default=0)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="cyan", no_wrap=True)
    for label, clicks in entries:
        length = clicks * BAR // highest if highest else 0
        table.add_row(label, str(clicks), "█" * length or ("▏" if clicks else ""))
    return table


COMMANDS = (stats,)
