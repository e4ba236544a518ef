"""The redirect: one table of requests, answered alike by the event loop and by plain Flask."""

import contextlib
import itertools
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import unquote

import httpx
import pytest

from shortener import connections, keys
from shortener.codes import normalise
from shortener.counting.pieces import SITE_BUCKET
from tests.harness import NO_TLS, Server, environment, eventually

NewServer = Callable[..., Server]
BROWSER = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"


class Request(NamedTuple):
    """A row of the table; `status` and `counted` are what must come of it."""

    name: str
    line: str
    status: int
    counted: int
    headers: tuple[str, ...] = ()


REQUESTS = [
    Request("plain", "GET /plain", 302, 1),
    Request("upper case", "GET /PLAIN", 302, 1),
    Request("percent-encoded", "GET /%70lain", 302, 1),
    Request("with a query", "GET /plain?utm_source=x&a=%20b", 302, 1),
    Request("with a bare query mark", "GET /plain?", 302, 1),
    Request("permanent", "GET /forever", 301, 1),
    Request("keeps the method", "GET /seven", 307, 1),
    Request("keeps the method for ever", "GET /eight", 308, 1),
    Request("another script", "GET /%D9%82%D9%85%D8%A9", 302, 1),
    Request("decomposed letters", "GET /cafe%CC%81", 302, 1),
    Request("not followed with a body", "HEAD /plain", 302, 0),
    Request("fetched ahead", "GET /plain", 302, 0, ("Sec-Purpose: prefetch;prerender",)),
    Request("fetched ahead, older", "GET /plain", 302, 0, ("Purpose: prefetch",)),
    Request("fetched ahead, oldest", "GET /plain", 302, 0, ("X-Moz: prefetch",)),
    Request("not to be tracked", "GET /plain", 302, 1, ("DNT: 1",)),
    Request("any host is the one", "GET /plain", 302, 1, ("Host: elsewhere.example",)),
    Request("a browser", "GET /plain", 302, 1, (f"Accept: {BROWSER}",)),
    Request("unknown", "GET /nothere", 404, 0),
    Request("unknown, a browser", "GET /nothere", 404, 0, (f"Accept: {BROWSER}",)),
    Request("unknown, without its body", "HEAD /nothere", 404, 0),
    Request("no code at all", "GET /no.code", 404, 0),
    Request("too long for a code", f"GET /{'a' * 65}", 404, 0),
    Request("expired", "GET /over", 410, 0),
    Request("expired, a browser", "GET /over", 410, 0, (f"Accept: {BROWSER}",)),
    Request("something behind it", "GET /plain/extra", 404, 0),
    Request("a slash behind it", "GET /plain/", 404, 0),
    Request("two slashes before it", "GET //plain", 302, 1),
    Request("a dot segment", "GET /%2e%2e", 404, 0),
    Request("a null byte", "GET /plain%00", 404, 0),
    Request("broken UTF-8", "GET /%ff%fe", 404, 0),
    Request("an encoded slash", "GET /plain%2Fextra", 404, 0),
    Request("the preview", "GET /plain+", 200, 0),
    Request("the preview, a browser", "GET /plain+", 200, 0, (f"Accept: {BROWSER}",)),
    Request("the preview, percent-encoded", "GET /plain%2B", 200, 0),
    Request("the preview, with a query", "GET /PLAIN+?a=b", 200, 0),
    Request("the preview without its body", "HEAD /plain+", 200, 0),
    Request("the preview of another script", "GET /%D9%82%D9%85%D8%A9+", 200, 0),
    Request("the preview of nothing", "GET /nothere+", 404, 0),
    Request("the preview of an expired link", "GET /over+", 410, 0),
    Request("another method for the preview", "POST /plain+", 405, 0),
    Request("two pluses", "GET /plain++", 404, 0),
    Request("a plus alone", "GET /+", 404, 0),
    Request("a plus in the middle", "GET /pl+ain", 404, 0),
    Request("something behind the preview", "GET /plain+/extra", 404, 0),
    Request("crawlers' rules", "GET /robots.txt", 200, 0),
    Request("another method", "POST /plain", 405, 0),
    Request("a method of its own", "DELETE /plain", 405, 0),
    Request("options", "OPTIONS /plain", 200, 0),
]
LINKS = {
    "plain": {"url": "https://example.com/a?b=c&d=%E2%82%AC#e"},
    "forever": {"redirect_status": 301},
    "seven": {"redirect_status": 307},
    "eight": {"redirect_status": 308},
    "قمة": {"url": "https://www.arabnews.com/node/2584/ملتقى"},
    "café": {"url": "https://bücher.example/ñ?q=ü#ß"},
}


