"""The pulse: what was clicked in the last second, told to whoever listens.

Each aggregator publishes it once a second on one channel, when somebody has subscribed and people
have clicked.  It is a view, not a count: nobody gets again what they missed.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import redis

from shortener import keys
from shortener.journal import Click
from shortener.statistics.visits import DIMENSIONS, Visits

TOLD = ("country", "referrer")  # dimensions
MOST = 50  # links, and labels of each dimension, in one message
FRESH = 60_000  # milliseconds; what is read again, or comes late, is not happening now


class Told(msgspec.Struct):
    """One message: clicks of people, and how they spread over links and labels."""

    clicks: int
    links: dict[str, int]  # by name
    labels: dict[str, dict[str, int]]  # by dimension


class Pulse:
    """The sending end."""

    def __init__(self, store: redis.Redis, visits: Visits) -> None:
        self._store, self._visits = store, visits
        self._is_heard = False
        self._forget()

    def note(self, clicks: Sequence[Click]) -> None:
        """These were counted just now."""
        if not self._is_heard:
            return
        oldest = time.time_ns() // 1_000_000 - FRESH
        seen = self._visits.of(clicks)
        for click, is_bot, labels in zip(clicks, seen.are_bots, seen.labels, strict=True):
            if is_bot or not click.number or click.at < oldest:
                continue
            self._clicks += 1
            self._links[click.name] += 1
            told = {label[0]: label[1:] for source in labels for label in source.all}
            for dimension in _DIMENSIONS:
                label = told.get(dimension.letter, dimension.missing)
                self._labels[dimension.name][label] += 1

    def beat(self) -> None:
        """Tell, once a second.  Raises the store's errors."""
        if self._clicks:
            labels = {name: dict(counts.most_common(MOST)) for name, counts in self._labels.items()}
            told = Told(self._clicks, dict(self._links.most_common(MOST)), labels)
            self._store.publish(keys.PULSE, msgspec.json.encode(told))
        self._forget()
        self._is_heard = any(count for _, count in self._store.pubsub_numsub(keys.PULSE))

    def _forget(self) -> None:
        self._clicks = 0
        self._links: Counter[str] = Counter()
        self._labels: dict[str, Counter[str]] = {name: Counter() for name in TOLD}


_DIMENSIONS = tuple(dimension for dimension in DIMENSIONS if dimension.name in TOLD)
_decode = msgspec.json.Decoder(Told).decode


def together(messages: Iterable[bytes]) -> Told:
    """What several hosts told, as one."""
    links: Counter[str] = Counter()
    labels: dict[str, Counter[str]] = {name: Counter() for name in TOLD}
    clicks = 0
    for message in messages:
        try:
            told = _decode(message)
        except msgspec.MsgspecError:  # not from an aggregator of this version
            continue
        clicks += told.clicks
        links.update(told.links)
        for name, counts in labels.items():
            counts.update(told.labels.get(name, {}))
    shown = {name: dict(counts.most_common(MOST)) for name, counts in labels.items()}
    return Told(clicks, dict(links.most_common(MOST)), shown)
