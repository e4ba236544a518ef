"""What is no request at all: malformed, oversized, hostile; and the shape of every refusal.

Fields that are well formed and out of bounds are with the call that has them: test_create,
test_list, test_stats, test_keys; destinations are in test_targets.
"""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.harness import Server

NewServer = Callable[..., Server]
MIB = 1024 * 1024
URL = '"url": "https://example.com/"'


def post(server: Server, body: bytes | str, path: str = "/links", **more: Any) -> httpx.Response:
    content = body.encode() if isinstance(body, str) else body
    return server.api("POST", path, content=content, **more)


def refused(answer: httpx.Response) -> list[str]:
    """The fields that a refusal names."""
    assert answer.status_code == 422, answer.text
    return [entry["field"] for entry in answer.json()["errors"]]


NOT_JSON: dict[str, bytes | str] = {
    "nothing": "",
    "blank": " \n ",
    "words": "https://example.com/",
    "half an object": '{"url": "https://example.com/',
    "a comma too many": "{" + URL + ",}",
    "something behind it": "{" + URL + "} {}",
    "single quotes": "{'url': 'https://example.com/'}",
    "a comment": "{" + URL + "} // a link",
    "a form": "url=https%3A%2F%2Fexample.com%2F",
    "not a number": "{" + URL + ', "title": NaN}',
    "infinity": "{" + URL + ', "title": Infinity}',
    "less than infinity": "{" + URL + ', "title": -Infinity}',
    "a line break in a string": '{"url": "https://example.com/\n"}',
    "a null byte in a string": '{"url": "https://example.com/\x00"}',
    "broken UTF-8": b'{"url": "https://example.com/\xff"}',
    "UTF-8 cut short": b'{"url": "https://example.com/\xd9"}',
    "a surrogate in UTF-8": b'{"url": "https://example.com/\xed\xa0\x80"}',
    "an overlong slash": b'{"url": "https://example.com\xc0\xaf"}',
    "UTF-16": ("{" + URL + "}").encode("utf-16"),
    "Latin-1": '{"url": "https://example.com/é"}'.encode("latin-1"),
    "a byte order mark": b"\xef\xbb\xbf{" + URL.encode() + b"}",
    "lists nested 100,000 deep": "[" * 100_000,
    "lists nested 100,000 deep and closed": "[" * 100_000 + "]" * 100_000,
    "objects nested 100,000 deep": '{"url":' * 100_000,
    "a number of 5,000 digits": "{" + URL + ', "redirect_status": ' + "9" * 5_000 + "}",
}


@pytest.mark.parametrize("path", ["/links", "/keys"])
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_refused(server: Server, body: bytes | str, path: str) -> None:
    """422, as for any body that does not validate; the body as a whole is at fault."""
    assert refused(post(server, body, path)) == [""]


NOT_A_LINK: dict[str, tuple[str, str]] = {
    "a list": ("[" + "{" + URL + "}]", ""),
    "a string": ('"https://example.com/"', ""),
    "a number": ("1", ""),
    "null": ("null", ""),
    "an empty object": ("{}", "url"),
    "null for the URL": ('{"url": null}', "url"),
    "a number for the URL": ('{"url": 1}', "url"),
    "a list for the URL": ('{"url": ["https://example.com/"]}', "url"),
    "an object for the URL": ('{"url": {"url": "https://example.com/"}}', "url"),
    "true for the URL": ('{"url": true}', "url"),
    "a number for the alias": ("{" + URL + ', "code": 5}', "code"),
    "a list for the title": ("{" + URL + ', "title": ["a"]}', "title"),
    "a string for the tags": ("{" + URL + ', "tags": "news"}', "tags"),
    "an object for the tags": ("{" + URL + ', "tags": {"a": "b"}}', "tags"),
    "a number among the tags": ("{" + URL + ', "tags": ["a", 1]}', "tags[1]"),
    "null among the tags": ("{" + URL + ', "tags": ["a", "b", null]}', "tags[2]"),
    "a list among the tags": ("{" + URL + ', "tags": [["a"]]}', "tags[0]"),
    "a string for the status": ("{" + URL + ', "redirect_status": "302"}', "redirect_status"),
    "half a status": ("{" + URL + ', "redirect_status": 302.5}', "redirect_status"),
    "true for the status": ("{" + URL + ', "redirect_status": true}', "redirect_status"),
    "an endless status": ("{" + URL + ', "redirect_status": 1e400}', "redirect_status"),
    "a status of 400 digits": (
        "{" + URL + ', "redirect_status": ' + "9" * 400 + "}",
        "redirect_status",
    ),
    "an expiry of 400 digits": ("{" + URL + ', "expires_at": ' + "9" * 400 + "}", "expires_at"),
    "true for the expiry": ("{" + URL + ', "expires_at": true}', "expires_at"),
    "nested 500 deep": ("{" + URL + ', "title": ' + "[" * 500 + "]" * 500 + "}", "title"),
    "an unknown field": ("{" + URL + ', "colour": "red"}', "colour"),
    "a field in capitals": ('{"URL": "https://example.com/"}', "URL"),
    "a field that clients cannot set": ("{" + URL + ', "clicks": 5}', "clicks"),
    "an unknown field with a backtick": ("{" + URL + ', "a`b": 1}', "a`b"),
    "an unknown field with a line break": ("{" + URL + ', "a\\nb": 1}', "a\nb"),
    "the URL twice": ("{" + URL + ", " + URL + "}", "url"),
    "the URL twice, once escaped": ("{" + URL + ', "\\u0075rl": "https://example.com/"}', "url"),
    "a field twice": ("{" + URL + ', "title": "a", "title": "b"}', "title"),
    "an unknown field twice": ("{" + URL + ', "b": 1, "b": 1}', "b"),
    "a field twice, further in": ("{" + URL + ', "tags": [{"a": 1, "a": 1}]}', "a"),
}


