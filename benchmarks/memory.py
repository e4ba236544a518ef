"""What a link without clicks costs: bytes of Redis, all indexes included.

`used_memory` before and after many creations through the product's own code, divided by their
number.  Hash tables grow by doubling, so the figure depends a little on the number; a million is
what people ask about.  On the way it is checked that no two links got the same code, and that no
code had to be tried twice.
"""

import argparse
import time
from pathlib import Path
from typing import Any, cast

from benchmarks import report, stock
from benchmarks.arguments import positive
from benchmarks.client import Wrong
from benchmarks.destinations import LENGTH, destination
from benchmarks.report import say
from shortener import connections, keys

LINKS = 1_000_000
STEPS = 20  # progress lines
CALM = 0.001  # memory that changes by less in half a second is at rest


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--links", metavar="N", type=positive, default=LINKS, help=f"default: {LINKS:,}"
    )


def run(arguments: argparse.Namespace) -> int:
    """Always 0; raises `Wrong` when codes are not distinct."""
    links = arguments.links
    assert len(destination(links)) == LENGTH
    with report.scratch() as scratch, stock.store(Path(scratch) / "data") as (settings, url):
        client = connections.sync(url, connections.BATCH_TIMEOUT)
        before = _memory(client)
        began = time.monotonic()
        codes: set[str] = set()
        for batch in stock.fill(settings, url, links):
            told = len(codes) * STEPS // links
            codes.update(batch)
            if len(codes) * STEPS // links > told:
                rate = len(codes) / (time.monotonic() - began)
                say(f"{len(codes):,} of {links:,} links made, {rate:,.0f} a second")
        seconds = time.monotonic() - began
        used = _memory(client) - before
        numbers = int(cast("bytes", client.get(keys.NUMBER)))
        client.close()
    if len(codes) != links:
        raise Wrong(f"{links:,} links were made, but only {len(codes):,} different codes")
    rows = [
        [f"bytes of Redis for a link with a URL of {LENGTH} bytes", f"{used / links:,.1f}"],
        ["links made, all with different codes", f"{links:,}"],
        ["codes that were taken and made anew", f"{numbers - links:,}"],
        ["seconds", f"{seconds:,.0f}"],
    ]
    report.table(["memory", ""], rows)
    figures = {
        "links": links,
        "bytes_per_link": used / links,
        "used_memory": used,
        "retries": numbers - links,
        "seconds": seconds,
    }
    report.keep(arguments.json, figures)
    return 0


def _memory(client: Any) -> int:
    """Bytes in use, at rest: no file is being rewritten and no hash table moves."""
    used = 0
    while True:
        last, used = used, int(client.info("memory")["used_memory"])
        state = client.info("persistence")
        busy = state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"]
        if not busy and abs(used - last) < CALM * used:
            return used
        time.sleep(0.5)
