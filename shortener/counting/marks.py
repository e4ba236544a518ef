"""Marks: how far a journal has been applied to a bucket.

What a stretch of a journal adds to a bucket may be more than one script should do.  Then it is cut
by subjects into parts, one script each: the more clicks share a stretch, the fewer steps they cost.
A subject's part follows from its name alone, so whoever finds a stretch begun goes on with it.
"""

import zlib
from typing import NamedTuple


class Mark(NamedTuple):
    """Where a bucket stands in a journal; marks of one journal are in order as they are made."""

    offset: int  # of the first byte that is not applied, or not wholly
    done: int = 0  # parts applied of the stretch that begins there
    end: int = 0  # of that stretch, 0 when none is begun
    parts: int = 0  # of that stretch

    def after(self, end: int, parts: int) -> "Mark":
        """The mark when one part more is applied of a stretch up to `end`."""
        done = self.done + 1
        return Mark(end) if done >= parts else Mark(self.offset, done, end, parts)

    def __str__(self) -> str:
        """As the store keeps it."""
        return (
            f"{self.offset} {self.done} {self.end} {self.parts}" if self.end else f"{self.offset}"
        )


def read(text: bytes) -> Mark:
    """A mark as the store keeps it."""
    return Mark(*map(int, text.split()))


def part_of(subject: str, parts: int) -> int:
    """In which part of a stretch a subject is counted."""
    return zlib.crc32(subject.encode()) // 16 % parts  # the rest by 16 has chosen the bucket
