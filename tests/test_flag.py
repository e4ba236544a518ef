"""A flag that a signal raises."""

import subprocess
import sys

SIGNALLED = """
import signal
from shortener.flag import Flag

flag, seen = Flag(), 0
signal.signal(signal.SIGALRM, lambda *_: flag.set())
signal.setitimer(signal.ITIMER_REAL, 0.00011, 0.00011)
while seen < 5_000:
    if flag.wait(0.00001):
        flag.clear()
        seen += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(seen)
"""


def test_a_signal_may_come_at_any_moment() -> None:
    """Signals that arrive while the main thread begins or ends to wait hold nobody up for ever."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "5000\n"
