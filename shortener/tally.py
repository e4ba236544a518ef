"""The tally: clicks are summed up and applied to the store, exactly once.

Each bucket remembers how far each journal has been applied: the mark, an offset, in the same slot
as the counters and moved in the same atomic step.  `APPLY` does nothing unless the mark is where
the sender believes it to be, and always answers where it is: a lost reply, a retry, two aggregators
by mistake and a store that went back in time are all the same case, and the sender goes on from the
answer.

Scripts do not roll back.  So the mark moves first (a store that cannot write refuses that, and
nothing has happened), and an increment that its cell refuses, because someone put another type
there, is left out and reported; it is not tried for ever.  A script takes some 0.8 microseconds for
an increment and redirects wait behind it, hence `MAX_INCREMENTS`.
"""

from typing import NamedTuple, cast

import redis

from shortener import connections, keys
from shortener.applying import SCRIPT
from shortener.increments import EMPTY, Increments

MAX_INCREMENTS = 1_000  # in one script: less than a millisecond
BUCKETS_AT_ONCE = 1  # scripts in a row, behind which a redirect may have to wait
UNKNOWN = -1  # the mark of a journal that a bucket has not heard of

# KEYS[1] the counter of links  ARGV[1] a number that was given to one
RAISE = """
if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
end
"""


class Applied(NamedTuple):
    """Where a bucket stands after an apply, how many increments its cells refused, and what the
    script failed with, if it did: then the mark is the old one."""

    mark: int
    refused: int = 0
    failure: str = ""


class Tally:
    """The store's end of the counting."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store
        self._script = store.register_script(SCRIPT)
        self._raise = store.register_script(RAISE)

    def register(self, journal: str) -> dict[str, int]:
        """See that every bucket knows the journal, from its beginning if it did not; its marks.

        Whoever comes first writes the mark; a missing one is never taken for zero by `APPLY`.
        """
        pipeline = self._store.pipeline(transaction=False)
        for bucket in keys.BUCKETS:
            pipeline.hsetnx(keys.marks(bucket), journal, 0)
            pipeline.hget(keys.marks(bucket), journal)
        marks = cast("list[bytes]", pipeline.execute()[1::2])
        return dict(zip(keys.BUCKETS, map(int, marks), strict=True))

    def marks(self) -> dict[str, dict[str, int]]:
        """By bucket, how far each journal has been applied."""
        pipeline = self._store.pipeline(transaction=False)
        for bucket in keys.BUCKETS:
            pipeline.hgetall(keys.marks(bucket))
        answers = cast("list[dict[bytes, bytes]]", pipeline.execute())
        return {
            bucket: {journal.decode(): int(mark) for journal, mark in answer.items()}
            for bucket, answer in zip(keys.BUCKETS, answers, strict=True)
        }

    def apply(
        self, journal: str, marks: dict[str, int], end: int, increments: Increments | None
    ) -> dict[str, Applied]:
        """Apply to the buckets of `marks`, which stand there, what brings them to `end`.

        Each bucket answers for itself; one that answers another mark than `end` has changed
        nothing.  Raises the store's errors, after which nothing is known: ask again.
        """
        applied: dict[str, Applied] = {}
        rest = list(marks.items())
        while rest:
            some, rest = rest[:BUCKETS_AT_ONCE], rest[BUCKETS_AT_ONCE:]
            applied |= self._apply(journal, some, end, increments)
        return applied

    def _apply(
        self, journal: str, marks: list[tuple[str, int]], end: int, increments: Increments | None
    ) -> dict[str, Applied]:
        pipeline = self._store.pipeline(transaction=False)
        for bucket, mark in marks:
            packed = increments.packed(bucket) if increments else EMPTY
            self._script(
                keys=[keys.marks(bucket), keys.index(bucket), keys.ranks(bucket)],
                args=[journal, mark, end, packed],
                client=pipeline,
            )
        answers = pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and connections.is_away(answer):
                raise answer
        return {
            bucket: Applied(mark, failure=str(answer))
            if isinstance(answer, Exception)
            else Applied(*answer)
            for (bucket, mark), answer in zip(marks, answers, strict=True)
        }

    def raise_number(self, number: int) -> None:
        """See that no number up to this one is given to a new link: it had clicks already."""
        self._raise(keys=[keys.NUMBER], args=[number])

    def forget(self, journal: str) -> None:
        """Remove the marks of a journal that no longer exists."""
        pipeline = self._store.pipeline(transaction=False)
        for bucket in keys.BUCKETS:
            pipeline.hdel(keys.marks(bucket), journal)
        pipeline.execute()
