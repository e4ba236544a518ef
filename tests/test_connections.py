"""Connections: what HTTP says about them, over raw sockets and on every path through the edge.

A path is a link that is remembered (answered from the parser's callback), one that is looked up
for each visitor, one that is looked up and handed on to Flask, and a page of Flask's.  The same
bytes get the same treatment on all four.
"""

import contextlib
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.harness import Server, descriptors, eventually
from tests.talk import Talk, request

NewServer = Callable[..., Server]
PATHS = {
    "remembered": "/hot",
    "looked up": "/cold",
    "handed on": "/locked",
    "a page": "/robots.txt",
}
STATUS = {"remembered": 302, "looked up": 302, "handed on": 200, "a page": 200}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with the two links."""
    own = Server(tmp_path_factory.mktemp("edge") / "data", WORKERS="1").start()
    own.make_link("https://example.com/hot", code="hot")
    own.make_link("https://example.com/cold", code="cold", forward_query=True)
    own.make_link("https://example.com/locked", code="locked", password="a secret")
    for code in ("hot", "cold"):
        assert own.follow(code).status_code == 302
    yield own
    own.stop()


class Case(NamedTuple):
    """Bytes, with PATH for the path; the statuses of their answers, 0 for the path's own; whether
    the connection goes on."""

    name: str
    said: bytes
    statuses: tuple[int, ...]
    stays: bool


PLAIN = request("PATH")
LAST = request("PATH", "Connection: close")
GOOD = [
    Case("one request", PLAIN, (0,), True),
    Case("five at once", PLAIN * 5, (0,) * 5, True),
    Case("more than wait in line", PLAIN * 40, (0,) * 40, True),
    Case("the last one", LAST, (0,), False),
    Case("the last one among options", request("PATH", "Connection: TE, Close"), (0,), False),
    Case("nothing behind the last one", PLAIN + LAST + PLAIN, (0, 0), False),
    Case("asked to stay", request("PATH", "Connection: keep-alive"), (0,), True),
    Case("HTTP/1.0", request("PATH", line="GET {} HTTP/1.0"), (0,), False),
    Case("HTTP/1.0 without a host", request("PATH", line="GET {} HTTP/1.0", host=""), (0,), False),
    Case(
        "HTTP/1.0 that would stay",
        request("PATH", "Connection: keep-alive", line="GET {} HTTP/1.0"),
        (0,),
        False,
    ),
    Case("empty lines before it", b"\r\n\r\n" + PLAIN, (0,), True),
    Case("an empty host", b"GET PATH HTTP/1.1\r\nHost:\r\n\r\n", (0,), True),
    Case("a host in capitals", b"GET PATH HTTP/1.1\r\nHOST: A.B\r\n\r\n", (0,), True),
    Case("a query", request("PATH?a=b"), (0,), True),
    Case("a fragment", request("PATH#there"), (0,), True),
    Case("an absolute target", request("http://a.b:80PATH"), (0,), True),
    Case("an absolute target in capitals", request("HTTPS://A.BPATH?x"), (0,), True),
    Case("a body", request("PATH", "Content-Length: 5") + b"hello" + PLAIN, (0, 0), True),
    Case("an empty body", request("PATH", "Content-Length: 0") + PLAIN, (0, 0), True),
    Case(
        "a body in chunks",
        request("PATH", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n" + PLAIN,
        (0, 0),
        True,
    ),
    Case(
        "a trailer",
        request("PATH", "Transfer-Encoding: chunked") + b"0\r\nHost: c.d\r\n\r\n" + PLAIN,
        (0, 0),
        True,
    ),
    Case(
        "another protocol offered",
        request("PATH", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c") + PLAIN,
        (0, 0),
        True,
    ),
    Case("a websocket", request("PATH", "Connection: Upgrade", "Upgrade: websocket"), (0,), True),
    Case("a hundred headers", request("PATH", *(f"X-{n}: y" for n in range(99))), (0,), True),
    Case("a large header", request("PATH", "Cookie: " + "c" * 60_000), (0,), True),
]
BAD = [
    Case("no host", request("PATH", host=""), (400,), False),
    Case("two hosts", request("PATH", "Host: c.d"), (400,), False),
    Case("the same host twice", request("PATH", "Host: a.b"), (400,), False),
    Case("two hosts and a good one before", PLAIN + request("PATH", "host: c.d"), (0, 400), False),
    Case("nothing behind it", request("PATH", host="") + PLAIN, (400,), False),
    Case("lines that end in LF", PLAIN.replace(b"\r\n", b"\n"), (400,), False),
    Case(
        "a header that ends in LF", b"GET PATH HTTP/1.1\r\nHost: a.b\nX: y\r\n\r\n", (400,), False
    ),
    Case("a folded header", request("PATH", "X: y", " z"), (400,), False),
    Case("a folded header with a tab", request("PATH", "X: y", "\tz"), (400,), False),
    Case("a space before the colon", request("PATH", "X : y"), (400,), False),
    Case("a header without a name", request("PATH", ": y"), (400,), False),
    Case("a header without a colon", request("PATH", "XY"), (400,), False),
    Case("a null byte in a header", request("PATH", "X: y\0"), (400,), False),
    Case("CR in a header", request("PATH", "X: y\rZ: z"), (400,), False),
    Case(
        "length and chunks",
        request("PATH", "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        (400,),
        False,
    ),
    Case(
        "chunks and length",
        request("PATH", "Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
        (400,),
        False,
    ),
    Case("two lengths", request("PATH", "Content-Length: 5", "Content-Length: 6"), (400,), False),
    Case("a length that is none", request("PATH", "Content-Length: five"), (400,), False),
    Case("a negative length", request("PATH", "Content-Length: -1"), (400,), False),
    Case("a length of 30 digits", request("PATH", "Content-Length: " + "9" * 30), (400,), False),
    Case("another encoding", request("PATH", "Transfer-Encoding: gzip"), (400,), False),
    Case("a method in small letters", request("PATH", line="get {} HTTP/1.1"), (400,), False),
    Case("no such version", request("PATH", line="GET {} HTTP/3.0"), (400,), False),
    Case("another version", request("PATH", line="GET {} HTTP/2.0"), (400,), False),
    Case("an old version", request("PATH", line="GET {} HTTP/0.9"), (400,), False),
    Case("no version", b"GET PATH\r\n\r\n", (400,), False),
    Case("HTTP/2 at once", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,), False),
    Case("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 300, (400,), False),
    Case("a target that is no address", request("ftp://a.bPATH"), (400,), False),
    Case("a target with a user", request("http://u:p@a.bPATH"), (400,), False),
    Case("a target without a slash", request("aPATH"), (400,), False),
    Case("the server itself", b"OPTIONS * HTTP/1.1\r\nHost: a.b\r\n\r\n", (400,), False),
    Case("a proxy wanted", b"CONNECT a.b:80 HTTP/1.1\r\nHost: a.b\r\n\r\n", (400,), False),
    Case("beyond ASCII", b"GET PATH\xc3\xa9 HTTP/1.1\r\nHost: a.b\r\n\r\n", (400,), False),
    Case("many headers", request("PATH", *(f"X-{n}: y" for n in range(100))), (431,), False),
    Case("the same header often", request("PATH", *["X: y"] * 100), (431,), False),
    Case("a header too large", request("PATH", "Cookie: " + "c" * 70_000), (431,), False),
    Case("a target too large", request("PATH?" + "q" * 70_000), (431,), False),
    Case("headers too large together", request("PATH", *["X: " + "y" * 900] * 90), (431,), False),
    Case("a head without end", b"GET PATH HTTP/1.1\r\nX: " + b"y" * 400_000, (431,), False),
    Case(
        "a good one before it",
        PLAIN + b"GET PATH HTTP/1.1\r\nX: " + b"y" * 400_000,
        (0, 431),
        False,
    ),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", [*GOOD, *BAD], ids=lambda case: case.name)
def test_a_request_is_answered_alike_on_every_path(edge: Server, case: Case, path: str) -> None:
    """Statuses in the order asked, and whether the connection goes on, are those of the table."""
    with Talk(edge.address) as talk:
        talk.say(case.said.replace(b"PATH", PATHS[path].encode()))
        wanted = [status or STATUS[path] for status in case.statuses]
        found = [talk.answer() for _ in wanted]
        assert [answer and answer.status for answer in found] == wanted
        last = found[-1]
        assert last is not None
        if case.stays:
            assert last.header("connection") is None
            assert talk.is_open(PATHS[path])
        else:
            assert last.header("connection") == "close"
            assert talk.answer() is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [1, 7, 60])
def test_a_request_may_come_in_pieces(edge: Server, path: str, size: int) -> None:
    """However few bytes arrive at a time."""
    said = request(PATHS[path], "User-Agent: slow") * 2
    with Talk(edge.address) as talk:
        talk.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(said), size):
            talk.say(said[start : start + size])
            time.sleep(0.001)
        for _ in range(2):
            answer = talk.answer()
            assert answer is not None
            assert answer.status == STATUS[path]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("count", [1, 2])
def test_whoever_stops_sending_is_answered(edge: Server, path: str, count: int) -> None:
    """A client that has closed its half after its requests gets all answers, and the end."""
    for _ in range(20):
        with Talk(edge.address) as talk:
            talk.say(request(PATHS[path]) * count)
            talk.socket.shutdown(socket.SHUT_WR)
            assert talk.answers() == [STATUS[path]] * count


@pytest.mark.parametrize(
    "end",
    [
        request("/", "Content-Length: 10", line="POST {} HTTP/1.1") + b"abc",
        request("/", "Transfer-Encoding: chunked", line="POST {} HTTP/1.1") + b"XX\r\n",
        request("/", "Transfer-Encoding: chunked", line="POST {} HTTP/1.1") + b"5\r\nab",
        request("/cold", host=""),
        b"NO HTTP\r\n\r\n",
    ],
    ids=["half a body", "bad chunks", "half a chunk", "no host", "no HTTP"],
)
@pytest.mark.parametrize("path", [None, *PATHS])
def test_whoever_stops_sending_in_the_middle_is_answered(
    edge: Server, path: str | None, end: bytes
) -> None:
    """A client that closes its half behind a bad request, or in one, gets the answers to what was
    good, and 400."""
    good = [] if path is None else [path] * 2
    for _ in range(10):
        with Talk(edge.address) as talk:
            talk.say(b"".join(request(PATHS[each]) for each in good) + end)
            talk.socket.shutdown(socket.SHUT_WR)
            assert talk.answers() == [STATUS[each] for each in good] + [400]


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_to_head_has_no_body(edge: Server, path: str) -> None:
    """Its headers are those of `GET`, and the next answer begins right behind them."""
    with Talk(edge.address) as talk:
        talk.say(request(PATHS[path], line="HEAD {} HTTP/1.1") + request(PATHS[path]))
        head, get = talk.answer(without_body=True), talk.answer()
        assert head is not None
        assert get is not None
        assert (head.status, dict(head.headers)) == (get.status, dict(get.headers))


def test_redirects_have_the_same_headers_in_the_same_order(edge: Server) -> None:
    """A remembered link and one that is looked up cannot be told apart."""
    with Talk(edge.address) as talk:
        talk.say(request("/hot") + request("/cold"))
        hot, cold = talk.answer(), talk.answer()
        assert hot is not None
        assert cold is not None
        assert [name for name, _ in hot.headers] == [name for name, _ in cold.headers]
        assert hot.header("location") == "https://example.com/hot"
        assert cold.header("location") == "https://example.com/cold"


def test_different_paths_on_one_connection_keep_their_order(edge: Server) -> None:
    """Pages are slower than redirects, and yet nobody overtakes."""
    page = "/robots.txt"
    order = ["/hot", page, "/cold", "/hot", "/nothere", "/hot", "/hot", page, "/cold"]
    with Talk(edge.address) as talk:
        talk.say(b"".join(map(request, order)))
        found = [answer.status for answer in (talk.answer() for _ in order) if answer]
    assert found == [{page: 200, "/nothere": 404}.get(path, 302) for path in order]


@pytest.mark.parametrize("seed", range(40))
def test_answers_come_in_the_order_of_requests(edge: Server, seed: int) -> None:
    """In any order, with bodies and without, in one write or in pieces: nobody overtakes what is
    looked up, and nothing is lost or answered twice.  The last one may be bad."""
    chance = random.Random(seed)
    kinds = {
        request("/hot"): 302,
        request("/cold"): 302,
        request("/locked"): 200,
        request("/robots.txt"): 200,
        request("/api/v1/links"): 401,
        request("/hot", "Content-Length: 3") + b"abc": 302,
        request("/cold", "Transfer-Encoding: chunked") + b"2\r\nab\r\n0\r\n\r\n": 302,
        request("/", "Content-Length: 2", line="POST {} HTTP/1.1") + b"ab": 405,
    }
    ends = {
        b"": [],
        request("/cold", "Connection: close") + request("/hot"): [302],
        request("/locked", "Connection: close") + request("/cold"): [200],
        request("/cold", host=""): [400],
        request("/cold", "Transfer-Encoding: chunked") + b"XX\r\n": [400],
    }
    asked = chance.choices(list(kinds), k=chance.randrange(2, 12))
    end = chance.choice(list(ends))
    said = b"".join(asked) + end
    with Talk(edge.address) as talk:
        talk.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while said:
            size = chance.choice((len(said), len(said), 100))
            talk.say(said[:size])
            said = said[size:]
            time.sleep(chance.choice((0, 0.0005, 0.003)))
        if not end:
            talk.socket.shutdown(socket.SHUT_WR)
        assert talk.answers() == [kinds[each] for each in asked] + ends[end]


@pytest.mark.parametrize("path", PATHS)
def test_only_so_many_requests_wait_in_line(edge: Server, path: str) -> None:
    """Of a thousand sent ahead the first are answered, the last of them says that it is, and the
    connection ends: nobody makes us hold what he does not wait for."""
    with Talk(edge.address) as talk:
        talk.say(request(PATHS[path]) * 1_000)
        found = []
        while (answer := talk.answer()) is not None:
            found.append(answer)
    assert {answer.status for answer in found} == {STATUS[path]}
    assert 64 <= len(found) < 1_000
    assert [answer.header("connection") for answer in found] == [None] * (len(found) - 1) + [
        "close"
    ]


def test_a_body_in_bad_chunks_ends_the_connection(edge: Server) -> None:
    """400, although the request was under way already."""
    with Talk(edge.address) as talk:
        talk.say(request("/api/v1/links", "Transfer-Encoding: chunked", line="POST {} HTTP/1.1"))
        talk.say(b"5\r\nhelloXX\r\n")
        assert talk.answers() == [400]


def test_a_trailer_without_end_is_cut_off(edge: Server) -> None:
    """Nobody makes us hold a header that does not end, wherever it stands."""
    with Talk(edge.address) as talk:
        talk.say(request("/api/v1/links", "Transfer-Encoding: chunked", line="POST {} HTTP/1.1"))
        talk.say(b"5\r\nhello\r\n0\r\nX: ")
        for _ in range(100):
            talk.say(b"y" * 10_000)
        assert talk.answers() == [431]


def test_a_trailer_is_no_header(edge: Server) -> None:
    """What comes behind the body cannot sign anybody in."""
    key = f"Authorization: Bearer {edge.key}"
    body = b'{"url": "https://example.com/"}'
    with Talk(edge.address) as talk:
        talk.say(request("/api/v1/links", "Transfer-Encoding: chunked", line="POST {} HTTP/1.1"))
        talk.say(b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(body), body, key.encode()))
        answer = talk.answer()
    assert answer is not None
    assert answer.status == 401


def test_a_body_that_waits_for_leave_gets_it(edge: Server) -> None:
    """`Expect: 100-continue`: 100, then the answer; without a body to send, only the answer."""
    body = b'{"url": "https://example.com/"}'
    headers = (
        f"Authorization: Bearer {edge.key}",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
    )
    with Talk(edge.address) as talk:
        talk.say(request("/api/v1/links", *headers, line="POST {} HTTP/1.1"))
        leave = talk.answer()
        assert leave is not None
        assert leave.status == 100
        talk.say(body)
        assert talk.answers() == [201]
    with Talk(edge.address) as talk:
        talk.say(request("/hot", "Expect: 100-continue", "Content-Length: 5"))
        assert talk.answers() == [302]


def test_the_host_of_an_absolute_target_counts(new_server: NewServer) -> None:
    """With several domains nobody reaches another's links by a header that contradicts."""
    server = new_server(WORKERS="1", BASE_URL="https://arab.news", DOMAINS="go.example").start()
    server.make_link("https://example.com/1", code="same")
    server.make_link("https://example.com/2", code="same", domain="go.example")
    rows = [
        ("/same", "arab.news", "https://example.com/1"),
        ("/same", "go.example:8000", "https://example.com/2"),
        ("http://go.example/same", "arab.news", "https://example.com/2"),
        ("http://arab.news:80/same", "go.example", "https://example.com/1"),
        ("http://other.example/same", "arab.news", None),
        ("/go.example/same", "arab.news", None),
        ("/same", "go.example, arab.news", None),
    ]
    for target, host, location in rows * 2:
        with Talk(server.address) as talk:
            talk.say(request(target, host=host))
            answer = talk.answer()
        assert answer is not None
        assert (answer.header("location"), answer.status == 404) == (location, location is None)


