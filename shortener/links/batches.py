"""Batches: what is done to many keys, in few scripts and one trip.

A script touches keys of one bucket, and not too many of them, for everybody else waits meanwhile.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import redis

from shortener import keys

AT_ONCE = 50  # links that one script is about: a millisecond at most

Item = tuple[str, *tuple[Any, ...]]  # a key, and what the script is told about it
Run = list[int]  # the places of the items that one run of a script is about


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

    KEYS are their keys; ARGV has what is `common`, and then what is said about each key in turn.
    """
    runs = [run for _, run in by_bucket(keys.bucket_of(key) for key, *_ in items)]
    for run in runs:
        said = chain.from_iterable(items[place][1:] for place in run)
        pipeline.eval(script, len(run), *(items[place][0] for place in run), *common, *said)
    return runs


def each(store: redis.Redis, script: str, items: Sequence[Item], *common: Any) -> list[Any]:
    """What the script answers about each item, in their order."""
    pipeline = store.pipeline(transaction=False)
    runs = queue(pipeline, script, items, *common)
    answers = zip(chain.from_iterable(runs), chain.from_iterable(pipeline.execute()), strict=True)
    found = dict(answers)
    return [found[place] for place in range(len(items))]
