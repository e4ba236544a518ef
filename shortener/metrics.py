"""Metrics in the text format of Prometheus, over all workers of this host.

Three sources: what the processes count together (`gauges`), what the aggregator reports, and the
store and the journals as they are at the moment.  Counters begin at zero with the service (the
aggregator's with the aggregator), as Prometheus expects of a restart.  A store that is away costs
the number of links alone.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import redis

from shortener import __version__, connections, gauges, keys
from shortener.gauges import Counters, Histogram
from shortener.journal import held_bytes
from shortener.status import Status, is_alive, read_status

if TYPE_CHECKING:
    from prometheus_client import Metric

SECOND = 1_000_000  # microseconds

COUNTED = {  # a name in `gauges.NAMES` -> metric, what it says
    "redis_errors": ("redis_errors", "Requests that Redis failed, by not answering or refusing."),
    "clicks_written": ("clicks_written", "Clicks written to the journals."),
    "clicks_dropped": (
        "clicks_dropped",
        "Clicks that were redirected but could not be written to a journal: they are not counted.",
    ),
    "journal_bytes": ("journal_written_bytes", "Bytes written to the journals."),
}
REPORTED = {  # a field of `Status` -> metric, what it says
    "applied": ("clicks_applied", "Clicks applied to the statistics."),
    "replayed": (
        "journal_replays",
        "Times that a journal was read again because Redis had gone back to an older state.",
    ),
    "lost": (
        "clicks_lost",
        "Clicks that Redis forgot and that no journal holds any more, at most.",
    ),
    "set_aside": ("clicks_set_aside", "Clicks that Redis refused twice, kept in set-aside."),
    "refused": ("increments_refused", "Increments that a cell of the statistics refused."),
    "damaged": ("journal_damaged_bytes", "Bytes of journals that were no clicks."),
}


class Metrics:
    """What this host can tell; `limit` is of its journals, in bytes."""

    def __init__(self, counters: Counters, store: redis.Redis, data_dir: Path, limit: int) -> None:
        self._counters, self._store = counters, store
        self._data_dir, self._limit = data_dir, limit

    def render(self, accept: str, now: float) -> tuple[bytes, str]:
        """The text, and its media type, in the version that the `Accept` header asks for."""
        from prometheus_client.exposition import choose_encoder  # 20 ms that no start need wait for

        encode, media_type = choose_encoder(accept)
        return encode(_Collected(list(self._families(now)))), media_type

    def _families(self, now: float) -> Iterator["Metric"]:
        from prometheus_client.metrics_core import (
            CounterMetricFamily as Counter,
        )
        from prometheus_client.metrics_core import (
            GaugeMetricFamily as Gauge,
        )

        counts = self._counters.read()
        status = read_status(self._data_dir) or Status()
        build = Gauge("shortener_build_info", "The program's version.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield _requests(counts)
        yield from _histograms(counts)
        lookups = Counter("shortener_lookups", _LOOKUPS, labels=["answered_by"])
        for name, by in (("hits", "cache"), ("misses", "redis"), ("stale", "stale_cache")):
            lookups.add_metric([by], counts[f"cache_{name}"])
        yield lookups
        limited = Counter("shortener_limited", "Requests that a limit refused.", labels=["limit"])
        for name in gauges.LIMITED:
            limited.add_metric([name], counts[f"limited_{name}"])
        yield limited
        for name, (metric, meaning) in COUNTED.items():
            yield Counter(f"shortener_{metric}", meaning, counts[name])
        for name, (metric, meaning) in REPORTED.items():
            yield Counter(f"shortener_{metric}", meaning, getattr(status, name))
        held = held_bytes(self._data_dir / "journal")
        yield Gauge("shortener_journal_bytes", "Bytes of journals on the disk.", held)
        yield Gauge("shortener_journal_limit_bytes", "At most so many.", self._limit)
        yield Gauge("shortener_journal_lag_bytes", "Bytes not applied yet.", status.lag)
        alive = is_alive(status, now)
        yield Gauge("shortener_aggregator_up", "Whether this host's aggregator runs.", int(alive))
        links = self._links()
        yield Gauge("shortener_redis_up", "Whether Redis answers.", int(links is not None))
        if links is not None:
            yield Gauge("shortener_links", "Links of the site.", links)

    def _links(self) -> int | None:
        """How many links there are; None when the store is away."""
        pipeline = self._store.pipeline(transaction=False)
        for bucket in keys.BUCKETS:
            pipeline.zcard(keys.index(bucket))
        try:
            return sum(cast("list[int]", pipeline.execute()))
        except connections.StoreError:
            return None


_LOOKUPS = "Look-ups by who knew: a worker's cache, Redis, or a cache while Redis is away."


class _Collected:
    """What the library asks of a registry."""

    def __init__(self, families: "list[Metric]") -> None:
        self._families = families

    def collect(self) -> "list[Metric]":
        return self._families


def _requests(counts: Mapping[str, int]) -> "Metric":
    """Only what has happened: most kinds never have most statuses."""
    from prometheus_client.metrics_core import CounterMetricFamily

    meaning = "Requests answered, by kind and status."
    family = CounterMetricFamily("shortener_requests", meaning, labels=["kind", "status"])
    for kind, statuses in gauges.REQUESTS.items():
        for status in statuses:
            if count := counts[f"{kind}_{status}"]:
                family.add_metric([kind, str(status or "other")], count)
    return family


def _histograms(counts: Mapping[str, int]) -> Iterator["Metric"]:
    from prometheus_client.metrics_core import HistogramMetricFamily

    meaning = "Time to the answer, for redirects and for calls of the API."
    latency = HistogramMetricFamily("shortener_request_seconds", meaning, labels=["kind"])
    latency.add_metric(["redirect"], *_buckets(counts, gauges.REDIRECT_LATENCY, SECOND))
    latency.add_metric(["api"], *_buckets(counts, gauges.API_LATENCY, SECOND))
    yield latency
    meaning = "Codes looked up in one read of Redis."
    batch = HistogramMetricFamily("shortener_batch_codes", meaning)
    batch.add_metric([], *_buckets(counts, gauges.BATCH, 1))
    yield batch


def _buckets(
    counts: Mapping[str, int], histogram: Histogram, unit: int
) -> tuple[list[tuple[str, float]], float]:
    """Bounds with how many values lie at or below each, and the sum of the values, in `unit`s."""
    names = gauges.NAMES[histogram.first : histogram.sum + 1]
    bounds = [str(bound / unit) for bound in histogram.bounds] + ["+Inf"]
    total, buckets = 0, []
    for bound, name in zip(bounds, names, strict=False):
        total += counts[name]
        buckets.append((bound, float(total)))
    return buckets, counts[names[-1]] / unit
