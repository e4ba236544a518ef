"""Processes of the `shortener` command that need not read the whole program first.

Hundreds are started by the tests, and most of the time of each would go into reading it.  One
process for each that tests has read everything, and forks at request: the child gets arguments, an
environment and descriptors of its own, and runs the command like any other.  Tests of the command
as a program start it as one.
"""

import atexit
import contextlib
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

_MOST = 1 << 20  # bytes of arguments and environment


class Born:
    """A running command, with the words of `subprocess.Popen`."""

    def __init__(self, line: socket.socket, stdout: "IO[str] | None" = None) -> None:
        self._line, self.stdout = line, stdout
        self.returncode: int | None = None
        self.pid = int(line.recv(64))

    def poll(self) -> int | None:
        """How it ended, minus a signal's number; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.  Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            self._line.settimeout(timeout)
            try:
                self.returncode = int(self._line.recv(64))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("shortener", timeout or 0.0) from None
            self._line.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # nobody has told yet
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def bear(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    descriptors: Sequence[int],
    stdout: "IO[str] | None" = None,
) -> Born:
    """Run the command with these as its standard input, output and errors; `stdout` is to read."""
    line, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wish = json.dumps([arguments, dict(environ), list(os.sched_getaffinity(0))]).encode()
    assert len(wish) < _MOST
    with end:
        socket.send_fds(_home(), [wish], [end.fileno(), *descriptors])
    return Born(line, stdout)


@functools.cache
def _home() -> socket.socket:
    """Where children are asked for: a process that lives as long as this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    descriptor = theirs.fileno()
    command = [sys.executable, "-m", "tests.nursery", str(descriptor)]
    process = subprocess.Popen(command, pass_fds=[descriptor])
    theirs.close()

    def close() -> None:
        ours.close()
        process.wait()

    atexit.register(close)
    return ours


def main() -> None:
    """Bear children until nobody can ask for more, and tell of their ends."""
    home = socket.socket(fileno=int(sys.argv[1]))
    from shortener import aggregate, children, cli, server, supervisor  # noqa: F401 - to be shared
    from shortener.statistics import agents

    for name in cli.COMMANDS:
        cli.main.get_command(None, name)  # type: ignore[arg-type]
    agents.extractors()  # half a second of each aggregator
    children.freeze()
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    lines: dict[int, socket.socket] = {}
    looking = selectors.DefaultSelector()
    for end in (home, woken):
        looking.register(end, selectors.EVENT_READ)
    while True:
        ready = [key.fileobj for key, _ in looking.select()]
        if woken in ready:
            woken.recv(4096)
            _tell(lines)
        if home in ready:
            wish, descriptors, _, _ = socket.recv_fds(home, _MOST, 4)
            if not wish:
                return
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for end in (home, woken, waker, *lines.values()):
                    end.close()
                _live(*json.loads(wish), descriptors)
            line = lines[pid] = socket.socket(fileno=descriptors[0])
            for descriptor in descriptors[1:]:
                os.close(descriptor)
            line.send(b"%d" % pid)


def _tell(lines: dict[int, socket.socket]) -> None:
    """Children have ended."""
    while lines:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with lines.pop(pid) as line, contextlib.suppress(OSError):  # nobody may want to know
            line.send(b"%d" % os.waitstatus_to_exitcode(status))


def _live(
    arguments: list[str], environ: dict[str, str], processors: list[int], descriptors: list[int]
) -> None:
    """Be the command, to its end."""
    from shortener import cli

    os.close(descriptors[0])
    for number, descriptor in enumerate(descriptors[1:]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.sched_setaffinity(0, processors)
    if _of_python(environ) != _of_python(os.environ):  # it is to be read in another way
        command = [sys.executable, "-m", "shortener", *arguments]
        os.execve(sys.executable, command, environ)  # noqa: S606 - as a test wants it
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["shortener", *arguments]
    cli.main()


def _of_python(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith("PYTHON")}


if __name__ == "__main__":
    main()
