"""Connections are shared by the workers, and nobody is left outside."""

import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.harness import Server, descriptors, eventually
from tests.talk import Talk, request

NewServer = Callable[..., Server]
BURST = 40  # connections
ESTABLISHED = "01"  # in /proc/net/tcp


@pytest.fixture
def two(new_server: NewServer) -> Server:
    """A server with two workers and a link."""
    server = new_server(WORKERS="2").start()
    server.make_link(code="hot")
    return server


def burst(server: Server, stack: ExitStack) -> list[int]:
    """Connect many times at once and follow the link on each: how many each worker has."""
    talks = [stack.enter_context(Talk(server.address)) for _ in range(BURST)]
    for talk in talks:
        talk.say(request("/hot"))
    for talk in talks:
        answer = talk.answer()
        assert answer is not None
        assert answer.status == 302
    here = connections(int(server.address.rpartition(":")[2]))
    return [len(sockets(worker) & here) for worker in server.workers()]


def connections(port: int) -> set[str]:
    """The sockets of connections to a port of this machine."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED}


def sockets(pid: int) -> set[str]:
    """The sockets that a process has."""
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(file.readlink()).removeprefix("socket:[").removesuffix("]"))
    return found


def test_a_burst_is_shared_by_the_workers(two: Server) -> None:
    """Of forty connections that come at once each of two workers takes about half, and so it is
    when they have gone and others come."""
    for _ in range(2):
        with ExitStack() as stack:
            shares = burst(two, stack)
            assert min(shares) >= BURST // 4


def test_a_worker_that_does_nothing_keeps_nobody_waiting(two: Server) -> None:
    """One of two workers is frozen and has fewest connections: the other one takes them all."""
    frozen = two.workers()[0]
    os.kill(frozen, signal.SIGSTOP)
    try:
        with ExitStack() as stack:
            assert max(burst(two, stack)) >= BURST
    finally:
        os.kill(frozen, signal.SIGCONT)


def test_a_worker_that_was_killed_is_not_waited_for(two: Server) -> None:
    """A new worker takes the place of one that was killed, and its share of connections."""
    old = two.workers()
    os.kill(old[0], signal.SIGKILL)
    eventually(two.workers, lambda now: len(now) == 2 and now != old)
    eventually(lambda: two.follow("hot").status_code, lambda status: status == 302)
    time.sleep(0.5)  # the new one may still be opening
    with ExitStack() as stack:
        shares = burst(two, stack)
        assert min(shares) >= BURST // 4


def test_without_room_for_a_connection_it_waits(new_server: NewServer) -> None:
    """The system lets the worker have no more descriptors: that is said, who is connected goes on,
    and who came meanwhile is answered when there is room again."""
    server = new_server(WORKERS="1").start()
    server.make_link(code="hot")
    (worker,) = server.workers()
    with Talk(server.address) as known, Talk(server.address) as late:
        known.say(request("/hot"))
        assert known.answer() is not None
        late.say(request("/hot"))
        assert late.answer() is not None
        most = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (descriptors(worker), most[1]))
        with Talk(server.address) as outside:
            outside.say(request("/hot"))
            eventually(server.errors, lambda said: "no connection can be taken" in said)
            known.say(request("/hot"))
            assert known.answer() is not None
            resource.prlimit(worker, resource.RLIMIT_NOFILE, most)
            answer = outside.answer()
            assert answer is not None
            assert answer.status == 302
