"""Heads that a worker knows to the byte: they mean what they meant when they were parsed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shortener.web.familiar import MOST, PERSONAL, Familiar
from shortener.web.visitor import said
from tests.harness import BROWSER, Server, eventually
from tests.talk import Talk, request

NewServer = Callable[..., Server]
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36"
)
FROM_NEWS = (f"User-Agent: {BROWSER}", "Referer: https://news.example/a")
FROM_CHAT = (f"User-Agent: {CHROME}", "Referer: https://chat.example/b")
PRIVATE = (*FROM_NEWS, "DNT: 1")
AHEAD = (*FROM_NEWS, "Sec-Purpose: prefetch")
BARE: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one worker, to which these heads are familiar."""
    own = Server(tmp_path_factory.mktemp("familiar") / "data", WORKERS="1").start()
    own.make_link(code="known")
    for head in (FROM_NEWS, FROM_CHAT, PRIVATE, AHEAD, BARE) * 4:
        assert visit(own, request("/known", *head)) == [302]
    yield own
    own.stop()


def visit(server: Server, *pieces: bytes, answers: int = 1, source: str = "127.0.0.1") -> list[int]:
    """The statuses of what is answered on a new connection."""
    with Talk(server.address, source) as talk:
        for piece in pieces:
            talk.say(piece)
        found = [talk.answer() for _ in range(answers)]
        return [0 if answer is None else answer.status for answer in found]


def counted(server: Server, code: str, clicks: int) -> dict[str, Any]:
    """The statistics of a link, as soon as they have so many clicks."""
    assert eventually(lambda: server.clicks(code), clicks.__eq__) == clicks
    answer: dict[str, Any] = server.api("GET", f"/links/{code}/stats").json()
    return answer


def shares(found: dict[str, Any], dimension: str) -> dict[str, int]:
    """Clicks by label."""
    return {entry["value"]: entry["clicks"] for entry in found["by"][dimension]}


def test_each_head_says_what_it_says(one: Server) -> None:
    """Browser, referrer, a wish for privacy, a bot: on one connection and over several."""
    one.make_link(code="mixed")
    heads = [FROM_NEWS, FROM_CHAT, PRIVATE, BARE]
    together = [request("/mixed", *head) for head in heads]
    with Talk(one.address) as talk:
        for said_now in together * 2:
            talk.say(said_now)
            answer = talk.answer()
            assert answer is not None
            assert answer.status == 302
    for alone in together:
        assert visit(one, alone) == [302]
    found = counted(one, "mixed", 12)
    assert (found["totals"]["clicks"], found["totals"]["bots"]) == (9, 3)
    assert shares(found, "browser") == {"Firefox": 3, "Chrome": 3, "unknown": 3}
    assert shares(found, "referrer") == {"news.example": 3, "chat.example": 3, "unknown": 3}


def test_who_is_connected_is_told_apart(one: Server) -> None:
    """The same head from two addresses is two visitors."""
    one.make_link(code="twice")
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
        assert visit(one, request("/twice", *FROM_NEWS), source=source) == [302]
    assert counted(one, "twice", 3)["totals"]["visitors"] == 2


def test_a_campaign_is_read_all_the_same(one: Server) -> None:
    """The query is no part of the head."""
    one.make_link(code="sent")
    assert visit(one, request("/sent?utm_source=letter", *FROM_NEWS)) == [302]
    assert visit(one, request("/sent", *FROM_NEWS)) == [302]
    found = counted(one, "sent", 2)
    assert shares(found, "utm_source") == {"letter": 1, "none": 1}


def test_what_looks_ahead_is_not_counted(one: Server) -> None:
    """However often it comes; nor does a HEAD with the same head."""
    one.make_link(code="ahead")
    for _ in range(4):
        assert visit(one, request("/ahead", *AHEAD)) == [302]
    assert visit(one, request("/ahead", *FROM_NEWS, line="HEAD {} HTTP/1.1")) == [302]
    assert visit(one, request("/ahead", *FROM_NEWS)) == [302]
    counted(one, "ahead", 1)


def test_other_links_are_looked_up(one: Server) -> None:
    """A link that is new, changed, deleted, unknown or behind a password, and a page, on the first
    request of a connection."""
    code = one.make_link(code="changing")["code"]
    first = request(f"/{code}", *FROM_NEWS)
    assert visit(one, first) == [302]
    one.api("PATCH", f"/links/{code}", json={"redirect_status": 301})
    assert visit(one, first) == [301]
    one.api("DELETE", f"/links/{code}")
    assert visit(one, first) == [404]
    one.make_link(code="locked", password="a secret")
    assert visit(one, request("/locked", *FROM_NEWS)) == [200]
    assert visit(one, request("/robots.txt", *FROM_NEWS)) == [200]
    assert visit(one, request("/KNOWN", *FROM_NEWS)) == [302]