@pytest.mark.parametrize(("body", "field"), NOT_A_LINK.values(), ids=NOT_A_LINK)
def test_json_that_is_no_link_is_refused(server: Server, body: str, field: str) -> None:
    """422 that names the field: wrong types, unknown and repeated fields, missing ones."""
    assert field in refused(post(server, body))


SURROGATES = {
    "the URL": ("/links", '{"url": "https://example.com/\\ud800"}'),
    "the alias": ("/links", "{" + URL + ', "code": "a\\ud800"}'),
    "the title": ("/links", "{" + URL + ', "title": "a\\udfff"}'),
    "a tag": ("/links", "{" + URL + ', "tags": ["\\udc00\\ud800"]}'),
    "the expiry": ("/links", "{" + URL + ', "expires_at": "\\ud800"}'),
    "the status": ("/links", "{" + URL + ', "redirect_status": "\\ud800"}'),
    "an unknown field's name": ("/links", "{" + URL + ', "\\ud800": 1}'),
    "a repeated field's name": ("/links", "{" + URL + ', "\\ud800": 1, "\\ud800": 1}'),
    "a key's name": ("/keys", '{"name": "\\ud800", "scopes": ["admin"]}'),
    "a key's scope": ("/keys", '{"name": "a", "scopes": ["\\ud800"]}'),
    "a key's expiry": ("/keys", '{"name": "a", "scopes": ["admin"], "expires_at": "\\ud800"}'),
}


@pytest.mark.parametrize(("path", "body"), SURROGATES.values(), ids=SURROGATES)
def test_half_a_surrogate_pair_is_refused(server: Server, path: str, body: str) -> None:
    """422 wherever it stands: it is no character, and cannot be stored or answered."""
    assert len(refused(post(server, body, path))) == 1


def test_a_whole_surrogate_pair_is_a_character(server: Server) -> None:
    """JSON escapes characters beyond the basic plane as two: that is well formed."""
    answer = post(server, "{" + URL + ', "title": "\\ud83d\\ude00"}')
    assert (answer.status_code, answer.json()["title"]) == (201, "😀")


CONTROLS = {
    "CR LF": "\r\n",
    "NUL": "\x00",
    "tab": "\t",
    "escape": "\x1b",
    "delete": "\x7f",
    "C1": "\x85",
}
CARRIERS: dict[str, tuple[Callable[[str], dict[str, Any]], str]] = {
    "url": (lambda c: {"url": f"https://example.com/a{c}b"}, "url"),
    "code": (lambda c: {"code": f"a{c}b"}, "code"),
    "title": (lambda c: {"title": f"a{c}b"}, "title"),
    "tag": (lambda c: {"tags": ["x", f"a{c}b"]}, "tags[1]"),
}


@pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
@pytest.mark.parametrize(("fields", "field"), CARRIERS.values(), ids=CARRIERS)
def test_control_characters_are_refused(
    server: Server, fields: Callable[[str], dict[str, Any]], field: str, control: str
) -> None:
    """422 that names the field; nothing of it gets into a header."""
    body = {"url": "https://example.com/"} | fields(control)
    answer = server.api("POST", "/links", json=body)
    assert refused(answer) == [field]
    assert "location" not in answer.headers


def long_title(size: int) -> str:
    """A body of so many bytes whose only fault is its title."""
    empty = json.dumps({"url": "https://example.com/", "title": ""})
    return json.dumps({"url": "https://example.com/", "title": "x" * (size - len(empty))})


@pytest.mark.parametrize("size", [MIB + 1, 1_500_000, 10_000_000])
def test_a_body_of_more_than_a_mebibyte_is_413(server: Server, size: int) -> None:
    """Refused unread, with a problem in JSON, and the connection is closed."""
    answer = post(server, long_title(size))
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert server.make_link()["code"]


def test_a_body_of_a_mebibyte_is_read(server: Server) -> None:
    """The limit is inclusive: such a body is judged by what it says."""
    assert refused(post(server, long_title(MIB))) == ["title"]


def test_a_body_in_chunks_is_read(server: Server) -> None:
    """A body of a length that is not said beforehand is a body like any other."""

    def chunks() -> Iterator[bytes]:
        for character in "{" + URL + "}":
            yield character.encode()

    assert server.api("POST", "/links", content=chunks()).status_code == 201


def test_a_body_in_chunks_has_the_same_limit(server: Server) -> None:
    """413 as soon as more than a mebibyte has come."""

    def chunks() -> Iterator[bytes]:
        for _ in range(24):
            yield b"x" * 65_536

    assert server.api("POST", "/links", content=chunks()).status_code == 413


def test_one_repeated_name_among_very_many_is_found(new_server: NewServer) -> None:
    """A megabyte of fields with one of them twice costs no more than another: 422, at once."""
    server = new_server().start()
    names = [*(f"{n:x}" for n in range(90_000)), "z", "z"]
    body = "{" + ",".join(f'"{name}":1' for name in names) + "}"
    assert len(body) < MIB
    assert refused(post(server, body, timeout=10)) == ["z"]


@pytest.mark.parametrize("path", ["/links", "/keys"])
def test_a_time_beyond_the_calendar_is_refused(new_server: NewServer, path: str) -> None:
    """In UTC it is in the year 10000, which cannot be answered; and the list stays readable."""
    server = new_server().start()
    body = {"url": "https://example.com/"} if path == "/links" else {"name": "a", "scopes": SCOPES}
    answer = server.api("POST", path, json=body | {"expires_at": "9999-12-31T23:59:59-12:00"})
    assert server.api("GET", path).status_code == 200
    assert refused(answer) == ["expires_at"]


SCOPES = ["links:read"]
QUERIES: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "creating a link": ("POST", "/links", {"url": "https://example.com/"}),
    "listing links": ("GET", "/links", None),
    "reading a link": ("GET", "/links/{code}", None),
    "deleting a link": ("DELETE", "/links/{code}", None),
    "statistics of a link": ("GET", "/links/{code}/stats", None),
    "statistics of the site": ("GET", "/stats", None),
    "listing keys": ("GET", "/keys", None),
    "creating a key": ("POST", "/keys", {"name": "a", "scopes": SCOPES}),
    "revoking a key": ("DELETE", "/keys/{key}", None),
}


