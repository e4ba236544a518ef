"""The pace of counting: how long clicks may gather before they are counted.

Clicks that are counted together share their steps in the store, so a full batch costs a third of
what many small ones do; and nobody looks at a count several times a second.  While visitors leave
the processors no time, counting leaves it to them: clicks are safe in the journals, and what a
visitor waits for is the redirect.  It goes on now and then, with a batch of each journal, until as
much waits as takes some ten seconds to count afterwards (minutes, when all links are different).
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from shortener.flag import Flag
from shortener.journal import MAX_BODY
from shortener.segments import READ_BYTES

POLL = 0.2  # seconds between two looks at the journals
GLANCE = 0.05  # of the first when a full batch waits
LONG_LOOK = 1.0  # of those at processors that had no time
FEW = 256 * 1024  # bytes that are counted at the next look
FEW_EACH = 128 * 1024  # bytes of each journal that are counted then: more may have come meanwhile
GATHER = 1.0  # seconds that more than those wait for company; a full batch waits for nothing
MOST = 80 * 1024 * 1024  # bytes that may wait for processors that have time: some 540,000 clicks
STAND_BACK = 10.0  # seconds that they do
AT_ONCE = 0.75  # seconds that a batch may take, about: in between nobody looks at the processors
BUSY = 0.25  # of one processor: when all together have been idle for less, they have no time

_STAT = Path("/proc/stat")
_TICKS = os.sysconf("SC_CLK_TCK")  # of a second


def patience(waiting: int, idle: float, batch: int = READ_BYTES, most: int = MOST) -> float:
    """How many seconds clicks may gather when so many bytes of them wait, `batch` is a full one, at
    most `most` are to wait, and the processors have been idle so much of the time (1.0 is one of
    them, all of it)."""
    if waiting <= FEW or waiting >= most:
        return 0.0
    if idle < BUSY:
        return STAND_BACK
    return GATHER if waiting < batch else 0.0


class Pace:
    """Says when to count, and how much at once: `batch` is in bytes, of one journal; `limit`, too,
    over all journals of the directory.

    Processors that had no time are looked at for longer from then on: those that nearly have some
    seem to have it for a moment every now and then.
    """

    def __init__(self, limit: int) -> None:
        self.batch = READ_BYTES
        self.most = min(MOST, limit // 16)
        self._since: float | None = None  # when clicks began to gather
        self._had_none = False  # the processors, of time, at the last look
        self._had_time = -GATHER  # when a full batch waited, and the processors had time

    def rest(self, stop: Flag, waiting: Callable[[], int]) -> int:
        """Rest for a moment, or until a stop; how many bytes of each journal are to be counted now,
        0 when it is not time.

        `waiting` says how many bytes wait.
        """
        there, began = waiting(), time.monotonic()
        full = there >= self.batch
        if there >= self.most or (full and began - self._had_time < GATHER):
            self._since = None
            return self.batch
        glance = full and self._since is None
        seconds = LONG_LOOK if self._had_none else GLANCE if glance else POLL
        since = self._since = self._since or began
        idle, there = _idle_within(stop, seconds), waiting()
        now = time.monotonic()
        self._had_none = idle < BUSY and there > FEW
        if there >= self.batch and idle >= BUSY:
            self._had_time = now
        if now - since < patience(there, idle, self.batch, self.most):
            return 0
        self._since = None
        return FEW_EACH if there <= FEW else self.batch

    def took(self, size: int, seconds: float) -> None:
        """So many bytes of a journal took so long to count: clicks on links that are all different
        take five times as long as others."""
        fitting = round(size * AT_ONCE / max(seconds, 0.001))
        was_full = size > self.batch - MAX_BODY  # the last record may not have fitted
        if was_full or seconds > AT_ONCE:  # few clicks say nothing, they share no steps
            self.batch = max(FEW, min(fitting, 2 * self.batch, READ_BYTES))


def _idle_within(stop: Flag, seconds: float) -> float:
    """How much the processors are idle in the next seconds; 1.0 is one of them, all the time."""
    began, before = time.monotonic(), _idle()
    stop.wait(seconds)
    return (_idle() - before) / max(time.monotonic() - began, 0.001)


def _idle() -> float:
    """Seconds that the processors have had nothing to do, all together; where nobody says, one had
    nothing to do all the time."""
    try:
        _, _, _, _, idle, waiting, *_ = _STAT.read_text().split(None, 6)
    except (OSError, ValueError):
        return time.monotonic()
    return (int(idle) + int(waiting)) / _TICKS
