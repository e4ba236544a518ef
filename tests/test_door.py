"""Connections are shared by the workers, and nobody is left outside."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.harness import Server, eventually
from tests.talk import Talk, established, request, sockets

NewServer = Callable[..., Server]
BURST = 40  # connections
NEWCOMERS = 30
MOST = 24  # of them; by chance it would be half, and so many in one try of a thousand


@pytest.fixture
def two(new_server: NewServer) -> Server:
    """A server with two workers and a link."""
    server = new_server(WORKERS="2").start()
    server.make_link(code="hot")
    return server


def burst(server: Server, stack: ExitStack, number: int = BURST) -> None:
    """Connect many times at once and follow the link on each; they stay until the stack ends."""
    talks = [stack.enter_context(Talk(server.address)) for _ in range(number)]
    for talk in talks:
        talk.say(request("/hot"))
    for talk in talks:
        answer = talk.answer()
        assert answer is not None
        assert answer.status == 302


def shares(server: Server) -> dict[int, int]:
    """How many connections each worker has."""
    here = established(server.address)
    return {worker: len(sockets(worker) & here.keys()) for worker in server.workers()}


def most_of_those_who_come(server: Server, worker: int) -> int:
    """How many of thirty newcomers a worker takes at best: whoever is slow to wake up on a busy
    machine leaves some to the other one."""
    best = 0
    for _ in range(10):
        before = shares(server)[worker]
        with ExitStack() as stack:
            for _ in range(NEWCOMERS):
                burst(server, stack, 1)
            best = max(best, shares(server)[worker] - before)
        eventually(lambda: shares(server)[worker], before.__eq__)  # they have gone
        if best >= MOST:
            break
    return best


@contextmanager
def frozen(worker: int) -> Iterator[None]:
    """A worker that does nothing."""
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def shared_well(server: Server) -> bool:
    """One worker has forty connections, the other one was frozen: most of those that come now go to
    that one, whichever of the two it is."""
    for idle in server.workers():
        with ExitStack() as stack:
            with frozen(idle):
                burst(server, stack)
            if most_of_those_who_come(server, idle) < MOST:
                return False
    return True


@pytest.mark.alone
def test_who_has_fewest_connections_takes_those_that_come(two: Server) -> None:
    """Of two workers."""
    assert shared_well(two)


def test_a_worker_that_does_nothing_keeps_nobody_waiting(two: Server) -> None:
    """One of two workers is frozen and has fewest connections: the other one takes them all."""
    idle, other = two.workers()
    with ExitStack() as stack, frozen(idle):
        burst(two, stack)
        assert shares(two)[other] >= BURST


@pytest.mark.alone
def test_a_worker_that_was_killed_is_not_waited_for(two: Server) -> None:
    """A new worker takes the place of one that was killed, and what that had counts no more."""
    old = two.workers()
    os.kill(old[0], signal.SIGKILL)
    new = eventually(lambda: set(two.workers()) - set(old), lambda found: len(found) == 1).pop()
    with ExitStack() as stack:

        def taken() -> int:
            burst(two, stack, 1)
            return shares(two)[new]

        assert eventually(taken, lambda count: count > 0) > 0
    assert shared_well(two)


def test_without_room_for_a_connection_it_waits(new_server: NewServer) -> None:
    """The system lets the worker have no more descriptors: that is said, who is connected goes on,
    and who came meanwhile is answered when there is room again."""
    server = new_server(WORKERS="1").start()
    server.make_link(code="hot")
    (worker,) = server.workers()
    with Talk(server.address) as known:
        known.say(request("/hot"))
        assert known.answer() is not None
        most = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, most[1]))  # it has more already
        with Talk(server.address) as outside:
            outside.say(request("/hot"))
            eventually(server.errors, lambda said: "no connection can be taken" in said)
            known.say(request("/hot"))
            assert known.answer() is not None
            resource.prlimit(worker, resource.RLIMIT_NOFILE, most)
            answer = outside.answer()
            assert answer is not None
            assert answer.status == 302
