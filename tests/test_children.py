"""Children: what they do with signals from the moment of their fork."""

import subprocess
import sys

SOON = """
import signal, sys, time
from shortener import children
signal.signal(signal.SIGTERM, lambda *_: None)
for _ in range(50):
    child = children.fork("example", lambda: time.sleep(60))
    child.send_signal(signal.SIGTERM)
    print(child.wait(20))
signal.raise_signal(signal.SIGTERM)
print("still here")
"""


def test_a_child_ends_when_told_so_as_it_begins() -> None:
    """SIGTERM right after the fork, when it still has its parent's way with it, is not lost; and
    the parent keeps its way."""
    done = subprocess.run([sys.executable, "-c", SOON], capture_output=True, text=True, timeout=60)
    assert (done.stdout.split("\n"), done.stderr) == (["-15"] * 50 + ["still here", ""], "")
