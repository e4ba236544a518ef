"""The `shortener` command.

Exit status 0; 1 for a failure, with one line on stderr; 2 for wrong usage or a wrong setting.
Modules that only one command needs are imported by it: `shortener shorten` starts no web server.
"""

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec
from urllib.parse import quote

import click
from rich.console import Console
from rich.table import Table

from shortener import __version__
from shortener.client import CallError, Client, connect
from shortener.config import ConfigError, Settings, StartError

P = ParamSpec("P")
BAR = 40  # characters of the longest bar

_SIGNS = {"ok": "[green]ok[/]", "degraded": "[yellow]degraded[/]", "failed": "[red]failed[/]"}


class _Commands(click.Group):
    """Turns expected failures of any command into one line and an exit status."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ConfigError as error:
            _fail(str(error), 2)
        except (StartError, CallError) as error:
            _fail(str(error), 1)


def _fail(message: str, status: int) -> None:
    print(f"shortener: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


@click.group(cls=_Commands)
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """A URL shortener whose click counts are exact."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)


def remote(command: Callable[P, None]) -> Callable[P, None]:
    """Give a command `--server`, `--key` and `--json`, and hand it a client."""

    @click.option("--server", metavar="URL", help="Server to talk to; default: the local one.")
    @click.option("--key", metavar="KEY", help="API key; default: the local admin key.")
    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        server, key = kwargs.pop("server"), kwargs.pop("key")
        kwargs["client"] = connect(server, key)  # type: ignore[arg-type]
        command(*args, **kwargs)

    return wrapped


@main.command()
@click.option("--without-aggregator", is_flag=True, help="Run that as a service of its own.")
def serve(without_aggregator: bool) -> None:
    """Run the service: Redis unless one is configured, aggregator, web."""
    from shortener.supervisor import Supervisor

    Supervisor(Settings.load(), with_aggregator=not without_aggregator).run()


@main.command()
def aggregate() -> None:
    """Run the aggregator alone: counts the clicks in this host's journals."""
    from shortener import aggregator, connections, data_dir, site
    from shortener.cells import Cells
    from shortener.tally import Tally

    settings = Settings.load()
    data_dir.prepare(settings.data_dir)
    _lock = aggregator.lock(settings.data_dir)
    store = connections.sync(_redis_url(settings), connections.BATCH_TIMEOUT)
    limit = settings.journal_limit << 20
    cells = Cells(settings.timezone)
    worker = aggregator.Aggregator(Tally(store), cells, settings.data_dir, limit)
    stop = threading.Event()
    for caught in (signal.SIGTERM, signal.SIGINT):
        signal.signal(caught, lambda *_: stop.set())
    while not stop.is_set():  # whose days are counted must be settled before a click is
        try:
            site.settle(store, settings)
            break
        except connections.StoreError:
            stop.wait(1.0)
    worker.run(stop)
    worker.finish()


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(as_json: bool) -> None:
    """Say what is wrong with configuration, Redis, persistence and disk, and how to mend it."""
    from shortener import connections, data_dir, health
    from shortener.gauges import Counters, directory

    settings = Settings.load()
    data_dir.prepare(settings.data_dir)
    store, counters = connections.sync(_redis_url(settings)), Counters(directory(settings.data_dir))
    checks = health.Health(store, settings, counters).checks()
    if as_json:
        print(json.dumps([finding._asdict() for finding in checks], indent=2))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for finding in checks:
            console.print(f"{_SIGNS[finding.status]} {finding.name}: {finding.detail}")
            if finding.mend:
                console.print(f"   {finding.mend}")
    if health.overall(checks) != "ok":
        sys.exit(1)


@main.command()
@click.argument("url")
@click.option("--code", metavar="C", help="Custom alias.")
@click.option("--title", metavar="T", help="Title, for people who look after the link.")
@click.option("--tag", "tags", metavar="T", multiple=True, help="Tag; may be repeated.")
@click.option("--expires", metavar="TIME", help="RFC 3339 time, such as 2027-01-01T00:00:00Z.")
@click.option("--redirect-status", type=click.Choice(["301", "302", "307", "308"]))
@remote
def shorten(client: Client, url: str, as_json: bool, **options: Any) -> None:
    """Make a short link for URL."""
    body: dict[str, Any] = {"url": url}
    if options["code"] is not None:
        body["code"] = options["code"]
    if options["title"] is not None:
        body["title"] = options["title"]
    if options["tags"]:
        body["tags"] = list(options["tags"])
    if options["expires"] is not None:
        body["expires_at"] = options["expires"]
    if options["redirect_status"] is not None:
        body["redirect_status"] = int(options["redirect_status"])
    link = client.call("POST", "/links", body)
    print(json.dumps(link, ensure_ascii=False, indent=2) if as_json else link["short_url"])


@main.command()
@click.argument("code")
@remote
def expand(client: Client, code: str, as_json: bool) -> None:
    """Say where the link CODE leads; CODE may be the whole short URL."""
    link = client.call("GET", f"/links/{_code(code)}")
    print(json.dumps(link, ensure_ascii=False, indent=2) if as_json else link["url"])


@main.command()
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
    path = f"/links/{_code(code)}/stats" if code else "/stats"
    answer = client.call("GET", path, query=query)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        _draw(answer)


def _code(text: str) -> str:
    """A code as part of a path, from a code or a whole short URL."""
    return quote(text.rstrip("/").rpartition("/")[2], safe="")


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


def _redis_url(settings: Settings) -> str:
    """The store that commands on this host use: the configured one, or the embedded server's."""
    from shortener.embedded import socket_path

    return settings.redis_url or f"unix://{socket_path(settings.data_dir)}"
