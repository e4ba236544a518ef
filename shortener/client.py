"""The command line's end of the API: a server's address, a key, and calls.

A call is made once.  Who knows that repeating it changes nothing hands in a `patience`, and a lost
connection or a server that is busy costs a few more tries.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3

from shortener.config import Settings
from shortener.decoders import decoder
from shortener.errors import Failure

Query = Mapping[str, str] | Sequence[tuple[str, str]]
Patience = Callable[[float], bool | None]  # waits so many seconds; true to try no more

TIMEOUT = 30.0  # seconds
CONNECTIONS = 4  # kept alive
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each further try
MAX_PAUSE = 60.0  # seconds that a server may ask us to wait
_BUSY = frozenset({429, 502, 503, 504})


class CallError(Failure):
    """A call that did not succeed; the message is one line, `status` the answer's if one came."""

    def __init__(self, message: str, status: int | None = None, pause: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.pause = pause  # seconds that the server wants us to wait

    @property
    def may_pass(self) -> bool:
        """Whether the same call may succeed a little later."""
        return self.status is None or self.status in _BUSY


class Client:
    """Calls `server` with `key`.  May be used by several threads."""

    def __init__(self, server: str, key: str) -> None:
        self._server, self._key = server.rstrip("/"), key
        self._pool = urllib3.PoolManager(retries=False, maxsize=CONNECTIONS)
        self._was_answered = False

    @property
    def host(self) -> str:
        """Host and port of the server, as a URL has them."""
        return urlsplit(self._server).netloc

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Query = (),
        kind: Any = Any,
        patience: Patience | None = None,
        timeout: float = TIMEOUT,
    ) -> Any:
        """The decoded answer, as a `kind`; as `bytes` it is not decoded.  Raises `CallError`.

        `body` is encoded unless it is bytes.  With `patience` the call is repeated while that may
        help; but a server that never answered at all is not waited for.
        """
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        if query:
            path += "?" + urlencode(query)
        for pause in PAUSES if patience else ():
            try:
                return self._once(method, path, content, kind, timeout)
            except CallError as error:
                hopeless = not error.may_pass or (error.status is None and not self._was_answered)
                if hopeless or patience is None or patience(min(error.pause or pause, MAX_PAUSE)):
                    raise
        return self._once(method, path, content, kind, timeout)

    def _once(
        self, method: str, path: str, content: bytes | None, kind: Any, timeout: float
    ) -> Any:
        headers = {"Authorization": f"Bearer {self._key}"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        url = f"{self._server}/api/v1{path}"
        try:
            answer = self._pool.request(
                method, url, body=content, headers=headers, timeout=timeout, redirect=False
            )
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise CallError(f"no answer from {self._server}: {_reason(error)}") from None
        self._was_answered = True
        if answer.status >= 400:
            raise _refusal(answer)
        if answer.status >= 300:  # not followed: a POST would arrive without its body
            elsewhere = answer.headers.get("Location", "elsewhere")
            raise CallError(f"{self._server} sends us to {elsewhere}: use that", answer.status)
        if kind is bytes:
            return answer.data
        try:
            return decoder(kind).decode(answer.data) if answer.data else None
        except msgspec.DecodeError:
            raise CallError(f"{self._server} is not a shortener", answer.status) from None


def _refusal(answer: urllib3.BaseHTTPResponse) -> CallError:
    """What an answer that says no is told as."""
    try:
        problem = msgspec.json.decode(answer.data)
    except msgspec.DecodeError:
        problem = None
    detail = problem.get("detail") if isinstance(problem, dict) else None
    pause = answer.headers.get("Retry-After", "")
    return CallError(
        str(detail or f"status {answer.status}"),
        answer.status,
        float(pause) if pause.isdecimal() else 0.0,
    )


def connect(server: str | None, key: str | None) -> Client:
    """A client of the server asked for, or of the one that runs here, with its admin key.

    The admin key of this machine is for this machine's server: it is sent to no other.
    """
    server = server or os.environ.get("SHORTENER_SERVER")
    key = key or os.environ.get("SHORTENER_KEY")
    if server is not None and not server.startswith(("http://", "https://")):
        raise CallError(f"{server} is no server: it must begin with http:// or https://")
    if server is None or key is None:
        settings = Settings.load()
        local = _local_address(settings)
        if key is None and server in (None, local):
            key = settings.admin_key or _read(settings.data_dir / "admin-key")
        server = server or local
    if not key:
        raise CallError(f"no API key for {server}: use --key or SHORTENER_KEY")
    return Client(server, key)


def _local_address(settings: Settings) -> str:
    return _read(settings.data_dir / "address") or f"http://{settings.bind}"


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2]
