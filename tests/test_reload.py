"""Workers that come and go under keep-alive load: no request fails, every click is counted."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from shortener.web.patience import LINGER
from tests.harness import Load, Server, eventually
from tests.talk import Talk, request

NewServer = Callable[..., Server]


def reload(server: Server) -> None:
    """SIGHUP for the launcher, twice, under load; the workers are others afterwards."""
    for _ in range(2):
        old = set(server.workers())
        server._process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
        wait_for_the_end_of(old, server)


def recycle(server: Server) -> None:
    """SIGTERM for each worker in turn, whom gunicorn replaces."""
    for worker in server.workers():
        os.kill(worker, signal.SIGTERM)
        wait_for_the_end_of({worker}, server)


def wait_for_the_end_of(workers: set[int], server: Server) -> None:
    left = eventually(lambda: workers & set(server.workers()), lambda found: not found)
    assert not left


@pytest.mark.parametrize("change", [reload, recycle])
def test_workers_are_replaced_and_nobody_notices(
    new_server: NewServer, change: Callable[[Server], None]
) -> None:
    """Connections that are in use are told to connect anew, not cut."""
    server = new_server(WORKERS="2").start()
    codes = [server.make_link(forward_query=bool(n % 2))["code"] for n in range(4)]
    with Load(server.address, codes, connections=16) as load:
        load.wait_for(500)
        change(server)
        load.wait_for(500)
    assert load.broken == load.late
    assert set(load.statuses) == {302}
    wanted = load.answered.total()
    assert eventually(server.site_clicks, lambda clicks: clicks >= wanted) == wanted


def test_a_stop_under_load_fails_no_request(new_server: NewServer) -> None:
    """SIGTERM: whoever has been let in is answered, and counted; then connections are refused."""
    server = new_server(WORKERS="2").start()
    codes = [server.make_link(forward_query=bool(n % 2))["code"] for n in range(4)]
    with Load(server.address, codes, connections=16) as load:
        load.wait_for(500)
        assert server.stop() == 0
    assert load.broken == load.late
    assert set(load.statuses) == {302}
    server.start()
    assert server.site_clicks() == load.answered.total()


def test_a_quiet_connection_gets_one_more_answer(new_server: NewServer) -> None:
    """While its worker ends, the next answer says `connection: close`, on every path."""
    server = new_server(WORKERS="1").start()
    server.make_link(code="hot")
    server.make_link(code="cold", forward_query=True)
    with ExitStack() as opened:
        first, *others = [opened.enter_context(Talk(server.address)) for _ in range(4)]
        paths = ["/hot", "/cold", "/-/health"]
        assert all(talk.is_open(path) for talk, path in zip(others, paths, strict=True))
        os.kill(server.workers()[0], signal.SIGTERM)
        eventually(lambda: asked(first, "/hot"), lambda said: said == "close")
        for talk, path in zip(others, paths, strict=True):
            assert asked(talk, path) == "close"
            assert talk.answer() is None
    assert eventually(lambda: server.follow("hot").status_code, lambda s: s == 302) == 302


def asked(talk: Talk, path: str) -> str | None:
    """What the answer to one request says about the connection."""
    talk.say(request(path))
    answer = talk.answer()
    assert answer is not None
    return answer.header("connection")


def test_a_request_that_was_not_read_yet_is_answered(new_server: NewServer) -> None:
    """A worker that ends is held up; when it goes on, the time of a quiet connection is over and a
    request on it lies there unread: it gets its answer, which is the last."""
    server = new_server(WORKERS="1").start()
    server.make_link(code="hot")
    answers = [said_to_a_late_worker(server) for _ in range(3)]
    assert (302, "close") in answers  # but for a machine that takes a second for a step of this


def said_to_a_late_worker(server: Server) -> tuple[int, str | None]:
    """Status of the answer, and whether it is the last; 0 when there is none."""
    worker = eventually(server.workers, lambda found: len(found) == 1)[0]
    with Talk(server.address) as quiet, Talk(server.address) as other:
        for talk in (quiet, other):
            talk.say(request("/hot"))
            assert talk.answer() is not None
        os.kill(worker, signal.SIGTERM)
        leaves = None
        while leaves != "close":
            other.say(request("/hot"))
            answer = other.answer()
            leaves = "close" if answer is None else answer.header("connection")
        os.kill(worker, signal.SIGSTOP)
        time.sleep(LINGER + 0.2)
        quiet.say(request("/hot"))
        os.kill(worker, signal.SIGCONT)
        last = quiet.answer()
        wait_for_the_end_of({worker}, server)
        return (0, None) if last is None else (last.status, last.header("connection"))
