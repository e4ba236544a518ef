"""What proxies say: believed as far as TRUSTED_PROXIES goes, on every path, and no further."""

from collections.abc import Callable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from shortener.segments import held_journals
from shortener.web.visitor import behind_proxies
from tests.harness import Server

NewServer = Callable[..., Server]
PEER = "127.0.0.1"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Server]]:
    """A server for each number of trusted proxies, started when it is first asked for."""
    running: dict[int, Server] = {}

    def behind(proxies: int) -> Server:
        if proxies not in running:
            data = tmp_path_factory.mktemp("proxies") / str(proxies)
            settings = {"TRUSTED_PROXIES": str(proxies), "WORKERS": "1"}
            domains = {"BASE_URL": "https://arab.news", "DOMAINS": "go.arab.news"}
            running[proxies] = Server(data, **settings, **domains).start()
        return running[proxies]

    yield behind
    for server in running.values():
        server.stop()


def visitor(server: Server, code: str, values: list[str]) -> str:
    """The address that is written down for a visit with these lines of `X-Forwarded-For`."""
    headers = [("Host", "arab.news"), *(("X-Forwarded-For", value) for value in values)]
    assert server.http.get(f"/{code}", headers=headers).status_code == 302
    clicks = [
        click
        for journal in held_journals(server.data_dir / "journal")
        for segment in journal.segments
        for click in journal.read(segment.start, alive=True).clicks
        if click.name == code
    ]
    return clicks[-1].address


