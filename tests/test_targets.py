"""Destinations: which are accepted, how they are stored, and which are refused.

They are read as browsers read them (the WHATWG URL Standard); what is stored is what visitors get
as `Location`, byte for byte.
"""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.harness import Server

NewServer = Callable[..., Server]
MAX_URL = 8_192  # bytes, after normalisation


def create(server: Server, url: str) -> httpx.Response:
    return server.api("POST", "/links", json={"url": url})


def refused(answer: httpx.Response) -> list[str]:
    """The fields that a refusal names."""
    assert answer.status_code == 422, answer.text
    return [entry["field"] for entry in answer.json()["errors"]]


ACCEPTED = {
    "as it is": ("https://example.com/a?b=c&d=e#f", "https://example.com/a?b=c&d=e#f"),
    "without a path": ("https://example.com", "https://example.com/"),
    "in capitals": ("HTTPS://EXAMPLE.COM/Path", "https://example.com/Path"),
    "a default port": ("http://example.com:80/", "http://example.com/"),
    "another port": ("http://example.com:8080/", "http://example.com:8080/"),
    "dot segments": ("https://example.com/a/../b/./c", "https://example.com/b/c"),
    "encoded dot segments": ("https://example.com/a/%2e%2e/b", "https://example.com/b"),
    "spaces around": ("  https://example.com/  ", "https://example.com/"),
    "a space inside": ("https://example.com/a b", "https://example.com/a%20b"),
    "an Arabic path": (
        "https://example.com/قمة",
        "https://example.com/%D9%82%D9%85%D8%A9",
    ),
    "an encoded path": ("https://example.com/%D9%82", "https://example.com/%D9%82"),
    "an Arabic host": ("https://موقع.example/", "https://xn--4gbrim.example/"),
    "a German host": ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    "mixed scripts": ("https://\u0440aypal.example/", "https://xn--aypal-uye.example/"),
    "full-width letters": ("https://\uff45xample.com/", "https://example.com/"),
    "backslashes": ("https:\\\\example.com\\a", "https://example.com/a"),
    "one slash": ("http:/example.com/", "http://example.com/"),
    "no slash": ("https:example.com/", "https://example.com/"),
    "four slashes": ("https:////example.com/", "https://example.com/"),
    "a host before a backslash": (
        "http://evil.example\\@good.example/",
        "http://evil.example/@good.example/",
    ),
    "an empty user name": ("http://@example.com/", "http://example.com/"),
    "an at sign in the path": ("https://example.com/@user", "https://example.com/@user"),
    "a percent sign alone": ("https://example.com/100%", "https://example.com/100%"),
    "quotes and brackets": (
        "https://example.com/\"<>'?\"<>'",
        "https://example.com/%22%3C%3E'?%22%3C%3E%27",
    ),
    "a line separator": ("https://example.com/\u2028", "https://example.com/%E2%80%A8"),
    "an emoji": ("https://example.com/😀", "https://example.com/%F0%9F%98%80"),
    "an address": ("http://192.0.2.1/", "http://192.0.2.1/"),
    "an address as a number": ("http://3221225985/", "http://192.0.2.1/"),
    "an address of version 6": ("http://[2001:DB8::0:1]/", "http://[2001:db8::1]/"),
}


