"""What clients send by mistake or in malice: bodies, destinations, queries, and how it is told."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.harness import NO_TLS, Server

NewServer = Callable[..., Server]

URL = "https://example.com/"


def total(server: Server) -> int:
    """How many links there are."""
    return int(server.api("GET", "/links?limit=1").json()["total"])


def send(server: Server, body: object, path: str = "/links") -> httpx.Response:
    """POST a body: bytes as they are, anything else as JSON in ASCII, which can say anything."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.api("POST", path, content=content)


def refused_field(answer: httpx.Response) -> str:
    """The field that a 422 is about."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["message"]
    return str(error["field"])


def plus(text: str) -> bytes:
    """A body that would be right without `text`, which is put behind its URL."""
    return f'{{"url":"{URL}",{text}}}'.encode()


DEEP = 100_000
BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ""),
    "blank": (b" \n", ""),
    "cut off": (b'{"url":"https://example.com/"', ""),
    "something behind it": (plus('"title":"x"') + b"{}", ""),
    "a comma too many": (plus(""), ""),
    "single quotes": (b"{'url':'https://example.com/'}", ""),
    "a form": (b"url=https%3A%2F%2Fexample.com%2F", ""),
    "an array": (b'[{"url":"https://example.com/"}]', ""),
    "a string": (b'"https://example.com/"', ""),
    "a number": (b"1", ""),
    "null": (b"null", ""),
    "nothing in it": (b"{}", "url"),
    "not a number": (plus('"code_length":NaN'), ""),
    "infinity": (plus('"code_length":Infinity'), ""),
    "minus infinity": (plus('"redirect_status":-Infinity'), ""),
    "invalid UTF-8": (b'{"url":"https://example.com/\xff"}', ""),
    "overlong UTF-8": (b'{"url":"https://example.com/\xc0\xaf"}', ""),
    "surrogates in UTF-8": (b'{"url":"https://example.com/\xed\xa0\x80"}', ""),
    "UTF-16": (plus('"title":"x"').decode().encode("utf-16"), ""),
    "UTF-16 without its mark": (plus('"title":"x"').decode().encode("utf-16-le"), ""),
    "UTF-32": (plus('"title":"x"').decode().encode("utf-32"), ""),
    "a line break in a string": (plus('"title":"a\nb"'), ""),
    "NUL in a string": (plus('"title":"a\0b"'), ""),
    "NUL behind it": (plus('"title":"x"') + b"\0", ""),
    "an unknown escape": (plus(r'"title":"\x41"'), ""),
    "arrays 100,000 deep": (b"[" * DEEP + b"]" * DEEP, ""),
    "objects 100,000 deep": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, ""),
    "a field 100,000 deep": (plus('"tags":' + "[" * DEEP + "]" * DEEP), ""),
    "100,000 deep, cut off": (b"[" * DEEP, ""),
    "an unknown field": (plus('"colour":"red"'), "colour"),
    "an unknown field of another script": (plus('"لون":1'), "لون"),
    "a field in upper case": (plus('"Title":"x"'), "Title"),
    "the name of a stored field": (plus('"created_by":"x"'), "created_by"),
    "a field twice": (plus('"title":"a","title":"b"'), "title"),
    "a field twice, alike": (plus('"title":"a","title":"a"'), "title"),
    "a field twice, spelt otherwise": (plus(r'"\u0075rl":"https://example.com/2"'), "url"),
    "a field twice, null": (plus('"code":null,"code":null'), "code"),
    "400 digits": (plus('"code_length":' + "9" * 400), "code_length"),
    "400 digits behind a point": (plus('"code_length":8.' + "1" * 400), "code_length"),
    "a power beyond floats": (plus('"redirect_status":1e400'), "redirect_status"),
    "5,000 digits": (plus('"code_length":' + "9" * 5000), ""),
    "400 digits for a text": (plus('"title":' + "9" * 400), "title"),
}


@pytest.mark.parametrize(("body", "field"), BODIES.values(), ids=BODIES)
def test_a_body_is_refused(server: Server, body: bytes, field: str) -> None:
    """422 with the field named, or none when it is not JSON at all; no link is made."""
    before = total(server)
    assert refused_field(send(server, body)) == field
    assert total(server) == before


WRONG: dict[str, list[object]] = {
    "url": [None, 1, True, [URL], {"href": URL}],
    "code": [1, False, ["a"], {}],
    "domain": [1, ["arab.news"]],
    "title": [1, True, ["x"], {}],
    "tags": ["news", 1, {"a": "b"}, True],
    "tags[0]": [[1], [None], [["a"]]],
    "starts_at": [1, {}],
    "expires_at": [1, {}],
    "expired_url": [1, [], False],
    "code_length": ["8", 8.5, True, []],
    "redirect_status": ["302", 302.5, True, []],
    "forward_query": ["true", 0, 1, []],
}
MISTAKES = [(field, value) for field, values in WRONG.items() for value in values]


@pytest.mark.parametrize(
    ("field", "value"), MISTAKES, ids=[f"{field} {value!r}" for field, value in MISTAKES]
)
def test_a_wrong_type_is_refused(server: Server, field: str, value: object) -> None:
    """Nothing is converted: text is no number, a number no flag."""
    answer = send(server, {"url": URL, field.removesuffix("[0]"): value})
    assert refused_field(answer) == field


UNSAYABLE: dict[str, tuple[str, bytes]] = {
    "an unknown field": ("/links", plus(r'"\ud800":1')),
    "a field twice": ("/links", plus(r'"\ud800":1,"\ud800":2')),
    "a time": ("/links", plus(r'"starts_at":"\ud800"')),
    "a domain": ("/links", plus(r'"domain":"\ud800"')),
    "another place": ("/links", plus(r'"expired_url":"https://example.com/\ud800"')),
    "a scope": ("/keys", rb'{"name":"x","scopes":["\ud800"]}'),
    "the name of a key": ("/keys", rb'{"name":"\ud800","scopes":["admin"]}'),
}


@pytest.mark.parametrize(("path", "body"), UNSAYABLE.values(), ids=UNSAYABLE)
def test_half_a_surrogate_pair_is_refused_anywhere(server: Server, path: str, body: bytes) -> None:
    """What no encoding can say is 422 like any other mistake, also where a message quotes it."""
    refused_field(send(server, body, path))


CONTROLS = {
    "NUL": "\0",
    "tab": "\t",
    "LF": "\n",
    "CR": "\r",
    "CR LF and a header": "\r\nX-Injected: 1",
    "escape": "\x1b",
    "DEL": "\x7f",
    "NEL": "\x85",
    "the last of C1": "\x9f",
    "a high surrogate": "\ud800",
    "a low surrogate": "\udfff",
    "surrogates in the wrong order": "\udc00\ud800",
}
PLACES: dict[str, tuple[Callable[[str], dict[str, Any]], str]] = {
    "inside a title": (lambda text: {"title": f"a{text}b"}, "title"),
    "behind a title": (lambda text: {"title": f"a{text}"}, "title"),
    "inside a tag": (lambda text: {"tags": [f"a{text}b"]}, "tags[0]"),
    "behind a tag": (lambda text: {"tags": ["fine", f"a{text}"]}, "tags[1]"),
    "inside an alias": (lambda text: {"code": f"a{text}b"}, "code"),
    "before a URL": (lambda text: {"url": f"{text}{URL}"}, "url"),
    "behind a URL": (lambda text: {"url": f"{URL}{text}"}, "url"),
    "in a path": (lambda text: {"url": f"{URL}a{text}b"}, "url"),
    "in a host": (lambda text: {"url": f"https://exam{text}ple.com/"}, "url"),
    "in another place": (lambda text: {"expired_url": f"{URL}a{text}b"}, "expired_url"),
}


@pytest.mark.parametrize(("make", "field"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("text", CONTROLS.values(), ids=CONTROLS)
def test_control_characters_are_refused(
    server: Server, make: Callable[[str], dict[str, Any]], field: str, text: str
) -> None:
    """C0, DEL, C1 and halves of surrogate pairs are 422 wherever they stand."""
    assert refused_field(send(server, {"url": URL} | make(text))) == field


def pieces(size: int) -> Iterator[bytes]:
    """A right body of so many bytes, padded with spaces, in pieces."""
    body = plus('"title":"padded"').ljust(size)
    for start in range(0, size, 10_000):
        yield body[start : start + 10_000]


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
@pytest.mark.parametrize("size", [60, 200_000, 1_048_576])
def test_a_body_may_have_1_mib(server: Server, size: int, chunked: bool) -> None:
    """Up to the limit, with its length said before or not."""
    body = pieces(size) if chunked else b"".join(pieces(size))
    answer = server.api("POST", "/links", content=body)
    assert (answer.status_code, answer.json()["title"]) == (201, "padded")


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
@pytest.mark.parametrize("size", [1_048_577, 1_500_000, 10_000_000])
def test_a_larger_body_is_413(server: Server, size: int, chunked: bool) -> None:
    """The answer arrives although the body is not read to its end, and no link is made."""
    before = total(server)
    body = pieces(size) if chunked else b"".join(pieces(size))
    with httpx.Client(base_url=server.address, timeout=30, verify=NO_TLS) as client:
        headers = {"Authorization": f"Bearer {server.key}"}
        answer = client.post("/api/v1/links", content=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (413, "/-/errors#too-large")
    assert total(server) == before


SCHEMES = {
    "javascript": "javascript:alert(1)",
    "javascript, mixed case": "JaVaScRiPt:alert(1)",
    "javascript with slashes": "javascript://example.com/%0aalert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "data, upper case": "DATA:text/html;base64,PHNjcmlwdD4=",
    "vbscript": "vbscript:msgbox(1)",
    "vbscript, mixed case": "VbScript:msgbox(1)",
    "file": "file:///etc/passwd",
    "file, upper case": "FILE:///etc/passwd",
    "file with a host": "file://example.com/etc/passwd",
    "blob": "blob:https://example.com/1",
    "view-source": "view-source:https://example.com/",
    "ftp": "ftp://example.com/",
    "web socket": "wss://example.com/",
    "mail": "mailto:a@example.com",
    "about": "about:blank",
    "an unknown one": "httpx://example.com/",
    "http and more": "http+x://example.com/",
}
BEFORE = {
    "a space": " ",
    "spaces": "   ",
    "NUL": "\0",
    "SOH": "\x01",
    "tab": "\t",
    "LF": "\n",
    "a no-break space": "\u00a0",
    "zero width": "\u200b",
    "a byte order mark": "\ufeff",
    "an ideographic space": "\u3000",
}


@pytest.mark.parametrize("url", SCHEMES.values(), ids=SCHEMES)
def test_other_schemes_are_refused(server: Server, url: str) -> None:
    """Only http and https lead anywhere; the reason is said, and nothing is stored."""
    stored = total(server)
    answer = send(server, {"url": url})
    assert refused_field(answer) == "url"
    assert "http" in answer.json()["detail"]
    assert total(server) == stored


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("scheme", ["javascript", "Data", "VBSCRIPT", "file"])
def test_nothing_before_a_scheme_hides_it(server: Server, scheme: str, before: str) -> None:
    """Browsers drop some of what stands before a URL; it is refused all the same."""
    assert refused_field(send(server, {"url": f"{before}{scheme}:x"})) == "url"


INSIDE = {"tab": "\t", "LF": "\n", "CR": "\r", "NUL": "\0", "space": " ", "zero width": "\u200b"}


@pytest.mark.parametrize("text", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("scheme", ["javascript", "data", "vbscript", "file"])
def test_a_broken_up_scheme_is_refused(server: Server, scheme: str, text: str) -> None:
    """Browsers drop tabs and line breaks inside a scheme; here they hide nothing."""
    for url in (f"{scheme[:3]}{text}{scheme[3:]}:x", f"{scheme}{text}:x"):
        assert refused_field(send(server, {"url": url})) == "url"


TARGETS = {
    "empty": "",
    "blank": "  ",
    "a path": "/page",
    "a fragment": "#top",
    "a host alone": "example.com",
    "a host and a port": "example.com:443",
    "without a scheme": "//example.com/",
    "without a host": "https://",
    "a query without a host": "https://?x",
    "a dot as host": "https://./",
    "dots as host": "https://.../",
    "a user": "https://user@example.com/",
    "a user and a password": "https://user:word@example.com/",
    "a password alone": "https://:word@example.com/",
    "a host as user": "https://good.example@evil.example/",
    "a host and a port as user": "https://good.example:443@evil.example/",
    "two users": "https://a@b@evil.example/",
    "an encoded at sign": "https://good.example%40evil.example/",
    "a port out of range": "https://example.com:65536/",
    "a port far out of range": "https://example.com:18446744073709551617/",
    "a negative port": "https://example.com:-1/",
    "a port in letters": "https://example.com:https/",
    "a space in the port": "https://example.com:4 43/",
    "two ports": "https://example.com:1:2/",
    "a space in the host": "https://exa mple.com/",
    "an encoded space in the host": "https://exa%20mple.com/",
    "an encoded NUL in the host": "https://exa%00mple.com/",
    "an encoded slash in the host": "https://good.example%2f.evil.example/",
    "a full-width slash in the host": "https://good.example\uff0f.evil.example/",
    "a full-width at sign": "https://good.example\uff20evil.example/",
    "markup in the host": "https://<b>.example/",
    "a caret in the host": "https://exa^mple.com/",
    "a percent sign in the host": "https://exa%mple.com/",
    "an address with a large number": "https://1.2.3.256/",
    "an address with five parts": "https://1.2.3.4.5/",
    "an address beyond 32 bits": "https://4294967296/",
    "an IPv6 address not closed": "https://[::1",
    "an IPv6 address with a zone": "https://[fe80::1%25eth0]/",
    "not an IPv6 address": "https://[::g]/",
    "not punycode": "https://xn--a/",
    "right to left in the host": "https://exa\u202emple.com/",
    "1 MB": "https://example.com/" + "a" * 1_000_000,
}


@pytest.mark.parametrize("url", TARGETS.values(), ids=TARGETS)
def test_what_is_no_destination_is_refused(server: Server, url: str) -> None:
    """422 with the URL named, and nothing is stored."""
    before = total(server)
    assert refused_field(send(server, {"url": url})) == "url"
    assert total(server) == before


NORMALISED = {
    "without a path": ("https://example.com", "https://example.com/"),
    "upper case": ("HTTPS://EXAMPLE.Com/A", "https://example.com/A"),
    "spaces around it": ("  https://example.com/  ", "https://example.com/"),
    "one slash": ("http:/x.example", "http://x.example/"),
    "no slash": ("https:x.example", "https://x.example/"),
    "three slashes": ("http:///x.example", "http://x.example/"),
    "backslashes": ("https:\\\\x.example\\a\\b", "https://x.example/a/b"),
    "a backslash before an at sign": (
        "http://evil.example\\@good.example/",
        "http://evil.example/@good.example/",
    ),
    "an at sign in the path": ("https://x.example/@user", "https://x.example/@user"),
    "an empty user": ("https://@x.example/", "https://x.example/"),
    "the usual port": ("https://x.example:443/", "https://x.example/"),
    "the other's usual port": ("http://x.example:443/", "http://x.example:443/"),
    "the last port": ("https://x.example:65535/", "https://x.example:65535/"),
    "zeros before the port": ("https://x.example:00080/", "https://x.example:80/"),
    "no port behind the colon": ("https://x.example:/", "https://x.example/"),
    "dot segments": ("https://x.example/a/../b/./%2e%2e/c", "https://x.example/c"),
    "a space": ("https://x.example/a b?c d#e f", "https://x.example/a%20b?c%20d#e%20f"),
    "letters beyond ASCII": ("https://x.example/ä?ö#ü", "https://x.example/%C3%A4?%C3%B6#%C3%BC"),
    "quotes and angles": ("https://x.example/\"<>'", "https://x.example/%22%3C%3E'"),
    "encoded already": ("https://x.example/%7e%0d%0a", "https://x.example/%7e%0d%0a"),
    "an umlaut in the host": ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    "a sharp s in the host": ("https://straße.example/", "https://xn--strae-oqa.example/"),
    "an Arabic host": ("http://موقع.مصر/", "http://xn--4gbrim.xn--wgbh1c/"),
    "a Cyrillic look-alike": ("https://\u0430pple.com/", "https://xn--pple-43d.com/"),
    "full-width letters": ("https://\uff45\uff58.example/", "https://ex.example/"),
    "an encoded host": ("https://%65x%61mple.com/", "https://example.com/"),
    "a final dot": ("https://x.example./", "https://x.example./"),
    "an address in hexadecimal": ("http://0x7f.1/", "http://127.0.0.1/"),
    "an address in octal": ("http://017700000001/", "http://127.0.0.1/"),
    "an address as one number": ("http://2130706433/", "http://127.0.0.1/"),
    "an address in IPv6": ("http://[0:0::0:1]/", "http://[::1]/"),
    "a mapped address": ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
    "a private address": ("http://10.0.0.1/", "http://10.0.0.1/"),
    "a metadata address": ("http://169.254.169.254/x", "http://169.254.169.254/x"),
    "this computer": ("http://LOCALHOST:3000/", "http://localhost:3000/"),
    "a host like ours": ("https://arab.news.example/", "https://arab.news.example/"),
    "a host that ends like ours": ("https://notarab.news/", "https://notarab.news/"),
    "a host below ours": ("https://www.arab.news/", "https://www.arab.news/"),
    "ours in the path": ("https://x.example/arab.news", "https://x.example/arab.news"),
}


@pytest.mark.parametrize(("given", "kept"), NORMALISED.values(), ids=NORMALISED)
def test_a_destination_is_kept_as_browsers_read_it(server: Server, given: str, kept: str) -> None:
    """The URL Standard's reading, in ASCII, is what is answered and where visitors go."""
    link = server.make_link(given, expired_url=given)
    assert (link["url"], link["expired_url"]) == (kept, kept)
    assert server.follow(link["code"]).headers["location"] == kept


