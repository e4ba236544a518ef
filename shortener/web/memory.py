"""Links that a worker remembers, bounded in bytes; those go first that were asked for least lately.

Whether what is remembered is right, `web/records.py` knows.
"""

from collections import OrderedDict

import msgspec

from shortener.journal import part
from shortener.links.link import Link
from shortener.web.visitor import counted

OVERHEAD = 700  # bytes that a remembered link takes beside three copies of its record (measured)


class Remembered(msgspec.Struct, gc=False):
    """A link as it was read.  `answer` is for whoever can answer it without further thought, and
    `counted` what the journal says of it; `size` is in bytes."""

    record: bytes
    link: Link
    answer: bytes | None
    counted: bytes
    size: int
    read_at: float
    term: int


def as_read(
    record: bytes, link: Link, answer: bytes | None, read_at: float, term: int
) -> Remembered:
    """A link that was read just now."""
    size = OVERHEAD + 3 * len(record)
    return Remembered(record, link, answer, part(*counted(link)), size, read_at, term)


class Memory(OrderedDict[str, Remembered]):
    """Links by name.  Whoever takes one out should `move_to_end`; changes go through `keep`."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self._bytes, self._max_bytes = 0, max_bytes

    def keep(self, name: str, remembered: Remembered) -> None:
        """Remember a link, in place of what was known under its name."""
        if name in self:
            self.forget(name)
        self[name] = remembered
        self._bytes += remembered.size
        while self._bytes > self._max_bytes:
            self._bytes -= self.popitem(last=False)[1].size

    def forget(self, name: str) -> None:
        """Forget a link, if it is known."""
        known = self.pop(name, None)
        if known is not None:
            self._bytes -= known.size

    def forget_all(self) -> None:
        """Forget everything."""
        self.clear()
        self._bytes = 0
