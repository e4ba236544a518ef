"""The tally: clicks are summed up and applied to the store, exactly once.

Each bucket remembers how far each journal has been applied: the mark, an offset, in the same slot
as the counters and moved in the same atomic step.  `APPLY` does nothing unless the mark is where
the sender believes it to be, and always answers where it is: a lost reply, a retry, two aggregators
by mistake and a store that went back in time are all the same case, and the sender goes on from the
answer.

Scripts do not roll back.  So the mark moves first (a store that cannot write refuses that, and
nothing has happened), and an increment that its cell refuses, because someone put another type
there, is left out and reported; it is not tried for ever.  A script takes about a microsecond for
an increment and redirects wait behind it, hence `MAX_INCREMENTS`.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, cast

import msgspec
import redis

from shortener import connections, keys
from shortener.cells import QUARTER, Cells
from shortener.journal import Click

MILLISECONDS_A_QUARTER = QUARTER * 1000
MAX_INCREMENTS = 500  # in one script: about a millisecond
BUCKETS_AT_ONCE = 2  # scripts in a row, behind which a redirect may have to wait
UNKNOWN = -1  # the mark of a journal that a bucket has not heard of

# KEYS[1] the bucket's marks  KEYS[2] its index of links  KEYS[3] its ranks by clicks
# ARGV[1] journal  ARGV[2] the mark as the sender knows it  ARGV[3] the mark afterwards
# ARGV[4] MessagePack: [[name, number, [[key, expires, field, by, field, by...]...],
#   totals, at, uses, unused, clicks]...], `at` being the time of the last click,
# and `uses`, the key of a link's uses, with the clicks that took none when they were answered.
# `number` 0 means a subject that is no link.  A link's group is left out when the link is gone or
# its name is another's: its place in the index ends with 20 bits of another number.  Answers the
# mark, and how many increments were refused.
APPLY = """
local mark = redis.call('HGET', KEYS[1], ARGV[1])
if not mark then return {-1, 0} end
if mark ~= ARGV[2] then return {tonumber(mark), 0} end
local groups, kind = cmsgpack.unpack(ARGV[4]), redis.call('TYPE', KEYS[2]).ok
if kind ~= 'zset' and kind ~= 'none' then return redis.error_reply('the index is a ' .. kind) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local refused = 0
for _, group in ipairs(groups) do
  local name, number, cells, totals, at = group[1], group[2], group[3], group[4], group[5]
  local place = number ~= 0 and redis.call('ZSCORE', KEYS[2], name)
  if number == 0 or place and tonumber(place) % 1048576 == number % 1048576 then
    if place then
      redis.pcall('ZINCRBY', KEYS[3], group[8], string.format('%016.0f', place) .. name)
    end
    for _, cell in ipairs(cells) do
      local fresh = false
      for i = 3, #cell, 2 do
        local count = redis.pcall('HINCRBY', cell[1], cell[i], cell[i + 1])
        if type(count) == 'table' then refused = refused + cell[i + 1] end
        if count == cell[i + 1] then fresh = true end
      end
      if fresh and cell[2] > 0 then redis.call('EXPIREAT', cell[1], cell[2]) end
    end
    if group[7] > 0 and redis.call('EXISTS', group[6]) == 1 then
      redis.pcall('INCRBY', group[6], group[7])
    end
    local last = redis.pcall('HGET', totals, 'at')
    if type(last) ~= 'table' and (not last or tonumber(last) < at) then
      redis.call('HSET', totals, 'at', string.format('%.0f', at))
    end
  end