class Answer(NamedTuple):
    """What came back, without what every server adds on its own."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(address: str, request: Request) -> Answer:
    """Send a request as it is written, over a connection of its own."""
    host, _, port = address.removeprefix("http://").partition(":")
    hosts = () if any(h.startswith("Host:") for h in request.headers) else ("Host: arab.news",)
    lines = [f"{request.line} HTTP/1.1", *hosts, *request.headers, "Connection: close", "", ""]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *fields = head.decode("latin-1").split("\r\n")
    headers = dict(field.lower().split(": ", 1) for field in fields if ": " in field)
    for own in ("date", "server", "connection", "transfer-encoding"):
        headers.pop(own, None)
    found = dict(field.split(": ", 1) for field in fields if ": " in field)
    location = found.get("Location", found.get("location"))
    if location:
        headers["location"] = location
    return Answer(int(status_line.split()[1]), headers, body)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """One store and its links, the event loop in front of it, and plain Flask under gunicorn."""
    directory = tmp_path_factory.mktemp("both")
    server = Server(directory / "data", BASE_URL="https://arab.news").start()
    for code, fields in LINKS.items():
        server.make_link(**{"url": f"https://example.com/{code}"} | fields, code=code)
    server.make_link(code="over", expires_at=soon())
    eventually(lambda: server.follow("over").status_code, lambda status: status == 410)
    url = f"unix://{server.data_dir}/redis/socket"
    settings = {"REDIS_URL": url, "DATA_DIR": str(server.data_dir), "BASE_URL": "https://arab.news"}
    port = free_port()
    flask = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "4"),
            *("--bind", f"127.0.0.1:{port}", "--no-control-socket", "--log-level", "error"),
            "shortener.app:create_app()",
        ],
        env=environment(**settings),
    )
    address = f"http://127.0.0.1:{port}"
    eventually(lambda: answers(address), bool)
    yield {"edge": server.address, "flask": address, "server": server}
    flask.terminate()
    flask.wait(20)
    server.stop()


def answers(address: str) -> bool:
    with contextlib.suppress(OSError):
        return ask(address, Request("", "GET /-/health", 200, 0)).status == 200
    return False


def soon() -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) + timedelta(seconds=2)).isoformat()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name)
def test_both_paths_answer_alike(both: dict[str, object], request_: Request) -> None:
    """Status, headers and body are the same on the event loop and under any WSGI host."""
    edge, flask = ask(str(both["edge"]), request_), ask(str(both["flask"]), request_)
    assert edge.status == request_.status
    assert edge == flask


@pytest.mark.parametrize("path", ["edge", "flask"])
def test_the_location_is_the_stored_url(both: dict[str, object], path: str) -> None:
    """`Location` is byte for byte what the API answers as `url`; nothing is cached anywhere."""
    server = both["server"]
    assert isinstance(server, Server)
    for code in LINKS:
        stored = server.api("GET", f"/links/{code}").json()["url"]
        short = server.api("GET", f"/links/{code}").json()["short_url"]
        answer = ask(
            str(both[path]), Request("", f"GET {re.sub('https://arab.news', '', short)}", 0, 0)
        )
        assert answer.headers == {
            "location": stored,
            "cache-control": "private, no-store",
            "x-robots-tag": "noindex",
            "content-length": "0",
        }


@pytest.mark.parametrize("path", ["edge", "flask"])
def test_visits_count_and_look_aheads_do_not(both: dict[str, object], path: str) -> None:
    """Every answered redirect counts, except for `HEAD` and a browser that fetches ahead."""
    server = both["server"]
    assert isinstance(server, Server)
    settle(both, server)
    before = server.site_clicks()
    for request in REQUESTS:
        ask(str(both[path]), request)
    wanted = before + sum(request.counted for request in REQUESTS)
    settle(both, server)
    assert server.site_clicks() == wanted + 2


def settle(both: dict[str, object], server: Server) -> None:
    """Two more clicks, one on each path, behind which all earlier ones are counted: the link lies
    where the site does, and both are counted in one step."""
    names = (f"settled-{secrets.token_hex(4)}" for _ in itertools.count())
    code = next(name for name in names if keys.bucket(name) == SITE_BUCKET)
    server.make_link(code=code)
    for path in ("edge", "flask"):
        assert ask(str(both[path]), Request("", f"GET /{code}", 302, 1)).status == 302
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 2) == 2


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Several requests in one packet: each is answered, in the order asked."""
    codes = [server.make_link(f"https://example.com/{n}")["code"] for n in range(5)]
    host, _, port = server.address.removeprefix("http://").partition(":")
    lines = "".join(f"GET /{code} HTTP/1.1\r\nHost: arab.news\r\n\r\n" for code in codes)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(lines.encode())
        data = b""
        while data.count(b"\r\n\r\n") < 5:
            data += connection.recv(65536)
    found = re.findall(rb"location: https://example.com/(\d)", data)
    assert found == [b"0", b"1", b"2", b"3", b"4"]