@pytest.mark.parametrize(("asked", "stored"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_destination_is_stored_as_browsers_spell_it(
    server: Server, asked: str, stored: str
) -> None:
    """The `href` of the URL Standard, whatever the spelling was."""
    answer = create(server, asked)
    assert (answer.status_code, answer.json().get("url")) == (201, stored)


@pytest.mark.parametrize(("asked", "stored"), ACCEPTED.values(), ids=ACCEPTED)
def test_visitors_are_sent_to_what_is_stored(server: Server, asked: str, stored: str) -> None:
    """`Location` is byte for byte the stored URL."""
    assert server.follow(create(server, asked).json()["code"]).headers["location"] == stored


@pytest.mark.parametrize("stored", [stored for _, stored in ACCEPTED.values()], ids=ACCEPTED)
def test_a_stored_destination_is_normal(server: Server, stored: str) -> None:
    """Made again from what was answered, a link is the same."""
    assert create(server, stored).json()["url"] == stored


REFUSED = {
    "JavaScript": "javascript:alert(1)",
    "JavaScript in capitals": "JaVaScRiPt:alert(1)",
    "JavaScript behind spaces": "   javascript:alert(1)",
    "JavaScript behind a line break": "\njavascript:alert(1)",
    "JavaScript behind a null byte": "\x00javascript:alert(1)",
    "JavaScript behind C1": "\x85javascript:alert(1)",
    "JavaScript with a tab inside": "java\tscript:alert(1)",
    "JavaScript with a line break inside": "java\r\nscript:alert(1)",
    "JavaScript with a space inside": "java script:alert(1)",
    "JavaScript with a host": "javascript://example.com/%0aalert(1)",
    "JavaScript with a space before the colon": "javascript :alert(1)",
    "full-width JavaScript": "\uff4aavascript:alert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "data in capitals": "DATA:text/html;base64,PGI+",
    "VBScript": "vbscript:msgbox(1)",
    "VBScript in capitals": " VbScript:msgbox(1)",
    "a file": "file:///etc/passwd",
    "a file in capitals": "FILE://host/share",
    "a blob": "blob:https://example.com/0",
    "source": "view-source:https://example.com/",
    "FTP": "ftp://example.com/",
    "a web socket": "wss://example.com/",
    "mail": "mailto:a@example.com",
    "a telephone": "tel:+966",
    "an app": "intent://scan/#Intent;scheme=zxing;end",
    "about": "about:blank",
    "a scheme that begins alike": "https2://example.com/",
    "a percent-encoded scheme": "javascript%3Aalert(1)",
    "nothing": "",
    "blank": "   ",
    "a word": "example",
    "a host alone": "example.com/page",
    "a path": "/page",
    "no scheme": "//example.com/",
    "the scheme alone": "https://",
    "a query for a host": "https://?q",
    "a path for a host": "http:///",
    "dots for a host": "http://.../",
    "a user name": "https://user@example.com/",
    "a password": "https://user:secret@example.com/",
    "a host for a user name": "https://good.example@evil.example/",
    "an encoded user name": "https://good.example%2F@evil.example/",
    "a port out of range": "http://example.com:65536/",
    "a port of letters": "http://example.com:http/",
    "a negative port": "http://example.com:-1/",
    "a space in the host": "http://exam ple.com/",
    "a percent sign in the host": "http://exam%25ple.com/",
    "a null byte in the host": "http://example%00.com/",
    "brackets without an end": "http://[::1/",
    "brackets around a name": "http://[example.com]/",
    "a zone in an address": "http://[fe80::1%25eth0]/",
    "an address of five parts": "http://1.2.3.4.5/",
    "an address out of range": "http://256.0.0.1/",
    "a broken A-label": "http://xn--a/",
    "CR LF": "https://example.com/\r\nSet-Cookie: a=b",
    "a tab": "https://exa\tmple.com/",
    "NUL": "https://example.com/\x00",
    "DEL": "https://example.com/\x7f",
    "C1": "https://example.com/\x9f",
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED)
def test_what_is_no_web_address_is_refused(server: Server, url: str) -> None:
    """422 that names `url`: other schemes, userinfo, control characters, no URL at all."""
    assert refused(create(server, url)) == ["url"]


def test_a_refused_destination_is_not_stored(server: Server) -> None:
    """The alias that came along stays free."""
    answer = server.api("POST", "/links", json={"url": "javascript:alert(1)", "code": "no-script"})
    assert refused(answer) == ["url"]
    assert server.follow("no-script").status_code == 404


OURS = {
    "the host": "https://arab.news/",
    "a link of ours": "https://arab.news/wdf98",
    "without TLS": "http://arab.news/",
    "another port": "https://arab.news:8443/x",
    "in capitals": "HTTPS://ARAB.NEWS/",
    "a dot behind": "https://arab.news./",
    "two dots behind": "https://arab.news../",
    "percent-encoded": "https://arab%2Enews/",
    "letters percent-encoded": "https://%61rab.news/",
    "full-width": "https://\uff41rab.news/",
    "an ideographic dot": "https://arab\u3002news/",
    "a soft hyphen": "https://ar\u00adab.news/",
    "backslashes": "https:\\\\arab.news\\x",
    "no slashes": "https:arab.news",
    "many slashes": "https://///arab.news/",
    "an empty user name": "https://@arab.news/",
    "spaces before": "  https://arab.news/",
}


@pytest.mark.parametrize("url", OURS.values(), ids=OURS)
def test_a_destination_here_is_refused(server: Server, url: str) -> None:
    """422 in any spelling of our own host: it would lead in a circle."""
    answer = create(server, url)
    assert refused(answer) == ["url"]
    assert "circle" in answer.json()["detail"]


ALMOST_OURS = {
    "a subdomain": "https://www.arab.news/",
    "a longer name": "https://notarab.news/",
    "our name in front": "https://arab.news.example/",
    "our name in the path": "https://example.com/arab.news",
    "our address in a query": "https://example.com/?to=https://arab.news/x",
}


@pytest.mark.parametrize("url", ALMOST_OURS.values(), ids=ALMOST_OURS)
def test_a_destination_that_looks_like_ours_is_accepted(server: Server, url: str) -> None:
    """Only the host counts, as a whole."""
    assert create(server, url).status_code == 201


BASES = {
    "an Arabic name": ("https://قمة.example", "https://xn--ogb3cj.example/x"),
    "an address of version 6": ("http://[::1]:8000", "http://[0:0::1]:8000/x"),
    "a dot behind": ("https://arab.news.", "https://arab.news/x"),
}


@pytest.mark.parametrize(("base", "url"), BASES.values(), ids=BASES)
def test_our_own_host_is_known_in_any_spelling(new_server: NewServer, base: str, url: str) -> None:
    """However `BASE_URL` spells the host, a destination there leads in a circle."""
    server = new_server(BASE_URL=base).start()
    assert refused(create(server, url)) == ["url"]
    assert refused(create(server, f"{base}/x")) == ["url"]


LENGTHS = {
    "ASCII": ("a", 1),
    "two bytes": ("é", 6),
    "three bytes": ("€", 9),
    "four bytes": ("😀", 12),
    "a space": (" b", 4),
}


@pytest.mark.parametrize(("text", "size"), LENGTHS.values(), ids=LENGTHS)
def test_a_destination_has_at_most_8192_bytes(server: Server, text: str, size: int) -> None:
    """After normalisation: what is percent-encoded counts as such."""
    prefix = "https://example.com/"
    times, rest = divmod(MAX_URL - len(prefix), size)
    longest = prefix + "x" * rest + text * times
    answer = create(server, longest)
    assert answer.status_code == 201
    assert len(answer.json()["url"]) == MAX_URL
    assert refused(create(server, prefix + "x" * (rest + 1) + text * times)) == ["url"]


def test_a_destination_of_a_megabyte_is_refused(server: Server) -> None:
    """422, as any that is too long."""
    assert refused(create(server, "https://example.com/" + "a" * 1_000_000)) == ["url"]


def test_the_length_counts_after_normalisation(server: Server) -> None:
    """A long spelling of a short URL is accepted."""
    answer = create(server, "https://example.com/" + "a/../" * 4_000)
    assert (answer.status_code, answer.json().get("url")) == (201, "https://example.com/")


PRIVATE = {
    "localhost": "localhost",
    "localhost in capitals": "LOCALHOST",
    "localhost with a dot": "localhost.",
    "a name under localhost": "app.localhost",
    "loopback": "127.0.0.1",
    "loopback, another": "127.8.9.10",
    "loopback in short": "127.1",
    "loopback in hexadecimal": "0x7f000001",
    "loopback in octal": "0177.0.0.1",
    "loopback as a number": "2130706433",
    "loopback in circled digits": "\u2460\u2461\u2466.0.0.1",
    "loopback percent-encoded": "%31%32%37.0.0.1",
    "loopback of version 6": "[::1]",
    "this host": "0.0.0.0",
    "this host of version 6": "[::]",
    "10/8": "10.1.2.3",
    "172.16/12": "172.31.255.255",
    "192.168/16": "192.168.1.1",
    "shared": "100.64.0.1",
    "link-local": "169.254.1.1",
    "metadata": "169.254.169.254",
    "metadata in hexadecimal": "0xA9FEA9FE",
    "link-local of version 6": "[fe80::1]",
    "unique local": "[fd00::1]",
    "site-local": "[fec0::1]",
    "multicast": "224.0.0.1",
    "broadcast": "255.255.255.255",
    "mapped": "[::ffff:127.0.0.1]",
    "mapped in hexadecimal": "[::ffff:a9fe:a9fe]",
    "compatible": "[::127.0.0.1]",
    "translated": "[64:ff9b::10.0.0.1]",
    "by 6to4": "[2002:7f00:1::]",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with `BLOCK_PRIVATE`."""
    server = Server(
        tmp_path_factory.mktemp("guarded") / "data",
        BASE_URL="https://arab.news",
        BLOCK_PRIVATE="true",
    )
    yield server.start()
    server.stop()


@pytest.mark.parametrize("host", PRIVATE.values(), ids=PRIVATE)
def test_private_destinations_can_be_blocked(guarded: Server, host: str) -> None:
    """With `BLOCK_PRIVATE`: loopback, private, link-local, in any notation, are refused."""
    assert refused(create(guarded, f"http://{host}/")) == ["url"]


@pytest.mark.parametrize("host", PRIVATE.values(), ids=PRIVATE)
def test_private_destinations_are_accepted_otherwise(server: Server, host: str) -> None:
    """Intranets use shorteners."""
    assert create(server, f"http://{host}/").status_code == 201


PUBLIC = ["example.com", "8.8.8.8", "[2606:4700::1111]", "[::ffff:8.8.8.8]", "notlocalhost", "1.1"]


@pytest.mark.parametrize("host", PUBLIC)
def test_public_destinations_are_never_blocked(guarded: Server, host: str) -> None:
    """`BLOCK_PRIVATE` looks at addresses as written; names are not looked up."""
    assert create(guarded, f"http://{host}/").status_code == 201
