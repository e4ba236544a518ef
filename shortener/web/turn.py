"""The answers of one turn of the event loop: written down together, then sent.

Whoever can be answered waits until the loop has read what else has arrived; then all clicks go into
the journal with one write, and after it the answers go out.  It costs no timer and no visitor.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from shortener.journal import Click, Journal
from shortener.links.link import Link
from shortener.web.headers import FOR_REDIRECTS
from shortener.web.meter import Logged, Meter, Redirected, Request

log = logging.getLogger(__name__)

_HEADERS = "".join(f"{name.lower()}: {value}\r\n" for name, value in FOR_REDIRECTS.items())


class Answerable(Protocol):
    """A connection; `send` sends an answer that is ready."""

    @property
    def is_ending(self) -> bool:
        """Whether the connection is closed behind the answer."""

    def send(self, answer: bytes) -> None: ...


class Turn:
    """Gathers answers; `journal` gets the clicks, `meter` counts what was answered.

    `hits` is how many of them took no look-up.
    """

    def __init__(self, journal: Journal, meter: Meter) -> None:
        self._journal, self._meter = journal, meter
        self._answers: list[tuple[Answerable, int, bytes]] = []
        self._clicks: list[Click] = []
        self._redirects: list[Redirected] = []
        self._logged: list[Logged] = []
        self.hits = 0
        self._began = 0
        self._dated: Sequence[tuple[bytes, bytes]] = ()
        self._date = b""

    def add(
        self,
        to: Answerable,
        status: int,
        rest: bytes,
        click: Click | None,
        date: Sequence[tuple[bytes, bytes]],
        began: int = 0,
        request: Request | None = None,
    ) -> None:
        """Answer at the end of this turn, after `click` was written down.

        `rest` is everything behind status and date; `date` are the headers that all answers have.
        The request `began` in this turn, unless it says when (`perf_counter_ns`).
        """
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._end)
            self._began = time.perf_counter_ns()
            if date is not self._dated:
                self._dated = date
                self._date = b"".join(b"%b: %b\r\n" % header for header in date)
        self._answers.append((to, status, rest))
        self._redirects.append((status, began or self._began))
        if request is not None:
            self._logged.append((status, began or self._began, request))
        if click is not None:
            self._clicks.append(click)

    def _end(self) -> None:
        answers, self._answers = self._answers, []
        clicks, self._clicks = self._clicks, []
        redirects, self._redirects = self._redirects, []
        logged, self._logged = self._logged, []
        hits, self.hits = self.hits, 0
        if clicks:
            self._journal.append(clicks)
        date = self._date
        for to, status, rest in answers:
            end = b"connection: close\r\n\r\n" if to.is_ending else b"\r\n"
            try:
                to.send(b"".join((STATUS_LINE[status], date, rest, end)))
            except Exception:  # whatever it is, it costs nobody else an answer
                log.exception("an answer could not be sent")
        self._meter.redirected(redirects, logged, hits)


def rest(location: str) -> bytes:
    """What a redirect to `location` says behind status and date."""
    return f"location: {location}\r\n{_HEADERS}".encode()


def plain_rest(link: Link) -> bytes | None:
    """The same for a link that leads everyone to the same place at any time; None for others."""
    if link.is_gated or link.forward_query or link.starts is not None or link.expires is not None:
        return None
    return rest(link.url)