def test_the_article_of_the_newsroom(server: Server) -> None:
    """With `BASE_URL` https://arab.news, the alias wdf98 is https://arab.news/wdf98."""
    article = "https://www.arabnews.com/node/2584871/saudi-arabia"
    link = server.make_link(article, code="wdf98")
    assert link["short_url"] == "https://arab.news/wdf98"
    answer = server.http.get("/wdf98", headers={"Host": "arab.news"})
    assert (answer.status_code, answer.headers["location"]) == (302, article)


def test_without_an_alias_a_code_has_five_characters(server: Server) -> None:
    """The code is a hashid from the alphabet without look-alikes."""
    code = server.make_link()["code"]
    assert re.fullmatch("[a-km-np-z2-9]{5}", code)
    assert server.follow(code).headers["location"] == "https://example.com/"


def test_an_unreadable_record_holds_up_no_other(new_server: NewServer) -> None:
    """A record of another version is 500, and look-ups in the same turn are answered."""
    server = new_server(WORKERS="1").start()
    good = server.make_link()["code"]
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    store.set(keys.link("broken"), '{"v":2}')
    store.close()
    with ThreadPoolExecutor(8) as threads:
        asked = [good, "broken"] * 20
        found = list(
            threads.map(
                lambda code: httpx.get(f"{server.address}/{code}", verify=NO_TLS).status_code, asked
            )
        )
    assert found == [302, 500] * 20


def test_a_code_that_is_far_too_long_costs_nothing(server: Server) -> None:
    """60,000 combining marks are refused before they are normalised, which would take seconds."""
    path = "a" + "%CC%81" * 10_000
    code = server.make_link()["code"]
    assert server.follow(path).status_code == 404
    assert server.follow(code).status_code == 302
    assert normalise(unquote(path), case_sensitive=False) == unquote(path)


def test_home_and_unknown_codes_can_lead_elsewhere(new_server: NewServer) -> None:
    """`HOME_URL` and `NOT_FOUND_URL` take the place of our own pages; neither is counted."""
    server = new_server(HOME_URL="https://example.com/home", NOT_FOUND_URL="https://example.com/no")
    server.start()
    front, unknown = server.http.get("/"), server.follow("nothere")
    assert (front.status_code, front.headers["location"]) == (302, "https://example.com/home")
    assert (unknown.status_code, unknown.headers["location"]) == (302, "https://example.com/no")


def test_a_case_sensitive_site_tells_codes_apart(new_server: NewServer) -> None:
    """With `CASE_SENSITIVE`, `Abc` and `abc` are two links."""
    server = new_server(CASE_SENSITIVE="true").start()
    server.make_link("https://example.com/1", code="Abc")
    server.make_link("https://example.com/2", code="abc")
    assert server.follow("Abc").headers["location"] == "https://example.com/1"
    assert server.follow("abc").headers["location"] == "https://example.com/2"
    assert server.follow("ABC").status_code == 404
