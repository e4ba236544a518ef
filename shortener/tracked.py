"""A connection to Redis that reads keys and is told when they change.

Client tracking in broadcast mode (Redis 6 and newer): the server names every key under our prefix
that anybody writes, deletes or evicts.  Notices and replies share one connection (RESP3), and so
one order: whatever a reply says was so when the notices in front of it had been given, and a change
that was acknowledged before a request was sent is noticed in front of its reply.  No value that
was read earlier can come in behind the notice that it is old.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from shortener import pipes

Told = Callable[[Iterable[bytes] | None], None]  # the keys that changed; None: any may have

log = logging.getLogger(__name__)


class Tracked(pipes.Pipe):
    """One connection; `tracks` says whether the server tells of changes under `prefix`.

    `changed` is told of them, `lost` once that the connection is gone.  A server that does not know
    tracking, or may not use it, is read all the same.
    """

    def __init__(self, prefix: str, changed: Told, lost: Callable[["Tracked"], None]) -> None:
        super().__init__(lost)
        self._changed = changed
        self.preface = ((b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", prefix),)
        self.tracks = False

    def notice(self, push: Any) -> None:
        if push[0] == b"invalidate":
            self._changed(push[1])

    def greeted(self, replies: list[Any]) -> None:
        (tracked,) = replies
        self.tracks = not pipes.is_error(tracked)
        if not self.tracks:
            log.warning("links are read for each redirect: Redis does not track (%s)", tracked)


async def connect(url: str, prefix: str, changed: Told, lost: Callable[[Tracked], None]) -> Tracked:
    """A connection that is ready.  Raises `OSError`; the caller says how long it may take."""
    return await pipes.connect(url, Tracked(prefix, changed, lost))