LENGTHS = {
    "8192 bytes": (f"{URL}{'a' * 8172}", 201),
    "8193 bytes": (f"{URL}{'a' * 8173}", 422),
    "8192 bytes when encoded": (f"{URL}{'ä' * 1362}", 201),
    "8193 bytes when encoded": (f"{URL}a{'ä' * 1362}", 422),
    "8192 bytes of longer text": (f"{URL}{'x/../' * 100}{'a' * 8172}", 201),
}


@pytest.mark.parametrize(("url", "status"), LENGTHS.values(), ids=LENGTHS)
def test_a_destination_has_8192_bytes(server: Server, url: str, status: int) -> None:
    """The limit is that of the normalised URL, for both destinations."""
    assert send(server, {"url": url}).status_code == status
    assert send(server, {"url": URL, "expired_url": url}).status_code == status


OURS = {
    "plain": "https://arab.news/x",
    "without a path": "https://arab.news",
    "the other scheme": "http://arab.news/x",
    "upper case": "https://ARAB.News/x",
    "a final dot": "https://arab.news./x",
    "a port": "https://arab.news:8443/x",
    "a dot and a port": "https://ARAB.NEWS.:80/x",
    "one slash": "https:/arab.news/x",
    "no slash": "https:arab.news/x",
    "backslashes": "https:\\\\arab.news\\x",
    "an encoded letter": "https://%61rab.news/x",
    "an encoded dot": "https://arab%2Enews/x",
    "an encoded capital": "https://%41rab.news/x",
    "a full-width dot": "https://arab\uff0enews/x",
    "an ideographic dot": "https://arab\u3002news/x",
    "a half-width dot": "https://arab\uff61news/x",
    "a final ideographic dot": "https://arab.news\u3002/x",
    "full-width letters": "https://\uff41\uff52\uff41\uff42.news/x",
    "mathematical letters": "https://\U0001d41a\U0001d42b\U0001d41a\U0001d41b.news/x",
    "a soft hyphen": "https://ar\u00adab.news/x",
    "zero width": "https://ar\u200bab.news/x",
    "an encoded full-width dot": "https://arab%EF%BC%8Enews/x",
    "an empty user": "https://@arab.news/x",
    "spaces around it": " https://arab.news/x ",
}


