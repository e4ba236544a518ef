"""Heads of requests: what the parser lets through and HTTP does not, and how it is refused.

The parser itself refuses a line that ends in a bare LF, folded headers, a length beside chunks, and
whatever is no HTTP at all.  Here: one `Host`, no more bytes and headers than stated, and a target
that is a path; of an absolute one the host counts, not the header's (RFC 9112, 3.2.2).
"""

import re
from collections.abc import Iterable, Mapping

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from shortener.errors import BadRequest, HeadTooLarge, Problem
from shortener.web.shape import problem_body

MAX_HEAD = 64 * 1024  # bytes of a request line and its headers
MAX_HEADERS = 100

Listed = list[tuple[bytes, bytes]]  # names in lower case

_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)([/?][^#]*)?", re.IGNORECASE)


def is_usual(target: bytes, listed: Listed, named: Mapping[bytes, bytes]) -> bool:
    """Whether `check` would find nothing; `named` are the listed headers by name."""
    return len(named) == len(listed) <= MAX_HEADERS and b"host" in named and target.startswith(b"/")


def check(target: bytes, headers: Listed, version: str) -> tuple[bytes, Listed]:
    """Target and headers in their usual form.  Raises `BadRequest` or `HeadTooLarge`."""
    size = len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
    if size > MAX_HEAD or len(headers) > MAX_HEADERS:
        raise HeadTooLarge
    if version not in ("1.0", "1.1"):
        raise BadRequest("The request is not HTTP/1.1.")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise BadRequest("The request needs one Host header.")
    if target.startswith(b"/"):
        return target, headers
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise BadRequest("The target of the request is not an address here.")
    host, rest = absolute[1], absolute[2] or b"/"
    others = [header for header in headers if header[0] != b"host"]
    return rest if rest.startswith(b"/") else b"/" + rest, [*others, (b"host", host)]


def refusal(problem: Problem, common: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The whole answer to a request that is none; `common` are the headers of all answers."""
    body = msgspec.json.encode(problem_body(problem))
    lines = [
        *common,
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    head = b"".join(b"%b: %b\r\n" % line for line in lines)
    return b"%b%b\r\n%b" % (STATUS_LINE[problem.status], head, body)
