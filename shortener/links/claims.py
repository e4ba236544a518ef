"""Claims: a request that is sent again, or twice at once, makes its links once.

Before anything is made, the numbers of the links-to-be are claimed under the request's own key
together with a nonce that random codes are derived from: whoever comes with the same key gets the
same numbers, hence the same codes, and finds what is there or finishes what was begun.  When all is
made the claim says which links it led to, so that a repetition brings nothing deleted back.
"""

import secrets
from collections.abc import Sequence
from typing import NamedTuple, cast

import msgspec
import redis

from shortener.links import batches

# KEYS the claims  ARGV[1] seconds that they hold, then for each: digest of what is asked for, first
# number, nonce.  Answers each claim as whoever came first made it.
TAKE = """
local answers = {}
for i, key in ipairs(KEYS) do
  local digest, first, nonce = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  if redis.call('HSETNX', key, 'h', digest) == 1 then
    redis.call('HSET', key, 'n', first, 's', nonce)
    redis.call('EXPIRE', key, ARGV[1])
  end
  answers[i] = redis.call('HMGET', key, 'h', 'n', 's', 'd')
end
return answers
"""

# KEYS the claims  ARGV for each the first number it was seen with, and what it led to
FINISH = """
local answers = {}
for i, key in ipairs(KEYS) do
  answers[i] = redis.call('HGET', key, 'n') == ARGV[2 * i - 1]
  if answers[i] then redis.call('HSET', key, 'd', ARGV[2 * i]) end
end
return answers
"""

# KEYS[1] the claim  ARGV[1] the first number it was seen with
DROP = """
if redis.call('HGET', KEYS[1], 'n') == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[str, int] | None]).decode


class Claim(NamedTuple):
    """What is reserved: numbers from `first` on, and what was made already, by name and number."""

    key: str
    digest: bytes
    first: int
    nonce: bytes
    done: list[tuple[str, int] | None] | None


class Claims:
    """The claims of a site."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store
        self._drop = store.register_script(DROP)

    def take(self, wanted: Sequence[tuple[str, bytes, int]], seconds: int) -> list[Claim]:
        """Claim each key, for a digest of the request and a first number, for so many seconds.

        Of two at once both get the numbers of whoever was first.
        """
        asked = [(*one, secrets.token_hex(16)) for one in wanted]
        taken = batches.each(self._store, TAKE, asked, seconds)
        return [
            Claim(key, digest, int(first), nonce, None if done is None else _decode(done))
            for (key, *_), (digest, first, nonce, done) in zip(wanted, taken, strict=True)
        ]

    def leap(self, claim: Claim, item: int, leap: int, number: int) -> int:
        """The number for the next try of one item: `number`, or the one that was taken before."""
        field = f"{item}.{leap}"
        self._store.hsetnx(claim.key, field, str(number))
        return int(cast("bytes", self._store.hget(claim.key, field)))

    def finish(self, made: Sequence[tuple[Claim, list[tuple[str, int] | None]]]) -> None:
        """Note what each claim led to."""
        led = [(claim.key, claim.first, _encode(links)) for claim, links in made]
        batches.each(self._store, FINISH, led)

    def drop(self, claim: Claim) -> None:
        """Let go of a claim that no longer says what is there."""
        self._drop(keys=[claim.key], args=[claim.first])
