"""What runs on the server's machine: the service, the aggregator alone, the checks.

Modules that only one command needs are imported by it: the other commands start no web server.
"""

import gc
import json
import signal
import sys

import click

from shortener.config import Settings

STEP_BACK = 10  # of the aggregator's priority: clicks can wait, visitors should not
OBJECTS = 100_000  # new ones between two looks for cycles: a batch has many, and no cycles
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
    from shortener import children, connections, data_dir, site
    from shortener.counting import wiring
    from shortener.flag import Flag

    settings = Settings.load()
    children.step_back(STEP_BACK)
    gc.set_threshold(OBJECTS)
    host = data_dir.prepare(settings.data_dir)
    _lock = data_dir.lock_aggregator(settings.data_dir)
    store = connections.sync(_redis_url(settings), connections.BATCH_TIMEOUT)
    worker = wiring.aggregator(settings, store, host)
    stop = Flag()
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


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(as_json: bool) -> None:
    """Say what is wrong with configuration, Redis, persistence and disk, and how to mend it."""
    from rich.console import Console

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


def _redis_url(settings: Settings) -> str:
    """The store that commands on this host use: the configured one, or the embedded server's."""
    from shortener.embedded import socket_path

    return settings.redis_url or f"unix://{socket_path(settings.data_dir)}"


COMMANDS = (serve, aggregate, check)
