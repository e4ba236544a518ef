"""Types that several threads decode into for the first time."""

import subprocess
import sys

import pytest

AT_ONCE = """
import os, sys, threading
{imports}

def decode():
    together.wait()
    {call}

for _ in range(50):
    child = os.fork()
    if child == 0:
        sys.setswitchinterval(1e-6)
        together = threading.Barrier(4)
        threads = [threading.Thread(target=decode) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        sys.exit(status)
"""
BODIES = "from shortener.web.api import bodies"
CHANGE = {"url": "https://example.com/", "tags": ["a"], "max_clicks": 1, "password": "12345678"}
LINK = CHANGE | {"code": "x", "domain": "example.com"}
TRIES = {  # what is imported and done
    "a new link": (BODIES, f"bodies.convert({LINK}, bodies.NewLink)"),
    "many": (BODIES, f"bodies.convert({{'links': [{LINK}]}}, bodies.NewLinks)"),
    "a change": (BODIES, f"bodies.convert({CHANGE}, bodies.LinkChange)"),
    "an answer": (
        "from shortener.decoders import decoder; from shortener.cli.sending import _Answer",
        'decoder(_Answer).decode(b\'{"created": 1, "existing": 0, "errors": []}\')',
    ),
}


@pytest.mark.parametrize(("imports", "call"), TRIES.values(), ids=TRIES)
def test_the_first_may_come_at_once(imports: str, call: str) -> None:
    """Four threads in a new process, which would crash; fifty times, as it is a matter of luck."""
    command = [sys.executable, "-c", AT_ONCE.format(imports=imports, call=call)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
