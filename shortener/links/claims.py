"""Claims: a request that is sent again, or twice at once, makes its links once.

Before anything is made, the numbers of the links-to-be are claimed under what tells the request
from others, together with a nonce that random codes are derived from: whoever comes with the same
gets the same numbers, hence the same codes, and finds what is there or finishes what was begun.

What was asked for with a key of the client's own stays claimed when all is made, and says which
links it led to, so that a repetition brings nothing deleted back.  A claim on an equal link is let
go: from then on the link itself is found.
"""

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import msgspec
import redis

from shortener.links import batches

# KEYS the claims  ARGV[1] seconds that they hold, then the value of each
# Answers nothing for each that was free and is ours now, the value of the others.
TAKE = """
local answers = {}
for i, key in ipairs(KEYS) do
  local taken = redis.call('SET', key, ARGV[i + 1], 'NX', 'EX', ARGV[1])
  answers[i] = not taken and redis.call('GET', key)
end
return answers
"""

# KEYS the claims  ARGV for each the value that it was seen with, and another one, or '' for none
# Answers 1 for each that still had its value.
CHANGE = """
local answers = {}
for i, key in ipairs(KEYS) do
  local is_same, new = redis.call('GET', key) == ARGV[2 * i - 1], ARGV[2 * i]
  if is_same and new == '' then
    redis.call('DEL', key)
  elseif is_same then
    redis.call('SET', key, new, 'KEEPTTL')
  end
  answers[i] = is_same
end
return answers
"""

LEAP = 24 * 3600  # seconds that the number of a further try is remembered: as long as any claim

Led = list[tuple[str, int] | None]  # what became of each item: name and number of a link


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    digest: str
    first: int
    nonce: str
    done: Led | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode


class Claim(NamedTuple):
    """What is reserved: numbers from `first` on, and what was made already, by name and number."""

    key: str
    value: bytes  # as it is stored
    digest: str
    first: int
    nonce: bytes
    done: Led | None


class Claims:
    """The claims of a site."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store

    def take(self, wanted: Sequence[tuple[str, str, int]], seconds: int) -> list[Claim]:
        """Claim each key, for a digest of the request and a first number, for so many seconds.

        Of two at once both get the numbers of whoever was first.
        """
        new = [
            _encode(_Stored(digest, first, secrets.token_hex(16))) for _, digest, first in wanted
        ]
        asked = [(key, value) for (key, *_), value in zip(wanted, new, strict=True)]
        others = batches.each(self._store, TAKE, asked, seconds)
        return [
            _claim(key, value if other is None else other)
            for (key, value), other in zip(asked, others, strict=True)
        ]

    def leap(self, claim: Claim, item: int, leap: int, number: int) -> int:
        """The number for the next try of one item: `number`, or the one that was taken before."""
        key = f"{claim.key}:{claim.first}.{item}.{leap}"
        pipeline = self._store.pipeline(transaction=False)
        pipeline.set(key, number, nx=True, ex=LEAP)
        pipeline.get(key)
        return int(cast("bytes", pipeline.execute()[1]))

    def finish(self, claim: Claim, led: Led) -> None:
        """Note what a claim led to."""
        done = _Stored(claim.digest, claim.first, claim.nonce.decode(), led)
        self._change([(claim.key, claim.value, _encode(done))])

    def drop(self, claims: Sequence[Claim]) -> None:
        """Let go of claims."""
        self._change([(claim.key, claim.value, b"") for claim in claims])

    def _change(self, items: Sequence[tuple[str, Any, Any]]) -> None:
        batches.each(self._store, CHANGE, items)


def _claim(key: str, value: bytes) -> Claim:
    stored = _decode(value)
    nonce = stored.nonce.encode()
    return Claim(key, value, stored.digest, stored.first, nonce, stored.done)
