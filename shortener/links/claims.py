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

# KEYS[1] the claim  ARGV[1] digest of what is asked for  ARGV[2] first number  ARGV[3] nonce
# ARGV[4] seconds that the claim holds.  Answers the claim as whoever came first made it.
TAKE = """
if redis.call('HSETNX', KEYS[1], 'h', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'n', ARGV[2], 's', ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return redis.call('HMGET', KEYS[1], 'h', 'n', 's', 'd')
"""

# KEYS[1] the claim  ARGV[1] the first number it was seen with, ARGV[2] what it led to
FINISH = """
if redis.call('HGET', KEYS[1], 'n') == ARGV[1] then redis.call('HSET', KEYS[1], 'd', ARGV[2]) end
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
        self._take = store.register_script(TAKE)
        self._finish = store.register_script(FINISH)
        self._drop = store.register_script(DROP)

    def take(self, wanted: Sequence[tuple[str, bytes, int]], seconds: int) -> list[Claim]:
        """Claim each key, for a digest of the request and a first number, for so many seconds.

        Of two at once both get the numbers of whoever was first.
        """
        pipeline = self._store.pipeline(transaction=False)
        for key, digest, first in wanted:
            self._take(
                keys=[key], args=[digest, first, secrets.token_hex(16), seconds], client=pipeline
            )
        return [
            Claim(key, digest, int(first), nonce, None if done is None else _decode(done))
            for (key, _, _), (digest, first, nonce, done) in zip(
                wanted, pipeline.execute(), strict=True
            )
        ]

    def leap(self, claim: Claim, item: int, leap: int, number: int) -> int:
        """The number for the next try of one item: `number`, or the one that was taken before."""
        field = f"{item}.{leap}"
        self._store.hsetnx(claim.key, field, str(number))
        return int(cast("bytes", self._store.hget(claim.key, field)))

    def finish(self, made: Sequence[tuple[Claim, list[tuple[str, int] | None]]]) -> None:
        """Note what each claim led to."""
        pipeline = self._store.pipeline(transaction=False)
        for claim, links in made:
            self._finish(keys=[claim.key], args=[claim.first, _encode(links)], client=pipeline)
        pipeline.execute()

    def drop(self, claim: Claim) -> None:
        """Let go of a claim that no longer says what is there."""
        self._drop(keys=[claim.key], args=[claim.first])
