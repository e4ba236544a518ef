"""The event loop's side of the office: Flask in a process of its own (`shortener/office.py`).

The first is forked with the worker; one that dies is followed by a new process, and so is one that
is not heard of any more.  No request waits for ever: for an office that is not there for
`START_PATIENCE`, for its answer for `ANSWER_PATIENCE`.  Whatever was under way in an office that is
lost is told so (503), for nobody knows how far it came; what was answered is in Redis and journals.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from shortener import children
from shortener.config import Settings
from shortener.errors import Unavailable
from shortener.web.handed import HEAD, SIGN_OF_LIFE, Answer, Asked, frame, read

START_PATIENCE = 10.0  # seconds that a request waits for an office to be there
ANSWER_PATIENCE = 60.0  # seconds for an answer
BOOT = 30  # looks without a sign of life until a new office is given up
SILENCE = 5  # the same for one that was heard of; it gives a sign every second
LOOK = 1.0  # seconds between two looks
END_PATIENCE = 2.0  # seconds for the last answers when the worker ends
MAX_PAUSE = 5.0  # seconds between two starts of what keeps dying

log = logging.getLogger(__name__)


class Begun(NamedTuple):
    """An office that was started, with our ends of its lines."""

    process: children.Child
    ends: list[socket.socket]


class Office:
    """Answers for Flask, for one event loop; the first may have `begun`."""

    def __init__(self, settings: Settings, begun: Begun | None = None) -> None:
        self._settings, self._begun = settings, begun
        self._staff: _Staff | None = None  # those who are there
        self._there = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._is_closing = False

    def open(self) -> None:
        """Have it started, when nobody has done so yet."""
        if self._keeping is None:
            self._keeping = asyncio.get_running_loop().create_task(self._keep())

    async def ask(self, asked: Asked, is_ready: bool) -> Answer:
        """The answer to a request; `is_ready` says that it waits for nothing.

        Raises `Unavailable`.
        """
        staff = self._staff or await self._wait()
        return await staff.ask(asked, is_ready)

    async def close(self) -> None:
        """Hang up, and wait for its end."""
        self._is_closing = True
        if self._keeping is None:
            return
        staff = self._staff
        if staff is not None:
            staff.dismiss()
            await asyncio.wait([self._keeping], timeout=END_PATIENCE)
            if not self._keeping.done():
                staff.process.send_signal(signal.SIGKILL)
        self._keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeping

    async def _wait(self) -> "_Staff":
        self.open()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_PATIENCE):
                while self._staff is None:
                    await self._there.wait()
                return self._staff
        raise Unavailable

    async def _keep(self) -> None:
        """Start it, and again whenever it is lost; later each time it is lost soon after."""
        pause = 0.1
        while not self._is_closing:
            began = time.monotonic()
            try:
                await self._live()
            except OSError as error:
                log.error("the office cannot be started: %s", error)  # noqa: TRY400 - one line
            if self._is_closing:
                return
            lived = time.monotonic() - began
            pause = min(pause * 2, MAX_PAUSE) if lived < MAX_PAUSE else 0.1
            await asyncio.sleep(pause if lived < MAX_PAUSE else 0)

    async def _live(self) -> None:
        """One office, from its start to its end."""
        begun, self._begun = self._begun or _start(), None
        staff = await _meet(begun, self._settings)
        try:
            await staff.come()
            if staff.is_there:
                self._staff = staff
                self._there.set()
            await staff.stay()
        finally:
            self._staff = None
            self._there.clear()
            staff.lose()
            if not staff.is_leaving:
                staff.process.send_signal(signal.SIGKILL)
        while (status := staff.process.poll()) is None:  # it is dying
            await asyncio.sleep(0.01)
        if not self._is_closing:
            log.warning("the office stopped (%d); starting it again", status)


class _Staff:
    """The process, and what it was asked."""

    def __init__(self, process: children.Child) -> None:
        self.process = process
        self.lines: list[_Line] = []
        self.is_there = self.is_leaving = False
        self._waiting: dict[int, tuple[asyncio.Future[Answer], float]] = {}
        self._number = SIGN_OF_LIFE
        self._silent = 0  # looks since it was heard of
        loop = asyncio.get_running_loop()
        self._came: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()

    async def come(self) -> None:
        """Wait until it answers, or is lost."""
        await asyncio.wait(
            [self._came, self._lost], return_when=asyncio.FIRST_COMPLETED, timeout=BOOT
        )

    async def stay(self) -> None:
        """Wait until it is lost, looking after it."""
        while self.is_there and self._silent < SILENCE and not self._lost.done():
            await asyncio.wait([self._lost], timeout=LOOK)
            self._silent += 1  # looks are counted, not seconds: we may have slept as well
            self._give_up(time.monotonic() - ANSWER_PATIENCE)

    async def ask(self, asked: Asked, is_ready: bool) -> Answer:
        """The answer to a request.  Raises `Unavailable`."""
        line = self.lines[is_ready]
        if line.is_closed:  # it is gone, and nobody has been told yet
            raise Unavailable
        self._number += 1
        number = self._number
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future, time.monotonic()
        line.write(frame(number, tuple(asked)))
        try:
            return await future
        finally:
            self._waiting.pop(number, None)

    def dismiss(self) -> None:
        """Nothing more is asked."""
        self.is_leaving = True
        for line in self.lines:
            line.hang_up()

    def heard(self, number: int, body: bytes) -> None:
        """A frame has come."""
        self._silent = 0
        if number == SIGN_OF_LIFE:
            self.is_there = True
            if not self._came.done():
                self._came.set_result(None)
            return
        future, _ = self._waiting.pop(number, (None, 0.0))
        if future is not None and not future.done():
            future.set_result(Answer(*read(body)))

    def gone(self) -> None:
        """A line is at its end."""
        if not self._lost.done():
            self._lost.set_result(None)

    def lose(self) -> None:
        """Tell everybody who waits."""
        self.is_there = False
        for line in self.lines:
            line.close()
        self._give_up(float("inf"))

    def _give_up(self, before: float) -> None:
        """Those who have waited since an earlier time."""
        for future, since in list(self._waiting.values()):
            if since >= before:
                return  # and all that came later
            if not future.done():
                future.set_exception(Unavailable())


class _Line(asyncio.Protocol):
    """One line: frames come in pieces."""

    def __init__(self, heard: Callable[[int, bytes], None], gone: Callable[[], None]) -> None:
        self._heard, self._gone = heard, gone
        self._data = bytearray()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= HEAD.size:
            number, length = HEAD.unpack_from(self._data)
            end = HEAD.size + length
            if len(self._data) < end:
                return
            body = bytes(self._data[HEAD.size : end])
            del self._data[:end]
            self._heard(number, body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._gone()

    @property
    def is_closed(self) -> bool:
        """Whether nobody is at the other end."""
        return bool(self._transport.is_closing())

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def hang_up(self) -> None:
        """Say that nothing more comes; answers may."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        self._transport.abort()


def lines() -> tuple[list[socket.socket], list[socket.socket]]:
    """Two lines: our ends and theirs.  Raises `OSError`."""
    ours, theirs = zip(socket.socketpair(), socket.socketpair(), strict=True)
    return list(ours), list(theirs)


def _start() -> Begun:
    """A new process; it is not there yet.  Raises `OSError`."""
    ours, theirs = lines()
    try:
        descriptors = [end.fileno() for end in theirs]
        command = [sys.executable, "-m", "shortener.office", *map(str, descriptors)]
        return Begun(children.start(command, os.environ, descriptors, dies_by_itself=True), ours)
    except OSError:
        for end in ours:
            end.close()
        raise
    finally:
        for end in theirs:
            end.close()


async def _meet(begun: Begun, settings: Settings) -> _Staff:
    """The process with its lines; its settings are on their way."""
    staff, loop = _Staff(begun.process), asyncio.get_running_loop()
    for end in begun.ends:
        _, line = await loop.create_unix_connection(
            lambda: _Line(staff.heard, staff.gone), sock=end
        )
        staff.lines.append(line)
    staff.lines[0].write(frame(SIGN_OF_LIFE, settings))
    return staff
