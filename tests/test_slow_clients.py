"""Clients that take their time: they hold up nobody, and nothing of theirs is held for ever."""

import socket
import time
from collections.abc import Callable

from tests.harness import Load, Server, descriptors, eventually
from tests.signed_in import Person
from tests.talk import Talk, request

NewServer = Callable[..., Server]

SLOW = 15  # seconds that a head, or a body, may take
DRIP = 1.0  # seconds between two bytes
PATIENCE = 3 * SLOW


def drip(talks: dict[str, list[tuple[Talk, bytes]]]) -> dict[str, list[list[int]]]:
    """Say a byte a second on each connection until all are closed; what each was answered."""
    ended: dict[str, list[list[int]]] = {kind: [] for kind in talks}
    left = {kind: list(pairs) for kind, pairs in talks.items()}
    place, deadline = 0, time.monotonic() + PATIENCE
    while any(left.values()):
        assert time.monotonic() < deadline, {kind: len(pairs) for kind, pairs in left.items()}
        for kind, pairs in left.items():
            for talk, said in list(pairs):
                talk.say(said[place : place + 1])
                if is_at_its_end(talk):
                    ended[kind].append(talk.answers())
                    pairs.remove((talk, said))
        place += 1
        time.sleep(DRIP)
    return ended


def is_at_its_end(talk: Talk) -> bool:
    """Whether the server has hung up; what it said before is kept."""
    talk.socket.setblocking(False)
    try:
        while talk._read():
            pass
        return True
    except BlockingIOError:
        return False
    finally:
        talk.socket.settimeout(20)


def test_slow_clients_hold_up_nobody_and_are_sent_away(new_server: NewServer) -> None:
    """200 connections that send a byte a second, in a head or a body, or nothing at all: others
    are served meanwhile, and after the stated time each is told 408, or hung up on in silence."""
    server = new_server(WORKERS="1").start()
    codes = [server.make_link(forward_query=bool(n % 2))["code"] for n in range(4)]
    post = request("/api/v1/links", "Content-Length: 999", line="POST {} HTTP/1.1")
    said = {
        "head": b"GET /nothere HTTP/1.1\r\nHost: a.b\r\nX-Slow: " + b"s" * PATIENCE,
        "body": b" " * PATIENCE,
        "nothing": b"",
        "lines": b"\r\n" * PATIENCE,
    }
    talks = {kind: [(Talk(server.address), text) for _ in range(50)] for kind, text in said.items()}
    for talk, _ in talks["body"]:
        talk.say(post)
    with Load(server.address, codes) as load:
        ended = drip(talks)
        load.wait_for(100)
    assert load.broken == 0
    assert set(load.statuses) == {302}
    assert ended == {
        "head": [[408]] * 50,
        "body": [[408]] * 50,
        "nothing": [[]] * 50,
        "lines": [[]] * 50,
    }
    for pairs in talks.values():
        for talk, _ in pairs:
            talk.socket.close()


def test_whoever_takes_no_answer_is_cut_off(new_server: NewServer) -> None:
    """Answers pile up for a client that reads nothing: after half a minute it is given up."""
    server = new_server(WORKERS="1").start()
    code = server.make_link("https://example.com/" + "l" * 8_000)["code"]
    with Talk(server.address) as talk:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        talk.socket.setblocking(False)
        said = request(f"/{code}") * 4_000
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                talk.socket.send(said)
            except BlockingIOError:
                time.sleep(0.1)
            except ConnectionError:
                break
        else:
            raise AssertionError("it was waited for")
    assert server.follow(code).status_code == 302


def test_a_large_answer_waits_for_who_takes_it(new_server: NewServer) -> None:
    """A client that reads nothing of a large answer is given up after half a minute, and so is one
    that was refused behind it.  Who reads slowly gets all of it."""
    server = new_server(WORKERS="1").start()
    for start in range(0, 1_200, 100):  # ten megabytes, which no socket holds
        links = [{"url": f"https://example.com/{start + n}/" + "l" * 8_000} for n in range(100)]
        assert server.api("POST", "/links/bulk", json={"links": links}).status_code == 200
    person = Person(server)
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in person.http.cookies.jar)
    (worker,) = server.workers()
    before = descriptors(worker)
    download = request("/-/links.csv", f"Cookie: {cookies}")
    slow, silent, refused = (Talk(server.address) for _ in range(3))
    slow.say(download)
    silent.say(download)
    refused.say(download + b"NO HTTP\r\n\r\n")
    deadline = time.monotonic() + 45
    while time.monotonic() < deadline:
        assert slow._read(2_048), "it was hung up on"
        time.sleep(0.1)
    assert descriptors(worker) <= before + 1
    answer = slow.answer()
    assert answer is not None
    assert (answer.status, answer.body.count(b"\n")) == (200, 1_201)
    for talk in (slow, silent, refused):
        talk.socket.close()
    assert eventually(lambda: descriptors(worker), lambda n: n <= before) <= before
    assert server.http.get("/robots.txt").status_code == 200
