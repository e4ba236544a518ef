"""Portions: all statistics of a subject as one value, to be carried elsewhere and added there once.

A portion is what the tally keeps in hashes of integers, by the kind and period of each hash.  It is
added in chunks, each one script; a note in the subject's bucket says which chunk comes next, and
moves in the same step.  So whoever repeats an addition after a crash or a lost reply finishes it.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import redis

from shortener import keys
from shortener.statistics.cells import statistics, visitors
from shortener.statistics.stats import Subject

CHUNK = 500  # increments in one script: about a millisecond
AT_ONCE = 200  # hashes read in one go

Portion = dict[str, tuple[int, dict[str, int]]]  # kind and period -> (expires or 0, field -> count)

# KEYS[1] the bucket's notes  KEYS[2] its ranks  ARGV[1] the note  ARGV[2] this chunk's number
# ARGV[3] 1 if the note is to be begun here  ARGV[4] 1 if this is the last chunk of a note that is
# not kept  ARGV[5] the entry in the ranks, or nothing  ARGV[6] MessagePack: [[key, expires, field,
# by, field, by...]...], field `at` being a time of which the later one stays
ADD = """
local stands = redis.call('HGET', KEYS[1], ARGV[1])
if not stands and ARGV[3] == '1' then stands = '0' end
if stands ~= ARGV[2] then return 0 end
for _, cell in ipairs(cmsgpack.unpack(ARGV[6])) do
  for i = 3, #cell, 2 do
    if cell[i] == 'at' then
      local last = tonumber(redis.call('HGET', cell[1], 'at') or 0)
      redis.call('HSET', cell[1], 'at', string.format('%.0f', math.max(last, cell[i + 1])))
    else
      redis.call('HINCRBY', cell[1], cell[i], cell[i + 1])
      if ARGV[5] ~= '' and cell[i] == 'c' and string.sub(cell[1], 1, 2) == 't:' then
        redis.call('ZINCRBY', KEYS[2], cell[i + 1], ARGV[5])
      end
    end
  end
  if cell[2] > 0 then redis.call('EXPIREAT', cell[1], cell[2]) end
end
if ARGV[4] == '1' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], tonumber(ARGV[2]) + 1)
end
return 1
"""

# KEYS pairs: a hash, and where it is put aside
ASIDE = """
for i = 1, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[i]) == 1 and redis.call('EXISTS', KEYS[i + 1]) == 0 then
    redis.call('RENAME', KEYS[i], KEYS[i + 1])
  end
end
"""

_pack = msgspec.msgpack.Encoder().encode


class Addition(NamedTuple):
    """A portion for a subject, added under a note that this `begins` and that stays for ever, or
    that was made with the link.  `rank` is the link's entry in the ranks."""

    subject: Subject
    portion: Portion
    note: str
    begins: bool = True
    rank: str = ""


class Portions:
    """The statistics of a site's subjects, as wholes."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store
        self._add = store.register_script(ADD)
        self._aside = store.register_script(ASIDE)

    def read(self, subjects: Sequence[Subject], now: int) -> list[Portion]:
        """The portion of each subject at `now` (seconds since 1970); most have nothing to read."""
        pipeline = self._store.pipeline(transaction=False)
        for subject in subjects:
            pipeline.exists(keys.totals(subject.bucket, subject.name))
        clicked = pipeline.execute() if subjects else []
        return [
            self._read(subject, now) if exists else {}
            for subject, exists in zip(subjects, clicked, strict=True)
        ]

    def add(self, addition: Addition) -> None:
        """Add a portion, each of its chunks once however often this is called."""
        subject, note = addition.subject, addition.note
        chunks = list(_chunks(subject, addition.portion)) or [[]]
        for number, chunk in enumerate(chunks):
            is_end = number == len(chunks) - 1 and not addition.begins
            self._add(
                keys=[keys.once(subject.bucket), keys.ranks(subject.bucket)],
                args=[note, number, int(addition.begins), int(is_end), addition.rank, _pack(chunk)],
            )

    def move(self, source: Subject, target: Subject, note: str, now: int) -> None:
        """Add all of one subject to another, and leave nothing behind."""
        aside = Subject(f"~{source.name}", source.bucket)
        hashes = statistics(source.bucket, source.name, now)
        places = statistics(aside.bucket, aside.name, now)
        pairs = [key for pair in zip(hashes, places, strict=True) for key in pair]
        self._aside(keys=pairs)
        self.add(Addition(target, self._read(aside, now), note))
        self.delete(aside, now)
        self._store.delete(*visitors(source.bucket, source.name, now))
        self._store.hdel(keys.once(target.bucket), note)

    def delete(self, subject: Subject, now: int) -> None:
        """Delete all statistics of a subject."""
        place = (subject.bucket, subject.name, now)
        self._store.delete(*statistics(*place), *visitors(*place))

    def _read(self, subject: Subject, now: int) -> Portion:
        found: dict[str, dict[bytes, bytes]] = {}
        hashes = statistics(subject.bucket, subject.name, now)
        for start in range(0, len(hashes), AT_ONCE):
            some = hashes[start : start + AT_ONCE]
            pipeline = self._store.pipeline(transaction=False)
            for key in some:
                pipeline.hgetall(key)
            found |= {key: h for key, h in zip(some, pipeline.execute(), strict=True) if h}
        pipeline = self._store.pipeline(transaction=False)
        for key in found:
            pipeline.ttl(key)
        portion: Portion = {}
        for (key, fields), left in zip(found.items(), pipeline.execute(), strict=True):
            counts = {name.decode(): int(count) for name, count in fields.items()}
            portion[_period(key, subject)] = (now + left if left > 0 else 0, counts)
        return portion


@functools.lru_cache(maxsize=2)
def periods(now: int) -> frozenset[str]:
    """Every kind and period that a portion may have at `now` (seconds since 1970)."""
    anyone = Subject("s", keys.BUCKETS[0])
    return frozenset(_period(key, anyone) for key in statistics(anyone.bucket, anyone.name, now))


def _period(key: str, subject: Subject) -> str:
    """The kind and period in a hash's key."""
    kind, _, rest = key.partition(f":{{{subject.bucket}}}:{subject.name}")
    return kind + rest


def _key(period: str, subject: Subject) -> str:
    kind, colon, rest = period.partition(":")
    return f"{kind}:{{{subject.bucket}}}:{subject.name}{colon}{rest}"


def _chunks(subject: Subject, portion: Portion) -> Iterator[list[list[object]]]:
    """The increments of a portion, in an order that is always the same."""
    chunk: list[list[object]] = []
    size = 0
    for period, (expires, counts) in sorted(portion.items()):
        fields = sorted(counts.items())
        for start in range(0, len(fields), CHUNK):
            some = fields[start : start + CHUNK]
            if size + len(some) > CHUNK:
                yield chunk
                chunk, size = [], 0
            parts = [part for field in some for part in field]
            chunk.append([_key(period, subject), expires, *parts])
            size += len(some)
    if chunk:
        yield chunk