@pytest.mark.parametrize("url", OURS.values(), ids=OURS)
def test_our_own_domain_is_refused(server: Server, url: str) -> None:
    """In any spelling: it would lead in a circle."""
    answer = send(server, {"url": url})
    assert refused_field(answer) == "url"
    assert "circle" in answer.json()["detail"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with BLOCK_PRIVATE, and domains of unusual spelling."""
    own = Server(
        tmp_path_factory.mktemp("guarded") / "data",
        BASE_URL="https://bücher.example",
        DOMAINS="go.example., 203.0.113.7, [2001:db8::7]",
        BLOCK_PRIVATE="true",
    )
    own.start()
    yield own
    own.stop()


UNUSUAL = {
    "an umlaut": "https://bücher.example/x",
    "an umlaut in punycode": "https://xn--bcher-kva.example/x",
    "a decomposed umlaut": "https://bu\u0308cher.example/x",
    "a domain with a final dot": "https://go.example/x",
    "an address": "https://203.0.113.7/x",
    "an address as one number": "https://3405803783/x",
    "an IPv6 address": "https://[2001:db8::7]/x",
    "an IPv6 address in full": "https://[2001:0DB8:0:0:0:0:0:7]:8443/x",
}


@pytest.mark.parametrize("url", UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_own_domain_is_refused(guarded: Server, url: str) -> None:
    """Domains are compared as browsers read them, however the setting spells them."""
    answer = send(guarded, {"url": url})
    assert refused_field(answer) == "url"
    assert "circle" in answer.json()["detail"]


PRIVATE = {
    "loopback": "http://127.0.0.1/",
    "loopback, another": "http://127.8.9.10/",
    "loopback in hexadecimal": "http://0x7f.1/",
    "loopback in hexadecimal as one number": "http://0x7F000001/",
    "loopback as one number": "http://2130706433/",
    "loopback in octal": "http://017700000001/",
    "loopback in octal parts": "http://0177.0.0.01/",
    "loopback, short": "http://127.1/",
    "loopback with a final dot": "http://127.0.0.1./",
    "loopback encoded": "http://%31%32%37.0.0.1/",
    "loopback, full-width": "http://\uff11\uff12\uff17.0.0.1/",
    "loopback with ideographic dots": "http://127\u30020\u30020\u30021/",
    "loopback, mapped": "http://[::ffff:127.0.0.1]/",
    "loopback, mapped in hexadecimal": "http://[::ffff:7f00:1]/",
    "loopback in IPv6": "http://[::1]/",
    "loopback in IPv6 in full": "http://[0:0:0:0:0:0:0:1]:8080/",
    "this computer": "http://localhost/",
    "this computer in upper case": "http://LocalHost:3000/",
    "this computer with a final dot": "http://localhost./",
    "this computer, full-width": "http://\uff4cocalhost/",
    "below this computer": "http://app.localhost/",
    "any address": "http://0.0.0.0/",
    "any address, short": "http://0/",
    "any address in IPv6": "http://[::]/",
    "a metadata service": "http://169.254.169.254/latest/meta-data/",
    "a metadata service as one number": "http://2852039166/",
    "a metadata service, mapped": "http://[::ffff:169.254.169.254]/",
    "ten": "http://10.0.0.1/",
    "ten, short": "http://10.1/",
    "172.16": "http://172.16.0.1/",
    "172.31": "http://172.31.255.255/",
    "192.168": "http://192.168.1.1/",
    "a carrier's": "http://100.64.0.1/",
    "link-local in IPv6": "http://[fe80::1]/",
    "unique local in IPv6": "http://[fd12:3456::1]/",
}


@pytest.mark.parametrize("url", PRIVATE.values(), ids=PRIVATE)
def test_private_addresses_may_be_refused(guarded: Server, url: str) -> None:
    """With BLOCK_PRIVATE, in any notation."""
    answer = send(guarded, {"url": url})
    assert refused_field(answer) == "url"
    assert "private" in answer.json()["detail"]


ELSEWHERE = {
    "another scheme": " JavaScript:alert(1)",
    "a user": "https://user@example.com/",
    "a port out of range": "https://example.com:65536/",
    "no host": "https://",
    "a private address": "http://0x7f.1/",
    "our own domain": "https://203.0.113.7:8443/x",
}


@pytest.mark.parametrize("url", ELSEWHERE.values(), ids=ELSEWHERE)
def test_the_other_destination_is_checked_alike(guarded: Server, url: str) -> None:
    """`expired_url` is refused for what `url` is refused for."""
    assert refused_field(send(guarded, {"url": URL, "expired_url": url})) == "expired_url"


PUBLIC = {
    "a name": "https://example.com/",
    "an address": "http://8.8.8.8/",
    "an address near a private one": "http://172.32.0.1/",
    "an IPv6 address": "http://[2606:4700::1111]/",
    "a name like a private one": "https://localhost.example.com/",
    "an address as a label": "https://127.0.0.1.example.com/",
}


@pytest.mark.parametrize("url", PUBLIC.values(), ids=PUBLIC)
def test_public_addresses_stay_allowed(guarded: Server, url: str) -> None:
    """With BLOCK_PRIVATE everything else may be a destination."""
    assert guarded.make_link(url)["url"] == url


PROBLEMS: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no key": ("GET", "/links", {"headers": {"Authorization": ""}}, 401, "unauthorized"),
    "no such link": ("GET", "/links/nothere", {}, 404, "link-not-found"),
    "no such address": ("GET", "/nothere", {}, 404, "not-found"),
    "another method": ("PUT", "/links", {}, 405, "method-not-allowed"),
    "a taken alias": (
        "POST",
        "/links",
        {"json": {"url": f"{URL}2", "code": "problem"}},
        409,
        "code-taken",
    ),
    "an old version": (
        "PATCH",
        "/links/problem",
        {"json": {"title": "x"}, "headers": {"If-Match": '"0"'}},
        412,
        "changed",
    ),
    "a wrong body": ("POST", "/links", {"json": {}}, 422, "invalid"),
    "a wrong query": ("GET", "/links?limit=0", {}, 422, "invalid"),
}


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "slug"), PROBLEMS.values(), ids=PROBLEMS
)
def test_an_error_is_a_problem(
    server: Server, method: str, path: str, more: dict[str, Any], status: int, slug: str
) -> None:
    """Problem+json with type, title, status and detail; `errors` when a field is wrong."""
    send(server, {"url": URL, "code": "problem"})
    answer = server.api(method, path, **more)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"]) == (status, status)
    assert problem["type"] == f"/-/errors#{slug}"
    assert problem["title"]
    assert problem["detail"]
    wanted = {"type", "title", "status", "detail"} | ({"errors"} if status == 422 else set())
    assert problem.keys() == wanted
    for error in problem.get("errors", []):
        assert error.keys() == {"field", "message"}


def test_a_browser_is_answered_with_json_too(server: Server) -> None:
    """The API has no pages, whatever `Accept` prefers."""
    answer = server.api("GET", "/links/nothere", headers={"Accept": "text/html"})
    assert answer.headers["content-type"] == "application/problem+json"


QUERIES = {
    "an unknown parameter": ("/links?colour=red", "colour"),
    "a parameter twice": ("/links?limit=1&limit=1", "limit"),
    "no links": ("/links?limit=0", "limit"),
    "too many links": ("/links?limit=201", "limit"),
    "a negative limit": ("/links?limit=-1", "limit"),
    "an empty limit": ("/links?limit=", "limit"),
    "a limit in words": ("/links?limit=ten", "limit"),
    "a limit in Arabic digits": ("/links?limit=%D9%A1", "limit"),
    "a limit of 5,000 digits": (f"/links?limit={'9' * 5000}", "limit"),
    "an empty cursor": ("/links?cursor=", "cursor"),
    "a made-up cursor": ("/links?cursor=abc", "cursor"),
    "a cursor beyond ASCII": ("/links?cursor=%C3%BC", "cursor"),
    "a cursor of broken UTF-8": ("/links?cursor=%ff", "cursor"),
    "a strange domain": ("/links/x?domain=example.com", "domain"),
    "an unknown parameter of a link": ("/links/x?limit=1", "limit"),
    "an unknown parameter of the keys": ("/keys?limit=1", "limit"),
    "an unknown interval": ("/stats?interval=year", "interval"),
    "an unknown zone": ("/stats?tz=Nowhere/Land", "tz"),
    "a zone that is a path": ("/stats?tz=../../etc/passwd", "tz"),
    "a zone with NUL": ("/stats?tz=%00", "tz"),
    "a time without an offset": ("/stats?from=2026-11-01T00:00:00", "from"),
    "a day that is none": ("/stats?to=2026-02-30", "to"),
    "the day after the last": ("/stats?to=9999-12-31", "to"),
    "an end before the beginning": ("/stats?from=2026-11-02&to=2026-11-01", "to"),
}


@pytest.mark.parametrize(("path", "field"), QUERIES.values(), ids=QUERIES)
def test_a_wrong_query_is_refused(server: Server, path: str, field: str) -> None:
    """422 with the parameter named."""
    assert refused_field(server.api("GET", path)) == field


@pytest.mark.parametrize("path", ["/links", "/keys"])
def test_an_unknown_parameter_of_a_creation_is_refused(server: Server, path: str) -> None:
    """422 with the parameter named, and nothing is made."""
    answer = server.api("POST", f"{path}?colour=red", json={"url": "https://example.com/"})
    assert refused_field_of(answer) == "colour"


@pytest.mark.parametrize("name", ["a`b", "a\nb", "``"])
def test_an_odd_unknown_field_is_named_as_it_is(server: Server, name: str) -> None:
    """Whatever characters are in its name."""
    answer = server.api("POST", "/links", json={"url": "https://example.com/", name: 1})
    assert refused_field_of(answer) == name


def refused_field_of(answer: httpx.Response) -> str:
    """The field that a 422 is about."""
    assert answer.status_code == 422, answer.text
    return str(answer.json()["errors"][0]["field"])
