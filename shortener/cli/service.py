"""What runs on the server's machine: the service, the aggregator alone, the checks.

Modules that only one command needs are imported by it: the other commands start no web server.
"""

import json
import sys

import click

from shortener.config import Settings

_SIGNS = {"ok": "[green]ok[/]", "degraded": "[yellow]degraded[/]", "failed": "[red]failed[/]"}


@click.command()
@click.option("--without-aggregator", is_flag=True, help="Run that as a service of its own.")
def serve(without_aggregator: bool) -> None:
    """Run the service: Redis unless one is configured, aggregator, web."""
    from shortener.supervisor import Supervisor

    Supervisor(Settings.load(), with_aggregator=not without_aggregator).run()


@click.command()
def aggregate() -> None:
    """Run the aggregator alone: counts the clicks in this host's journals."""
    from shortener.aggregate import run

    run(Settings.load())


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(as_json: bool) -> None:
    """Say what is wrong with configuration, Redis, persistence and disk, and how to mend it."""
    from rich.console import Console

    from shortener import connections, data_dir, health
    from shortener.embedded import store_url
    from shortener.gauges import Counters, directory

    settings = Settings.load()
    data_dir.prepare(settings.data_dir)
    store, counters = connections.sync(store_url(settings)), Counters(directory(settings.data_dir))
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


COMMANDS = (serve, aggregate, check)
