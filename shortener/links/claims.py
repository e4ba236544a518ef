"""Claims: a request that is sent again, or twice at once, makes its links once.

Before anything is made, the numbers of the links-to-be are claimed under what tells the request
from others, together with a nonce that random codes are derived from: whoever comes with the same
gets the same numbers, hence the same codes, and finds what is there or finishes what was begun.

A claim stays for a day when all is made, and says which links it led to, so that a repetition
brings nothing deleted back.
"""

import secrets
from typing import NamedTuple, cast

import msgspec
import redis

# KEYS[1] the claim  ARGV[1] the value that it was seen with  ARGV[2] another one
CHANGE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') end
"""

HELD = 24 * 3600  # seconds, from the first request on

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
        self._change = store.register_script(CHANGE)

    def take(self, key: str, digest: str, first: int) -> Claim:
        """Claim a key, for a digest of the request and a first number.

        Of two at once both get the numbers of whoever was first.
        """
        value = self._settle(key, _encode(_Stored(digest, first, secrets.token_hex(16))))
        stored = _decode(value)
        nonce = stored.nonce.encode()
        return Claim(key, value, stored.digest, stored.first, nonce, stored.done)

    def leap(self, claim: Claim, item: int, leap: int, number: int) -> int:
        """The number for the next try of one item: `number`, or the one that was taken before."""
        return int(self._settle(f"{claim.key}:{claim.first}.{item}.{leap}", b"%d" % number))

    def finish(self, claim: Claim, led: Led) -> None:
        """Note what a claim led to."""
        done = _Stored(claim.digest, claim.first, claim.nonce.decode(), led)
        self._change(keys=[claim.key], args=[claim.value, _encode(done)])

    def _settle(self, key: str, value: bytes) -> bytes:
        """This value, or the one that somebody was first with."""
        while True:
            pipeline = self._store.pipeline(transaction=False)
            pipeline.set(key, value, nx=True, ex=HELD)
            pipeline.get(key)
            found = cast("bytes | None", pipeline.execute()[1])
            if found is not None:  # it has not expired just now
                return found
