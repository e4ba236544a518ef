"""The answers of one turn of the event loop: written down together, then sent.

Whoever can be answered waits until the loop has read what else has arrived; then all clicks go into
the journal with one write, and after it the answers go out.  It costs no timer and no visitor.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from operator import itemgetter
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from shortener.journal import Journal, beginning
from shortener.links.link import Link
from shortener.web.headers import FOR_REDIRECTS
from shortener.web.meter import Logged, Meter, Redirected, Request

log = logging.getLogger(__name__)

_HEADERS = "".join(f"{name.lower()}: {value}\r\n" for name, value in FOR_REDIRECTS.items())
_CLOSE = b"connection: close\r\n"


class Answerable(Protocol):
    """A connection; `send` sends an answer that is ready."""

    @property
    def is_ending(self) -> bool:
        """Whether the connection is closed behind the answer."""

    def send(self, answer: bytes) -> None: ...


_Answer = tuple[Answerable, int, bytes, bytes | None]  # to whom, status, the rest, what is counted
_STATUS, _CLICK = itemgetter(1), itemgetter(3)


class Turn:
    """Gathers answers; `journal` gets the clicks, `meter` counts what was answered."""

    def __init__(self, journal: Journal, meter: Meter) -> None:
        self._journal, self._meter = journal, meter
        self._answers: list[_Answer] = []
        self._looked_up: list[Redirected] = []
        self._logged: list[Logged] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # that of whoever adds first
        self._began = self._at = 0
        self._dated: Sequence[tuple[bytes, bytes]] = ()
        self._starts: dict[int, bytes] = {}  # of answers, by status

    def add(
        self,
        to: Answerable,
        status: int,
        rest: bytes,
        click: bytes | None,
        date: Sequence[tuple[bytes, bytes]],
        request: Request | None = None,
        began: int = 0,
    ) -> None:
        """Answer at the end of this turn, after `click` was written down.

        `rest` is everything behind status and date; `date` are the headers that all answers have.
        Of a click it is what is behind its time: all clicks of a turn have one.
        A request whose link was looked up has `began` earlier (`perf_counter_ns`).
        """
        if not self._answers:
            self._begin(date)
        self._answers.append((to, status, rest, click))
        if began:
            self._looked_up.append((status, began, 1))
        if request is not None:
            self._logged.append((status, began or self._began, request))

    def _begin(self, date: Sequence[tuple[bytes, bytes]]) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # a system call
        self._loop.call_soon(self._end)
        self._began, self._at = time.perf_counter_ns(), time.time_ns() // 1_000_000
        if date is not self._dated:
            self._dated, self._starts = date, {}

    def _end(self) -> None:
        answers, self._answers = self._answers, []
        clicks = list(filter(None, map(_CLICK, answers)))
        if clicks:
            at = beginning(self._at)
            self._journal.append_encoded([at + click for click in clicks])
        starts = self._starts
        for to, status, rest, _ in answers:
            start = starts.get(status) or self._start(status)
            try:
                to.send(start + _CLOSE + rest if to.is_ending else start + rest)
            except Exception:  # whatever it is, it costs nobody else an answer
                log.exception("an answer could not be sent")
        self._tell_meter(list(map(_STATUS, answers)))

    def _start(self, status: int) -> bytes:
        """Status and date of an answer."""
        headers = b"".join(b"%b: %b\r\n" % header for header in self._dated)
        self._starts[status] = start = STATUS_LINE[status] + headers
        return start

    def _tell_meter(self, statuses: list[int]) -> None:
        redirects, self._looked_up = self._looked_up, []
        logged, self._logged = self._logged, []
        hits = len(statuses) - len(redirects)
        if hits:
            for status, *_ in redirects:
                statuses.remove(status)
            began = self._began
            redirects += [(status, began, statuses.count(status)) for status in set(statuses)]
        self._meter.redirected(redirects, logged, hits)


class Later:
    """The answer to a request whose turn has come, sent past the application."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    @property
    def is_ending(self) -> bool:
        return not self._cycle.keep_alive

    def send(self, answer: bytes) -> None:
        cycle = self._cycle
        cycle.response_started = cycle.response_complete = True
        if not (cycle.disconnected or cycle.transport.is_closing()):
            cycle.transport.write(answer)
            if not cycle.keep_alive:
                cycle.transport.close()
        cycle.on_response()


def rest(location: str) -> bytes:
    """What a redirect to `location` says behind status and date."""
    return f"location: {location}\r\n{_HEADERS}\r\n".encode()


def plain_rest(link: Link) -> bytes | None:
    """The same for a link that leads everyone to the same place at any time; None for others."""
    if link.is_gated or link.forward_query or link.starts is not None or link.expires is not None:
        return None
    return rest(link.url)
