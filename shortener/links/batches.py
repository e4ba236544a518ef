"""Batches: what is done to many keys, in few scripts and one trip.

A script touches keys of one bucket, and not too many of them, for everybody else waits meanwhile.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import redis

from shortener import keys

AT_ONCE = 50  # links that one script is about: a millisecond at most

Run = list[int]  # the places of the items that one run of a script is about

pack = msgspec.msgpack.Encoder().encode


class Item(NamedTuple):
    """What a script is told about a URL."""

    bucket: str
    digest: bytes
    texts: tuple[str, ...]


def by_bucket(buckets: Iterable[str]) -> Iterator[tuple[str, Run]]:
    """The places at which each bucket stands, at most `AT_ONCE` together."""
    places: dict[str, Run] = {}
    for place, bucket in enumerate(buckets):
        places.setdefault(bucket, []).append(place)
    for bucket, all_of in places.items():
        for start in range(0, len(all_of), AT_ONCE):
            yield bucket, all_of[start : start + AT_ONCE]


def queue(pipeline: Any, script: str, items: Sequence[Item], *common: Any) -> list[Run]:
    """Have `script` run for all items.

    KEYS[1] is what the keys of sets of URLs begin with in this bucket; ARGV[1] has the texts of
    each item, in MessagePack, ARGV[2] the digests in turn; then comes what is `common`.
    """
    runs: list[Run] = []
    for bucket, run in by_bucket(item.bucket for item in items):
        texts = pack([items[place].texts for place in run])
        digests = b"".join([items[place].digest for place in run])
        pipeline.eval(script, 1, keys.url_sets(bucket), texts, digests, *common)
        runs.append(run)
    return runs


def each(store: redis.Redis, script: str, items: Sequence[Item], *common: Any) -> list[Any]:
    """What the script answers about each item, in their order."""
    pipeline = store.pipeline(transaction=False)
    runs = queue(pipeline, script, items, *common)
    found: list[Any] = [None] * len(items)
    for run, answers in zip(runs, pipeline.execute(), strict=True):
        for place, answer in zip(run, answers, strict=True):
            found[place] = answer
    return found
