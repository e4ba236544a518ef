"""Requests as bytes, what is answered on a connection, and who has its other end."""

import contextlib
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

AT_ONCE = 32  # requests that are sent before their answers are read
ESTABLISHED = "01"  # in /proc/net/tcp


class Answer(NamedTuple):
    """One response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


class Talk:
    """A connection on which bytes are written as they are, and answers read one by one."""

    def __init__(self, address: str, source: str = "127.0.0.1") -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), 20, (source, 0))
        self._data = b""

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # it has hung up; its answer is still there
            self.socket.sendall(data)

    def reset(self) -> None:
        """Vanish: closing is done at once, and what comes is not taken."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def answer(self, without_body: bool = False) -> Answer | None:
        """The next answer; None when the connection is at its end."""
        while b"\r\n\r\n" not in self._data:
            if not self._read():
                assert self._data == b""
                return None
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(line.partition(": ")[0], line.partition(": ")[2]) for line in lines]
        length = 0 if without_body else int(dict(headers).get("content-length", "0"))
        while len(self._data) < length:
            assert self._read(), "the body ends early"
        body, self._data = self._data[:length], self._data[length:]
        return Answer(int(first.split()[1]), headers, body)

    def answers(self) -> list[int]:
        """The statuses of all answers until the server hangs up."""
        found = []
        while (answer := self.answer()) is not None:
            found.append(answer.status)
        return found

    def is_open(self, path: str = "/robots.txt") -> bool:
        """Whether another request is answered."""
        self.say(f"GET {path} HTTP/1.1\r\nHost: arab.news\r\n\r\n".encode())
        return self.answer() is not None

    def _read(self, size: int = 65536) -> bytes:
        try:
            data = self.socket.recv(size)
        except ConnectionError:
            return b""
        self._data += data
        return data


def request(path: str, *headers: str, line: str = "GET {} HTTP/1.1", host: str = "a.b") -> bytes:
    """A request as bytes."""
    hosts = (f"Host: {host}",) if host else ()
    return "\r\n".join((line.format(path), *hosts, *headers, "", "")).encode("latin-1")


def follow_many(address: str, codes: Sequence[str], *headers: str) -> list[int]:
    """The statuses of visits to many codes, on one connection, in their order."""
    found = []
    with Talk(address) as talk:
        for first in range(0, len(codes), AT_ONCE):
            some = codes[first : first + AT_ONCE]
            talk.say(b"".join(request(f"/{code}", *headers) for code in some))
            answers = [talk.answer() for _ in some]
            found += [0 if answer is None else answer.status for answer in answers]
    return found


def established(address: str) -> dict[str, int]:
    """The server's sockets of connections to `address`, and their ports at the client."""
    here = f":{int(address.rpartition(':')[2]):04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        row[9]: int(row[2].rpartition(":")[2], 16)
        for row in rows
        if row[1].endswith(here) and row[3] == ESTABLISHED
    }


def sockets(pid: int) -> set[str]:
    """The sockets that a process has."""
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(file.readlink()).removeprefix("socket:[").removesuffix("]"))
    return found
