"""The pace of counting: how long clicks may gather before they are counted.

Clicks that are counted together share their steps in the store, so a full batch costs a third of
what many small ones do; and nobody looks at a count several times a second.
"""

import time
from collections.abc import Callable

from shortener.flag import Flag
from shortener.segments import READ_BYTES

POLL = 0.2  # seconds between two looks at the journals
FEW = 256 * 1024  # bytes that are counted at the next look
GATHER = 1.0  # seconds that more than those wait for company; a full batch waits for nothing


def rest(stop: Flag, waiting: Callable[[], int]) -> None:
    """Return when it is time to count again, or to stop; `waiting` says how many bytes wait."""
    began = time.monotonic()
    while not stop.wait(POLL) and time.monotonic() - began < GATHER:
        if not FEW < waiting() < READ_BYTES:
            return
