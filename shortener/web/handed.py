"""What the event loop hands to Flask with a request, and gets back, over the office's lines.

A frame is a number and a length in front of a pickle: requests carry links and problems, which are
objects of ours, and both ends are this program, on a socket that nobody else can open (what is
unpickled from anywhere else may do anything).  The loop spends on a request what it must: the WSGI
environment is made at the other end (`web/clerks.py`).
"""

import pickle
import struct
from collections.abc import MutableMapping
from typing import Any, NamedTuple

PROBLEM = "shortener.problem"  # in the WSGI environment: what is wrong with the request already
LOOKUP = "shortener.lookup"  # what the edge found: a link, None, or a `Problem`
ROOM = "shortener.room"  # whether there is room for one more listener

HEAD = struct.Struct("<QI")  # number of the request, bytes of what follows
SIGN_OF_LIFE = 0  # the number of a frame that belongs to no request

Scope = MutableMapping[str, Any]


class Asked(NamedTuple):
    """A request whose body is whole; `extra` goes into the WSGI environment."""

    method: str
    path: str
    target: bytes  # the path as it came
    query: bytes
    version: str
    scheme: str
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None
    headers: list[tuple[bytes, bytes]]
    body: bytes
    extra: dict[str, Any]


class Answer(NamedTuple):
    """A whole response; names of headers are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    content: bytes


def asked(scope: Scope, body: bytes, extra: dict[str, Any]) -> Asked:
    """A request as ASGI has it."""
    return Asked(
        scope["method"],
        scope["path"],
        scope["raw_path"],
        scope["query_string"],
        scope["http_version"],
        scope["scheme"],
        scope.get("server"),
        scope.get("client"),
        list(scope["headers"]),
        body,
        extra,
    )


def frame(number: int, content: Any) -> bytes:
    """The bytes of one frame."""
    body = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    return HEAD.pack(number, len(body)) + body


def read(body: bytes | memoryview) -> Any:
    """The content of a frame."""
    return pickle.loads(body)  # noqa: S301 - ours, see above
