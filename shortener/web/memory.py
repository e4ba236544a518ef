"""Links that a worker remembers, bounded in bytes; those go first that were asked for least lately.

Whether what is remembered is right, `web/records.py` knows.
"""

from collections import OrderedDict

from shortener.journal import part
from shortener.links.link import Link
from shortener.web.visitor import counted

OVERHEAD = 700  # bytes that a remembered link takes beside three copies of its record (measured)


class Remembered:
    """A link as it was read.  `answer` is for whoever can answer it without further thought, and
    `counted` what the journal says of it."""

    __slots__ = ("answer", "counted", "link", "read_at", "record", "size", "term")

    def __init__(
        self, record: bytes, link: Link, answer: bytes | None, read_at: float, term: int
    ) -> None:
        self.record, self.link, self.answer = record, link, answer
        self.read_at, self.term, self.counted = read_at, term, part(*counted(link))
        self.size = OVERHEAD + 3 * len(record)  # bytes that it takes, about


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