def test_whoever_reads_nothing_is_not_written_to_for_ever(edge: Server) -> None:
    """Thousands of requests from a client that takes no answer: what waits for it is bounded, the
    others are served, and when it reads after all, all is there and in order."""
    long = edge.make_link("https://example.com/" + "l" * 8_000)["code"]
    (worker,) = edge.workers()
    before = resident(worker)
    asked = 4_000
    with Talk(edge.address) as talk:
        talk.socket.settimeout(1)
        said = request(f"/{long}") * asked
        with contextlib.suppress(TimeoutError):
            talk.socket.sendall(said)
        assert edge.follow("hot").status_code == 302
        assert resident(worker) - before < 20 << 20
        talk.socket.settimeout(20)
        answer = talk.answer()
        assert answer is not None
        assert answer.status == 302


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    from pathlib import Path

    (line,) = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line
    ]
    return int(line.split()[1]) * 1024


def test_who_vanishes_while_a_link_is_looked_up_is_no_error(edge: Server) -> None:
    """Redis is held up meanwhile: nobody is told of an error, and no click is counted."""
    (worker,) = edge.workers()
    (redis,) = edge.pids("valkey")
    lone = edge.make_link(forward_query=True)["code"]
    before = descriptors(worker)
    os.kill(redis, signal.SIGSTOP)
    try:
        for patience in (0.05, 0.4):  # before it is said that Redis is away, and after
            for path in (f"/{lone}", "/locked", "/nothere"):
                for first in (b"", request("/robots.txt")):
                    talk = Talk(edge.address)
                    talk.say(first + request(path) + request("/hot"))
                    if first:
                        assert talk.answer() is not None
                    talk.reset()
            time.sleep(patience)
    finally:
        os.kill(redis, signal.SIGCONT)
    assert eventually(lambda: descriptors(worker), lambda n: n <= before) <= before
    assert eventually(lambda: edge.follow(lone).status_code, (302).__eq__) == 302
    assert eventually(lambda: edge.clicks(lone), (1).__eq__) == 1
    assert "Traceback" not in edge.errors()
    assert "never retrieved" not in edge.errors()


def test_clients_that_vanish_leave_nothing_behind(edge: Server) -> None:
    """Connections reset before, in the middle of and after a request: descriptors are given back,
    what was not answered is not counted twice, and nobody is told of an error."""
    (worker,) = edge.workers()
    before = descriptors(worker)
    for said in (
        b"",
        b"GET /ho",
        request("/hot"),
        request("/cold") * 3,
        request("/robots.txt") * 3,
        request("/-/docs") * 3,
    ):
        for _ in range(60):
            talk = Talk(edge.address)
            talk.say(said)
            talk.reset()
    left = eventually(lambda: descriptors(worker), lambda count: count <= before)
    assert left <= before
    assert edge.follow("hot").status_code == 302
    assert "Traceback" not in edge.errors()
