"""Heads of requests that a worker has read before, and what they say about the visitor.

Browsers of one version and language who come from one place send the same bytes behind the target,
and whoever follows many links over one connection does so anyway.  What the parser has found right
need not be parsed and checked again.  A head is remembered when it comes for the second time, and
only as the parser saw it: one whole request at the front of what had arrived, and nothing else.

What is of one visitor alone is not remembered: no head with a cookie, a key or an address in it
(`PERSONAL`), and none at all behind a proxy (`web/edge.py`).
"""

from typing import NamedTuple

from shortener.web.heads import Listed
from shortener.web.visitor import Headers, Said, told

MOST = 2_000  # heads; all are forgotten when there are more
SEEN = 20_000  # heads that came once, by their hash
LONGEST = 1_500  # bytes of a head
PERSONAL = frozenset((b"authorization", b"cookie", b"forwarded", b"x-forwarded-for", b"x-real-ip"))
_END = b"\r\n\r\n"


class Head(NamedTuple):
    """A head, read; `told` is what the journal says of it behind the visitor's address."""

    listed: Listed
    headers: Headers
    is_private: bool
    told: bytes


class Familiar(dict[bytes, Head]):
    """Heads, by what is behind their target."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[int] = set()

    def learn(self, data: bytes, listed: Listed, headers: Headers, said: Said) -> None:
        """A `GET` without a body was read; `data` is what had arrived behind its target."""
        if not PERSONAL.isdisjoint(headers):
            return
        mark = hash(data)
        if mark not in self._seen:
            if len(self._seen) >= SEEN:
                self._seen.clear()
            self._seen.add(mark)
        elif len(data) <= LONGEST and data.find(_END) == len(data) - len(_END):
            if len(self) >= MOST:
                self.clear()
            self[data] = Head(listed, headers, said.is_private, told(said))
