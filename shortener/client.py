"""The command line's end of the API: a server's address, a key, and calls."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import urllib3

from shortener.config import Settings

TIMEOUT = 30.0  # seconds


class CallError(Exception):
    """A call that did not succeed; the message is one line."""


class Client:
    """Calls `server` with `key`."""

    def __init__(self, server: str, key: str) -> None:
        self._server, self._key = server.rstrip("/"), key
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT)

    def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
    ) -> Any:
        """The decoded answer.  Raises `CallError`."""
        headers = {"Authorization": f"Bearer {self._key}"}
        content = None if body is None else msgspec.json.encode(body)
        if query:
            path += "?" + urlencode(query)
        try:
            answer = self._pool.request(
                method, f"{self._server}/api/v1{path}", body=content, headers=headers
            )
        except urllib3.exceptions.HTTPError as error:
            raise CallError(f"no answer from {self._server}: {_reason(error)}") from None
        try:
            decoded = msgspec.json.decode(answer.data) if answer.data else None
        except msgspec.DecodeError:
            raise CallError(f"{self._server} is not a shortener") from None
        if answer.status >= 400:
            problem = decoded if isinstance(decoded, dict) else {}
            raise CallError(str(problem.get("detail") or f"status {answer.status}"))
        return decoded


def connect(server: str | None, key: str | None) -> Client:
    """A client of the server asked for, or of the one that runs here, with its admin key."""
    server = server or os.environ.get("SHORTENER_SERVER")
    key = key or os.environ.get("SHORTENER_KEY")
    if server is None or key is None:
        settings = Settings.load()
        server = server or _local_address(settings)
        key = key or settings.admin_key or _read(settings.data_dir / "admin-key")
    if not key:
        raise CallError("no API key: use --key or SHORTENER_KEY")
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
