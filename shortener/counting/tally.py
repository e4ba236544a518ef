"""The tally: clicks are summed up and applied to the store, exactly once.

Each bucket remembers how far each journal has been applied: the mark, in the same slot as the
counters and moved in the same atomic step.  `APPLY` does nothing unless the mark is where the
sender believes it to be, and always answers where it is: a lost reply, a retry, two aggregators by
mistake and a store that went back in time are all the same case, and the sender goes on from the
answer.

Scripts do not roll back.  So the mark moves first (a store that cannot write refuses that, and
nothing has happened), and an increment that its cell refuses, because someone put another type
there, is left out and reported; it is not tried for ever.  A script takes some 0.3 microseconds for
an increment, 0.8 when all labels are new, and redirects wait behind it, hence `MAX_INCREMENTS`.
"""

from typing import NamedTuple, cast

import redis

from shortener import connections, keys
from shortener.counting import marks
from shortener.counting.applying import SCRIPT
from shortener.counting.increments import EMPTY, Increments
from shortener.counting.marks import Mark

MAX_INCREMENTS = 2_400  # of a subject in one script: less than two milliseconds
FITTING = 1_000  # increments that a script is to have: parts are not equal
UNKNOWN = Mark(-1)  # the mark of a journal that a bucket has not heard of

# KEYS[1] the counter of links  ARGV[1] a number that was given to one
RAISE = """
if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
end
"""


class Applied(NamedTuple):
    """Where a bucket stands after an apply, how many increments its cells refused, and what the
    script failed with, if it did: then the mark is the old one."""

    mark: Mark
    refused: int = 0
    failure: str = ""


def parts_of(bucket: str, mark: Mark, increments: Increments) -> int:
    """In how many parts a bucket gets its increments: in as many as were begun with."""
    return mark.parts or increments.parts(bucket, FITTING)


class Tally:
    """The store's end of the counting."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store
        self._script = store.register_script(SCRIPT)
        self._raise = store.register_script(RAISE)

    def register(self, journal: str) -> dict[str, Mark]:
        """See that every bucket knows the journal, from its beginning if it did not; its marks.

        Whoever comes first writes the mark; a missing one is never taken for zero by `APPLY`.
        """
        pipeline = self._store.pipeline(transaction=False)
        for bucket in keys.BUCKETS:
            pipeline.hsetnx(keys.marks(bucket), journal, 0)
            pipeline.hget(keys.marks(bucket), journal)
        found = cast("list[bytes]", pipeline.execute()[1::2])
        return dict(zip(keys.BUCKETS, map(marks.read, found), strict=True))

    def marks(self) -> dict[str, dict[str, Mark]]:
        """By bucket, how far each journal has been applied."""
        pipeline = self._store.pipeline(transaction=False)
        for bucket in keys.BUCKETS:
            pipeline.hgetall(keys.marks(bucket))
        answers = cast("list[dict[bytes, bytes]]", pipeline.execute())
        return {
            bucket: {journal.decode(): marks.read(mark) for journal, mark in answer.items()}
            for bucket, answer in zip(keys.BUCKETS, answers, strict=True)
        }

    def apply(
        self, journal: str, bucket: str, mark: Mark, end: int, increments: Increments
    ) -> Applied:
        """Apply to a bucket that stands at `mark` what brings it nearer to `end`: one part of it,
        or all if that is little.

        A mark that is neither nearer nor there says that it stood elsewhere and nothing has
        changed.  Raises the store's errors, after which nothing is known: ask again.
        """
        parts = parts_of(bucket, mark, increments)
        packed = increments.packed(bucket, mark.done, parts)
        return self._move(journal, bucket, mark, mark.after(end, parts), packed)

    def skip(self, journal: str, bucket: str, mark: Mark, to: Mark) -> Applied:
        """Step over what lies between two marks."""
        return self._move(journal, bucket, mark, to, EMPTY)

    def _move(self, journal: str, bucket: str, mark: Mark, to: Mark, packed: bytes) -> Applied:
        try:
            answer = self._script(
                keys=[keys.marks(bucket), keys.index(bucket), keys.ranks(bucket)],
                args=[journal, str(mark), str(to), packed],
            )
        except redis.RedisError as error:
            if connections.is_away(error):
                raise
            return Applied(mark, failure=str(error))
        stands, refused = cast("tuple[bytes, int]", answer)
        return Applied(marks.read(stands), refused)

    def raise_number(self, number: int) -> None:
        """See that no number up to this one is given to a new link: it had clicks already."""
        self._raise(keys=[keys.NUMBER], args=[number])

    def forget(self, journal: str) -> None:
        """Remove the marks of a journal that no longer exists."""
        pipeline = self._store.pipeline(transaction=False)
        for bucket in keys.BUCKETS:
            pipeline.hdel(keys.marks(bucket), journal)
        pipeline.execute()
