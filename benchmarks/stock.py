"""A store filled with links through the product's own code: what `POST /api/v1/links` calls.

HTTP is left out, nothing else is: URL check, number, code, record and indexes are the product's.
Several processes share the work, as several web workers would.
"""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from benchmarks.contenders import KEY
from benchmarks.destinations import destination
from shortener import children, connections, data_dir, site, targets
from shortener.codes import Codes
from shortener.config import Settings
from shortener.embedded import Embedded
from shortener.links.link import Wish
from shortener.links.mint import Mint
from shortener.links.outcomes import Made
from shortener.links.repository import Links

BATCH = 2_000  # links that one process makes before it is heard of
MADE_AT = 1_795_000_000  # seconds since 1970
MADE_BY = "bench"  # id of an API key


@contextmanager
def store(directory: Path) -> Iterator[tuple[Settings, str]]:
    """An embedded Redis with `directory` as its data directory, settled: settings and its URL."""
    environ = {"SHORTENER_DATA_DIR": str(directory), "SHORTENER_ADMIN_KEY": KEY}
    settings = Settings.load(environ)
    data_dir.prepare(directory)
    embedded = Embedded(settings)
    try:
        embedded.start()
        client = connections.sync(embedded.url)
        site.settle(client, settings)
        client.close()
        yield settings, embedded.url
    finally:
        embedded.stop()


def fill(settings: Settings, url: str, links: int) -> Iterator[list[str]]:
    """Make links to the first destinations; answers their codes, in that order, in batches."""
    processes = min(2 * (os.cpu_count() or 1), -(-links // BATCH))
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _attend)
    try:
        batches = [
            pool.submit(make, settings, url, first, min(BATCH, links - first))
            for first in range(0, links, BATCH)
        ]
        for batch in batches:
            yield batch.result()
    finally:
        pool.shutdown(cancel_futures=True)


def make(settings: Settings, url: str, first: int, count: int) -> list[str]:
    """Make `count` links, to the destinations from `first` on; answers their codes."""
    client = connections.sync(url, connections.BATCH_TIMEOUT)
    codes = Codes(site.settle(client, settings).salt, settings.code_length, settings.code_alphabet)
    mint = Mint(client, Links(client), lambda: codes)
    numbers = range(first, first + count)
    urls = [
        targets.check(destination(number), (settings.domain,), settings.block_private)
        for number in numbers
    ]
    wishes = [Wish({"url": url}, settings.redirect_status) for url in urls]
    made = mint.make(wishes, MADE_BY, MADE_AT)
    client.close()
    return [each.link.code for each in made if isinstance(each, Made)]


def _attend() -> None:
    """What a process of the pool does first: it heeds its parent, not Ctrl-C, and dies with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    children.dying_with_parent()()
