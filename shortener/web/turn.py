"""The answers of one turn of the event loop: written down together, then sent.

Whoever can be answered waits until the loop has read what else has arrived; then all clicks go into
the journal with one write, and after it the answers go out.  It costs no timer and no visitor.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from shortener.journal import Click, Journal
from shortener.link import Link
from shortener.web.meter import Meter, Request
from shortener.web.redirect import HEADERS

_HEADERS = "".join(f"{name.lower()}: {value}\r\n" for name, value in HEADERS.items())


class Answerable(Protocol):
    """A connection; `send` sends an answer that is ready."""

    @property
    def is_ending(self) -> bool:
        """Whether the connection is closed behind the answer."""

    def send(self, answer: bytes) -> None: ...


class Answer(NamedTuple):
    """What goes to one visitor; `rest` is everything behind status and date."""

    to: Answerable
    status: int
    rest: bytes
    began: int  # by `perf_counter_ns`
    request: Request | None  # for the access log


class Turn:
    """Gathers answers; `journal` gets the clicks, `meter` counts what was answered."""

    def __init__(self, journal: Journal, meter: Meter) -> None:
        self._journal, self._meter = journal, meter
        self._clicks: list[Click] = []
        self._answers: list[Answer] = []
        self._dated: Sequence[tuple[bytes, bytes]] = ()
        self._date = b""

    def add(self, answer: Answer, click: Click | None, date: Sequence[tuple[bytes, bytes]]) -> None:
        """Answer at the end of this turn, after `click` was written down.

        `date` are the headers that all answers have.
        """
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._end)
            if date is not self._dated:
                self._dated = date
                self._date = b"".join(b"%b: %b\r\n" % header for header in date)
        self._answers.append(answer)
        if click is not None:
            self._clicks.append(click)

    def _end(self) -> None:
        answers, self._answers = self._answers, []
        clicks, self._clicks = self._clicks, []
        if clicks:
            self._journal.append(clicks)
        date = self._date
        for to, status, rest, began, request in answers:
            end = b"connection: close\r\n\r\n" if to.is_ending else b"\r\n"
            to.send(b"".join((STATUS_LINE[status], date, rest, end)))
            self._meter.redirected(status, began, request)


def rest(location: str) -> bytes:
    """What a redirect to `location` says behind status and date."""
    return f"location: {location}\r\n{_HEADERS}".encode()


def plain_rest(link: Link) -> bytes | None:
    """The same for a link that leads everyone to the same place at any time; None for others."""
    if link.is_gated or link.forward_query or link.starts is not None or link.expires is not None:
        return None
    return rest(link.url)
