"""A flag that a signal raises.

`threading.Event` must not be set by a signal's handler: the handler runs in the main thread, and
when that waits for the event at this moment, it holds the lock that `set` wants, for ever.  Raising
a flag takes no lock.  We give up to be woken at once: whoever waits looks every `LOOK` seconds.
"""

import time

LOOK = 0.05  # seconds


class Flag:
    """Raised or not, with the words of `threading.Event`."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Raise it; any signal's handler may."""
        self._is_set = True

    def clear(self) -> None:
        """Take it down."""
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it is raised."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Wait until it is raised, so many seconds at most; whether it is."""
        end = time.monotonic() + seconds
        while not self._is_set and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK))
        return self._is_set
