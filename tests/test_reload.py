"""Workers that come and go under keep-alive load: no request fails, every click is counted."""

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack

import pytest

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