@pytest.mark.parametrize(("method", "path", "body"), QUERIES.values(), ids=QUERIES)
def test_an_unknown_parameter_is_refused(
    server: Server, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """422 that names it, and nothing is done: what is not understood is not passed over."""
    code = server.make_link()["code"]
    key = server.api("POST", "/keys", json={"name": "a", "scopes": SCOPES}).json()["id"]
    where = path.format(code=code, key=key)
    answer = server.api(method, f"{where}?colour=red", json=body)
    assert refused(answer) == ["colour"]
    assert server.follow(code).status_code == 302


PARAMETERS = {
    "broken UTF-8": "%ff=1",
    "half a surrogate pair": "%ed%a0%80=1",
    "a null byte": "%00=1",
    "a line break": "a%0d%0ab=1",
    "markup": "<script>=1",
    "no name": "=1",
    "1,000 of them": "&".join(f"p{n}=1" for n in range(1_000)),
}


@pytest.mark.parametrize("query", PARAMETERS.values(), ids=PARAMETERS)
def test_a_hostile_query_is_refused(server: Server, query: str) -> None:
    """422 in JSON, whatever the names are made of."""
    answer = server.api("GET", f"/links?{query}")
    assert len(refused(answer)) == 1
    assert answer.headers["content-type"] == "application/problem+json"


def refusals(server: Server) -> dict[int, httpx.Response]:
    """One answer for each status that the API refuses with."""
    key = server.api("POST", "/keys", json={"name": "a", "scopes": SCOPES}).json()["key"]
    reader = {"Authorization": f"Bearer {key}"}
    taken = server.make_link()["code"]
    return {
        401: server.http.get("/api/v1/links"),
        403: server.api("POST", "/links", headers=reader),
        404: server.api("GET", "/links/nosuchlink"),
        405: server.api("PUT", "/links"),
        409: server.api("POST", "/links", json={"url": "https://example.com/2", "code": taken}),
        413: post(server, "x" * (MIB + 1)),
        422: post(server, "{}"),
    }


def test_every_refusal_has_one_shape(server: Server) -> None:
    """problem+json (RFC 9457): type, title, status and detail; `errors` where fields are named."""
    for status, answer in refusals(server).items():
        problem = answer.json()
        assert answer.status_code == problem["status"] == status
        assert answer.headers["content-type"] == "application/problem+json"
        wanted = {"type", "title", "status", "detail"} | ({"errors"} if status == 422 else set())
        assert set(problem) == wanted
        assert problem["type"].startswith("/-/errors#")
        assert problem["title"]
        assert problem["detail"]


def test_a_refusal_says_what_is_wrong_with_which_field(server: Server) -> None:
    """`errors` has a field and a message each, and `detail` says both for people."""
    answer = post(server, '{"url": "ftp://example.com/"}')
    (entry,) = answer.json()["errors"]
    assert set(entry) == {"field", "message"}
    assert entry["field"] == "url"
    assert entry["message"]
    assert answer.json()["detail"] == f"url: {entry['message']}"


def test_the_api_answers_a_browser_in_json_too(server: Server) -> None:
    """Under `/api/` a problem is JSON, whatever the client prefers."""
    for path in ("/api/v1/links", "/api/v1/nothing", "/api/v1/links/a/b"):
        answer = server.http.get(path, headers={"Accept": "text/html"})
        assert answer.status_code in (401, 404)
        assert answer.headers["content-type"] == "application/problem+json"


METHODS = {
    "PUT on the list": ("PUT", "/links", {"GET", "POST"}),
    "DELETE on the list": ("DELETE", "/links", {"GET", "POST"}),
    "POST on a link": ("POST", "/links/a", {"GET", "DELETE"}),
    "POST on statistics": ("POST", "/stats", {"GET"}),
    "PUT on keys": ("PUT", "/keys", {"GET", "POST"}),
    "one of its own": ("BREW", "/links", {"GET", "POST"}),
}


@pytest.mark.parametrize(("method", "path", "allowed"), METHODS.values(), ids=METHODS)
def test_another_method_is_405(server: Server, method: str, path: str, allowed: set[str]) -> None:
    """With the methods that work in `Allow`."""
    answer = server.api(method, path)
    if answer.status_code == 400:  # the parser does not know the word
        assert method == "BREW"
        return
    assert answer.status_code == 405
    assert allowed <= set(answer.headers["allow"].split(", "))


NOT_HTTP = {
    "bytes in the path": b"GET /\xd9\x82 HTTP/1.1\r\nHost: arab.news\r\n\r\n",
    "bytes in the query": b"GET /api/v1/links?\xff=1 HTTP/1.1\r\nHost: arab.news\r\n\r\n",
    "a null byte in the path": b"GET /a\x00b HTTP/1.1\r\nHost: arab.news\r\n\r\n",
    "a null byte in a header": b"GET / HTTP/1.1\r\nHost: arab.news\r\nX: a\x00b\r\n\r\n",
    "words": b"good morning\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "a negative length": b"POST /api/v1/links HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "two lengths": (
        b"POST /api/v1/links HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
    ),
    "a length and chunks": (
        b"POST /api/v1/links HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("request_", NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_not_http_is_400_and_the_connection_closes(server: Server, request_: bytes) -> None:
    """Nothing behind such a request is taken for another one."""
    host, _, port = server.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request_)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
