"""Statistics, drawn in the terminal."""

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from shortener.cli.remote import remote, target
from shortener.client import Client

BAR = 40  # characters of the longest bar


@click.command()
@click.argument("code", required=False)
@click.option("--from", "start", metavar="TIME", help="Date or RFC 3339 time.")
@click.option("--to", "end", metavar="TIME", help="Date (included) or RFC 3339 time.")
@click.option("--interval", type=click.Choice(["hour", "day", "week", "month"]), default="day")
@click.option("--tz", metavar="ZONE", help="Time zone; default: the site's.")
@remote
def stats(client: Client, code: str | None, as_json: bool, **options: Any) -> None:
    """Show the clicks of the link CODE, or of the whole site."""
    query = {"interval": options["interval"]}
    query |= {"from": options["start"]} if options["start"] else {}
    query |= {"to": options["end"]} if options["end"] else {}
    query |= {"tz": options["tz"]} if options["tz"] else {}
    path = "/stats"
    if code is not None:
        link = target(client, code, None)
        path, query = f"{link.path}/stats", query | dict(link.query)
    answer = client.call("GET", path, query=query)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        _draw(answer)


def _draw(answer: dict[str, Any]) -> None:
    """The series as bars."""
    console = Console(highlight=False)
    clicks = answer["totals"]["clicks"]
    noun = "click" if clicks == 1 else "clicks"
    console.print(f"{clicks} {noun} from {answer['from']} to {answer['to']}")
    highest = max((row["clicks"] for row in answer["series"]), default=0)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="cyan", no_wrap=True)
    for row in answer["series"]:
        start = row["start"][:16].replace("T", " ") if answer["interval"] == "hour" else None
        length = row["clicks"] * BAR // highest if highest else 0
        bar = "█" * length or ("▏" if row["clicks"] else "")
        table.add_row(start or row["start"][:10], str(row["clicks"]), bar)
    console.print(table)


COMMANDS = (stats,)
