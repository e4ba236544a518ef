"""A WSGI application on the event loop.

The loop reads the body, bounded in size and time, before a thread is taken, so a slow client costs
no thread.  Answers are made whole in the thread and sent by the loop: streams do not come this way.
"""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIApplication

from shortener.errors import TooLarge, TooSlow
from shortener.web.problems import PROBLEM

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 1024 * 1024  # bytes
LARGER_BODIES = {"/api/v1/import": 16 * 1024 * 1024}  # bytes
BODY_TIMEOUT = 15.0  # seconds for the whole of it
THREADS = 8
READY_THREADS = 2  # for answers that wait for nothing


class Bridge:
    """Runs `application` in a pool of threads."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="flask")
        self._ready = ThreadPoolExecutor(READY_THREADS, thread_name_prefix="ready")

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        extra: dict[str, Any] | None = None,
        needs_store: bool = True,
    ) -> None:
        """Answer one request.  `extra` goes into the WSGI environment.

        What `needs_store` waits for Redis; what does not is answered beside it, at once.
        """
        environ = _environ(scope) | (extra or {})
        threads = self._threads if needs_store else self._ready
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await _read_body(receive, LARGER_BODIES.get(scope["path"], MAX_BODY))
        except TimeoutError:
            body, environ[PROBLEM] = b"", TooSlow()
        except TooLarge as problem:
            body, environ[PROBLEM] = b"", problem
        if body is None:
            return  # the client is gone
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        loop = asyncio.get_running_loop()
        status, headers, content = await loop.run_in_executor(threads, self._run, environ)
        if PROBLEM in environ:  # the rest of the body is still on its way
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def close(self) -> None:
        """Wait for the requests that are being answered."""
        self._threads.shutdown()
        self._ready.shutdown()

    def _run(self, environ: dict[str, Any]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        answer: list[Any] = [500, []]

        def start(
            status: str, headers: list[tuple[str, str]], _exc_info: Any = None, /
        ) -> Callable[[bytes], object]:
            answer[0] = int(status[:3])
            answer[1] = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers]
            return lambda _: None

        parts = self._application(environ, cast(StartResponse, start))
        try:
            content = b"".join(parts)
        finally:
            _close(parts)
        return answer[0], answer[1], content


def _close(parts: Iterable[bytes]) -> None:
    if hasattr(parts, "close"):
        parts.close()


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None when the client went away.  Raises `TooLarge`."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise TooLarge
        if not message.get("more_body"):
            return b"".join(parts)


def _environ(scope: Scope) -> dict[str, Any]:
    """The WSGI environment of a request (PEP 3333)."""
    server = scope.get("server") or ("localhost", None)
    client = scope.get("client") or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "RAW_URI": scope["raw_path"].decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name:  # would pass for the header with a hyphen
            continue
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        value = raw_value.decode("latin-1")
        if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = f"HTTP_{name}"
        environ[name] = f"{environ[name]},{value}" if name in environ else value
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # the body is whole by now
    environ.pop("HTTP_UPGRADE", None)  # to nothing that we speak
    return environ
