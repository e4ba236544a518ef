"""Single requests over one connection, each answer read and judged.

The load generator says how many answers came; that they were the right ones, we find out here.
"""

import http.client
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

TIMEOUT = 10.0  # seconds


class Wrong(Exception):
    """An answer that is not what the contract promises; the message is one line."""


class Client:
    """Requests to 127.0.0.1:`port` with the API key `key`; a context that closes its connection."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self._authorization = {"Authorization": f"Bearer {key}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def status(self, path: str) -> int:
        """The status of a `GET`.  Raises `OSError` or `HTTPException` when there is no answer."""
        return self._ask("GET", path)[0].status

    def read(self, path: str) -> Any:
        """A JSON document, asked for with the API key.  Raises `Wrong` for any status but 200."""
        answer, body = self._ask("GET", path, headers=self._authorization)
        if answer.status != 200:
            raise Wrong(f"GET {path} was answered with {answer.status}")
        return json.loads(body)

    def create(self, url: str) -> str:
        """The code of a new link to `url`.  Raises `Wrong` for any status but 201."""
        headers = self._authorization | {"Content-Type": "application/json"}
        content = json.dumps({"url": url}).encode()
        answer, body = self._ask("POST", "/api/v1/links", content, headers)
        if answer.status != 201:
            raise Wrong(f"creating a link was answered with {answer.status}: {body[:200]!r}")
        return str(json.loads(body)["code"])

    def post(self, path: str, body: bytes) -> Any:
        """A JSON document for one sent with the API key.  Raises `Wrong` for any status but 200."""
        headers = self._authorization | {"Content-Type": "application/json"}
        answer, content = self._ask("POST", path, body, headers)
        if answer.status != 200:
            raise Wrong(f"POST {path} was answered with {answer.status}: {content[:200]!r}")
        return json.loads(content)

    def follow(self, code: str) -> tuple[int, str | None]:
        """Status and `Location` of a visit to `code`."""
        answer, _ = self._ask("GET", f"/{code}")
        return answer.status, answer.getheader("Location")

    def check(self, links: Iterable[tuple[str, str]]) -> None:
        """Follow each code once.  Raises `Wrong` unless all lead to their URL, byte for byte."""
        for code, url in links:
            status, location = self.follow(code)
            if (status, location) != (302, url):
                raise Wrong(f"/{code} was answered with {status} {location!r}, not 302 {url!r}")

    def _ask(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request(method, path, content, headers)
        answer = self._connection.getresponse()
        return answer, answer.read()