def test_another_method_is_another_request(one: Server) -> None:
    """Of as many letters as `GET`, with the same head."""
    assert visit(one, request("/known", *FROM_NEWS, line="PUT {} HTTP/1.1")) == [405]
    assert visit(one, request("/known", *FROM_NEWS, line="ODD {} HTTP/1.1")) == [400]


def test_the_last_request_is_the_last_each_time(one: Server) -> None:
    """`Connection: close`, and HTTP/1.0, however often they come."""
    for last in (request("/known", "Connection: close"), request("/known", line="GET {} HTTP/1.0")):
        for _ in range(4):
            with Talk(one.address) as talk:
                talk.say(last)
                assert talk.answers() == [302]


def test_what_comes_behind_keeps_its_place(one: Server) -> None:
    """Several at once, in pieces, behind a look-up or behind a request with a body."""
    for code in ("near", "far"):
        one.make_link(code=code)
    known = request("/near", *FROM_NEWS)
    assert visit(one, known) == [302]
    assert visit(one, known * 3, answers=3) == [302] * 3
    assert visit(one, known[:20], known[20:] + known, answers=2) == [302] * 2
    assert visit(one, request("/far", *FROM_NEWS), known, answers=2) == [302] * 2
    assert visit(one, request("/nothere", *FROM_NEWS), known, answers=2) == [404, 302]
    body = request("/near", "Content-Length: 5", line="POST {} HTTP/1.1") + b"hello"
    assert visit(one, body, known, answers=2) == [405, 302]
    assert visit(one, body[:-2], body[-2:] + known, answers=2) == [405, 302]


def test_nothing_is_learned_from_half_a_request(one: Server) -> None:
    """What looks like a request of its own in the middle of another one is neither answered nor
    remembered: else a stranger could say what other people's heads mean."""
    one.make_link(code="target")
    tail = request("/target", "X-Mark: 1")
    trap = f"GET /target HTTP/1.1\r\nUser-Agent: {BROWSER}\r\nX-Trap: ".encode()
    for _ in range(5):
        with Talk(one.address) as talk:
            for piece in (trap[:1], trap[1:]):
                talk.say(piece)
                assert visit(one, request("/known")) == [302]  # by then it was read
            talk.say(tail)
            answer = talk.answer()
            assert answer is not None
            assert answer.status == 302
            assert talk.is_open()
    counted(one, "target", 5)
    for _ in range(3):
        assert visit(one, tail) == [302]
    totals = counted(one, "target", 8)["totals"]
    assert (totals["clicks"], totals["bots"]) == (5, 3)


def test_who_does_not_want_to_be_tracked_is_not_written_down(new_server: NewServer) -> None:
    """Neither address nor browser is in the click journal, also when the head is familiar; those of
    others, who came the same way, are."""
    server = new_server("--without-aggregator", WORKERS="1").start()
    code = server.make_link()["code"]
    for head, source in ((PRIVATE, "127.0.0.77"), (FROM_CHAT, "127.0.0.78")):
        for _ in range(5):
            assert visit(server, request(f"/{code}", *head), source=source) == [302]
    journal = b"".join(file.read_bytes() for file in server.data_dir.glob("journal/*.clicks"))
    assert journal.count(code.encode()) == 10
    assert journal.count(b"127.0.0.78") == journal.count(CHROME.encode()) == 5
    assert b"127.0.0.77" not in journal
    assert BROWSER.encode() not in journal


@pytest.mark.parametrize("name", sorted(PERSONAL))
def test_what_is_of_one_visitor_is_not_remembered(name: bytes) -> None:
    """Sessions, keys and addresses are in no worker's memory for longer than their request."""
    familiar, headers = Familiar(), {b"host": b"a.b", name: b"x"}
    data = b" HTTP/1.1\r\nHost: a.b\r\n%b: x\r\n\r\n" % name
    for _ in range(3):
        familiar.learn(data, list(headers.items()), headers, said(headers))
    assert data not in familiar


def test_only_whole_heads_that_come_again_are_remembered() -> None:
    """Those of one request, of some length, and no more than so many."""
    familiar = Familiar()
    head: tuple[Any, ...] = [], {}, said({})
    whole = b" HTTP/1.1\r\nHost: a.b\r\n\r\n"
    familiar.learn(whole, *head)
    assert whole not in familiar
    familiar.learn(whole, *head)
    assert familiar[whole][:3] == ([], {}, False)
    for strange in (whole[:-2], whole + b"GET /", whole * 2, whole + b"\r\n\r\n", b""):
        for _ in range(3):
            familiar.learn(strange, *head)
        assert strange not in familiar
    long = b" HTTP/1.1\r\nAccept: %b\r\n\r\n" % (b"c" * 1_500)
    for number in range(3 * MOST):
        for _ in range(2):
            familiar.learn(long, *head)
            familiar.learn(b" %d\r\n\r\n" % number, *head)
    assert long not in familiar
    assert 0 < len(familiar) <= MOST