end
return {tonumber(ARGV[3]), refused}
"""

# KEYS[1] the counter of links  ARGV[1] a number that was given to one
RAISE = """
if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
end
"""

_pack = msgspec.msgpack.Encoder().encode


class Applied(NamedTuple):
    """Where a bucket stands after an apply, how many increments its cells refused, and what the
    script failed with, if it did: then the mark is the old one."""

    mark: int
    refused: int = 0
    failure: str = ""


class Increments:
    """What a stretch of a journal adds, by bucket and subject.

    Clicks are counted by subject and quarter of an hour first: a click costs two steps in a
    dictionary, and the keys are spelled once for all clicks that share them.
    """

    def __init__(self, clicks: Sequence[Click], cells: Cells) -> None:
        counts: dict[_Place, list[int]] = {}
        for click in clicks:
            quarter = click.at // MILLISECONDS_A_QUARTER
            _count(counts, ((click.name, click.number), quarter), click.at, click.used)
            _count(counts, (_SITE, quarter), click.at)
            for tag in click.tags:
                _count(counts, ((keys.tag_subject(tag), 0), quarter), click.at)
        self._groups = _grouped(counts, cells)

    @property
    def largest(self) -> int:
        """Increments in the fullest bucket."""
        return max(
            (sum(map(_increments, groups.values())) for groups in self._groups.values()), default=0
        )

    def packed(self, bucket: str) -> bytes:
        """The script's fourth argument."""
        groups = self._groups.get(bucket, {})
        return _pack([group.packed() for group in groups.values()])


_Target = tuple[str, int]  # a link's name and number, or the name of another subject and 0
_Place = tuple[_Target, int]  # and a quarter of an hour
_SITE: _Target = (keys.SITE_SUBJECT, 0)


class _Group:
    """The increments of one subject: by hash, its expiry and its fields."""

    __slots__ = ("cells", "clicks", "last", "target", "totals", "unused", "uses")

    def __init__(self, bucket: str, target: _Target, totals: str) -> None:
        self.target, self.totals, self.last = target, totals, 0
        self.uses, self.unused, self.clicks = keys.uses(bucket, target[1]), 0, 0
        self.cells: dict[str, tuple[int, dict[str | int, int]]] = {}

    def add(self, key: str, expires: int, field: str | int, clicks: int) -> None:
        _, fields = self.cells.setdefault(key, (expires, {}))
        fields[field] = fields.get(field, 0) + clicks

    def packed(self) -> list[object]:
        cells = [
            [key, expires, *(part for item in fields.items() for part in item)]
            for key, (expires, fields) in self.cells.items()
        ]
        return [*self.target, cells, self.totals, self.last, self.uses, self.unused, self.clicks]


def _count(counts: dict[_Place, list[int]], place: _Place, at: int, used: bool = True) -> None:
    """One more click there; remember the latest, and how many took no use when answered."""
    count = counts.get(place)
    if count is None:
        counts[place] = [1, at, 0 if used else 1]
    else:
        count[0] += 1
        count[2] += not used
        if at > count[1]:
            count[1] = at


def _grouped(counts: dict[_Place, list[int]], cells: Cells) -> dict[str, dict[_Target, _Group]]:
    """Counts by quarter as increments of quarters, days and totals, by bucket and subject."""
    groups: dict[str, dict[_Target, _Group]] = defaultdict(dict)
    for (target, quarter), (clicks, last, unused) in counts.items():
        name, number = target
        bucket, subject = keys.bucket(name), str(number) if number else name
        group = groups[bucket].get(target)
        if group is None:
            group = groups[bucket][target] = _Group(bucket, target, keys.totals(bucket, subject))
        at = quarter * MILLISECONDS_A_QUARTER
        week, day = cells.quarter(at), cells.day(at)
        group.add(group.totals, 0, "c", clicks)
        group.add(keys.quarters(bucket, subject, week.period), week.expires, week.field, clicks)
        group.add(keys.days(bucket, subject, day.period), day.expires, day.field, clicks)
        group.last = max(group.last, last)
        group.unused += unused
        group.clicks += clicks
    return groups


def _increments(group: _Group) -> int:
    """What a group costs the script, in commands."""
    return 4 + sum(len(fields) for _, fields in group.cells.values())


class Tally:
    """The store's end of the counting."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store
        self._script = store.register_script(APPLY)
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
            packed = increments.packed(bucket) if increments else _pack([])
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
