"""A request whose link is looked up, as it was read."""

import msgspec

from shortener.web.heads import Listed
from shortener.web.visitor import Headers


class Sought(msgspec.Struct, frozen=True, gc=False):
    """A request whose link is looked up.  For the parent it is the parser that has read it."""

    method: bytes
    version: str
    stays: bool
    url: bytes
    listed: Listed
    headers: Headers
    visitor: bytes | None  # for the journal; None when it is not counted
    began: int  # `perf_counter_ns`

    def get_method(self) -> bytes:
        return self.method

    def get_http_version(self) -> str:
        return self.version

    def should_keep_alive(self) -> bool:
        return self.stays

    def should_upgrade(self) -> bool:
        return False
