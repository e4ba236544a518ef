"""The office: Flask in a process of its own beside each worker.

It has the other ends of two lines of the worker's event loop (`web/office.py`): one for requests
that wait for Redis, one for those that need nothing, so that a Redis that is away holds up only
what needs it.  The first frame has the settings.  It ends when the worker hangs up or is gone.

It is forked with the worker; one that has to be replaced later, when the worker has an event loop,
is `python -m shortener.office FD FD`.

Threads beside the event loop would share its interpreter: redirects had a p99 of 55 ms while eight
clients read lists and statistics.  What we give up is memory: 19 MB of its own (PSS) when idle.
"""

import signal
import socket
import sys
from collections.abc import Sequence

from shortener import children, kit
from shortener.app import create_app
from shortener.config import Settings
from shortener.web.clerks import Line, serve

CLERKS = 8  # that may wait for Redis
READY_CLERKS = 2  # for what waits for nothing
STEP_BACK = 10  # in priority: redirects go first, and reports take a tenth longer than at 5


def run(ends: Sequence[socket.socket]) -> None:
    """Answer until the worker hangs up."""
    children.dying_with_parent(signal.SIGKILL)()  # nothing is lost: what is answered is written
    lines = [Line(end) for end in ends]
    first = lines[0].take()
    if first is None:
        return  # the worker is gone already
    settings: Settings = first[1]
    children.step_back(STEP_BACK)
    meter = kit.meter(settings)
    journal = kit.journal(settings, meter.counters)
    serve(
        create_app(settings, journal, meter), list(zip(lines, (CLERKS, READY_CLERKS), strict=True))
    )
    journal.close()
    meter.close()


if __name__ == "__main__":
    children.take_name("office")
    run([socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:]])
