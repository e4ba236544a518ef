"""The aggregator as a process: of `shortener aggregate`, or forked by `shortener serve`."""

import gc
import signal

from shortener import children, connections, data_dir, site
from shortener.config import Settings
from shortener.counting import wiring
from shortener.embedded import store_url
from shortener.flag import Flag

STEP_BACK = 10  # in priority: clicks can wait, visitors should not
OBJECTS = 100_000  # new ones between two looks for cycles: a batch has many, and no cycles


def run(settings: Settings) -> None:
    """Count this host's clicks until SIGTERM or SIGINT.  Raises `ConfigError` or `StartError`."""
    children.step_back(STEP_BACK)
    gc.set_threshold(OBJECTS)
    host = data_dir.prepare(settings.data_dir)
    _lock = data_dir.lock_aggregator(settings.data_dir)
    store = connections.sync(store_url(settings), connections.BATCH_TIMEOUT)
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