SEEN = {  # trusted proxies, lines of the header, the address that counts
    "none are trusted": (0, ["192.0.2.1"], PEER),
    "nothing is said": (1, [], PEER),
    "one entry": (1, ["192.0.2.1"], "192.0.2.1"),
    "an invention in front": (1, ["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
    "no space": (1, ["203.0.113.9,192.0.2.1"], "192.0.2.1"),
    "two proxies": (2, ["203.0.113.9, 192.0.2.1, 198.51.100.7"], "192.0.2.1"),
    "two proxies, a line each": (2, ["203.0.113.9", "192.0.2.1", "198.51.100.7"], "192.0.2.1"),
    "two proxies, one says it": (2, ["192.0.2.1"], "192.0.2.1"),
    "a thousand entries": (1, [", ".join(["203.0.113.9"] * 999 + ["192.0.2.1"])], "192.0.2.1"),
    "a port": (1, ["192.0.2.1:49152"], "192.0.2.1"),
    "IPv6": (1, ["2001:DB8:0::1"], "2001:db8::1"),
    "IPv6 in brackets": (1, ["[2001:db8::1]"], "2001:db8::1"),
    "IPv6 with a port": (1, ["[2001:db8::1]:49152"], "2001:db8::1"),
    "IPv6 with a zone": (1, ["fe80::1%eth0"], "fe80::1"),
    "IPv4 in IPv6": (1, ["::ffff:192.0.2.1"], "192.0.2.1"),
    "no address": (1, ["unknown"], PEER),
    "a name made up": (1, ["_hidden"], PEER),
    "nothing behind the comma": (1, ["192.0.2.1,"], PEER),
    "out of range": (1, ["192.0.2.256"], PEER),
    "markup": (1, ["<script>"], PEER),
}


@pytest.mark.parametrize("fields", [{}, {"max_clicks": 9}], ids=["on the edge", "under Flask"])
@pytest.mark.parametrize(("proxies", "values", "address"), SEEN.values(), ids=SEEN)
def test_the_visitor_is_who_the_outermost_trusted_proxy_saw(
    servers: Callable[[int], Server],
    proxies: int,
    values: list[str],
    address: str,
    fields: dict[str, int],
) -> None:
    """Counted from the right; what is no address does not count, and nothing at all without
    trust."""
    server = servers(proxies)
    assert visitor(server, server.make_link(**fields)["code"], values) == address


HOSTS = {  # trusted proxies, headers, whether the link of go.arab.news is found
    "its own host": (0, [("Host", "go.arab.news")], True),
    "a port and capitals": (0, [("Host", "GO.arab.news:8000")], True),
    "another host": (0, [("Host", "arab.news")], False),
    "a forged one": (0, [("Host", "arab.news"), ("X-Forwarded-Host", "go.arab.news")], False),
    "a trusted one": (1, [("Host", "app:8000"), ("X-Forwarded-Host", "go.arab.news")], True),
    "a trusted other one": (1, [("Host", "go.arab.news"), ("X-Forwarded-Host", "x.org")], False),
    "an invention in front": (
        1,
        [("Host", "app:8000"), ("X-Forwarded-Host", "go.arab.news, arab.news")],
        False,
    ),
    "one in front of the trusted one": (
        1,
        [("Host", "app:8000"), ("X-Forwarded-Host", "x.org, go.arab.news")],
        True,
    ),
    "two proxies, a line each": (
        2,
        [("Host", "app"), ("X-Forwarded-Host", "go.arab.news"), ("X-Forwarded-Host", "inner")],
        True,
    ),
    "nothing but Forwarded": (
        1,
        [("Host", "arab.news"), ("Forwarded", "host=go.arab.news;for=192.0.2.1")],
        False,
    ),
}


@pytest.mark.parametrize("fields", [{}, {"max_clicks": 99}], ids=["on the edge", "under Flask"])
@pytest.mark.parametrize(("proxies", "headers", "is_found"), HOSTS.values(), ids=HOSTS)
def test_the_host_is_the_one_that_the_visitor_asked_for(
    servers: Callable[[int], Server],
    proxies: int,
    headers: list[tuple[str, str]],
    is_found: bool,
    fields: dict[str, int],
) -> None:
    """`X-Forwarded-Host` counts with a proxy and is ignored without."""
    server = servers(proxies)
    code = server.make_link(domain="go.arab.news", **fields)["code"]
    assert server.http.get(f"/{code}", headers=headers).status_code == (302 if is_found else 404)


SCHEMES = {  # trusted proxies, the header, what the application is told of a request over http
    "nothing is said": (1, None, "http"),
    "https": (1, "https", "https"),
    "capitals": (1, "HTTPS", "https"),
    "not trusted": (0, "https", "http"),
    "an invention in front": (1, "https, http", "http"),
    "two proxies": (2, "https, http", "https"),
    "no scheme": (1, "javascript", "http"),
    "empty": (1, "", "http"),
}


@pytest.mark.parametrize(("proxies", "value", "scheme"), SCHEMES.values(), ids=SCHEMES)
def test_the_scheme_is_what_the_outermost_trusted_proxy_saw(
    proxies: int, value: str | None, scheme: str
) -> None:
    """`http` or `https` and nothing else."""
    told = []

    def application(environ: WSGIEnvironment, _start: StartResponse) -> list[bytes]:
        told.append((environ["wsgi.url_scheme"], environ["REMOTE_ADDR"]))
        return []

    environ: WSGIEnvironment = {"wsgi.url_scheme": "http", "REMOTE_ADDR": "::ffff:127.0.0.1"}
    if value is not None:
        environ["HTTP_X_FORWARDED_PROTO"] = value
    behind_proxies(application, proxies)(environ, lambda *_: lambda _: None)
    assert told == [(scheme, PEER)]


def test_passwords_are_counted_by_visitor(new_server: NewServer) -> None:
    """Wrong ones from a /64 of IPv6 count together, in whatever spelling, and by link."""
    server = new_server(TRUSTED_PROXIES="1", WORKERS="1").start()
    code = server.make_link(password="a right one")["code"]

    def enter(address: str) -> int:
        headers = {"X-Forwarded-For": address}
        form = {"password": "a wrong one"}
        return server.http.post(f"/{code}", data=form, headers=headers).status_code

    found = [enter(f"2001:db8::{n:x}") for n in range(1, 12)]
    assert found == [403] * 10 + [429]
    assert enter("[2001:0db8::ff]:4711") == 429
    assert enter("2001:db8:0:1::1") == 403
