"""Processes that we start: none outlives its parent, and Ctrl-C in a terminal reaches none of them.

On Linux the kernel sees to the first (`prctl`): whatever kills the parent, the child is told.
Elsewhere a child is only stopped by a parent that stops in order.

A forked child has what its parent has read already: it begins at once, and most of its memory is
the parent's.  That is for parents without an event loop, whose other threads hold nothing that the
child needs; others start a program.
"""

import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from setproctitle import setproctitle

from shortener.config import ConfigError, StartError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Child(Protocol):
    """A process that we started: a `subprocess.Popen`, or one with the same words."""

    pid: int

    def poll(self) -> int | None:
        """Its exit status, or minus the number of the signal that ended it; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.  Raises `subprocess.TimeoutExpired`."""

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""


class Forked:
    """A process that was forked from ours."""

    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        self.pid = cast("int", process.pid)  # it was started
        self._process = process

    def poll(self) -> int | None:
        """Its exit status, or minus the number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.  Raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def start(
    command: Sequence[str],
    environ: Mapping[str, str],
    descriptors: Sequence[int] = (),
    output: int | None = None,
    dies_by_itself: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start a program of its own session that gets SIGTERM when we are gone.

    `descriptors` stay open in it; `output` is one that it writes to, instead of ours.  A child that
    `dies_by_itself` calls `dying_with_parent` as its first act: then nothing of ours runs between
    fork and start, as it must not in a process with threads and an event loop.
    """
    return subprocess.Popen(
        command,
        env=environ,
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        stdout=output,
        stderr=output,
        # one system call, looked up before the fork
        preexec_fn=None if dies_by_itself else dying_with_parent(),
    )


def fork(
    name: str, act: Callable[[], None], closing: Iterable[int] = (), is_waited_for: bool = True
) -> Forked:
    """Fork a process of its own session that gets SIGTERM when we are gone, and ends after `act`.

    It has our descriptors but those that are `closing`.  A `ConfigError` or `StartError` is one
    line on stderr and status 1.  When we end, one that is not waited for gets SIGTERM first; one
    that comes before the child has shed our ways with signals waits until it has.
    """
    forked = multiprocessing.get_context("fork").Process(
        target=_run, args=(name, act, closing), name=name, daemon=not is_waited_for
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        forked.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Forked(forked)


def _run(name: str, act: Callable[[], None], closing: Iterable[int]) -> None:
    os.setsid()
    dying_with_parent()()
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid != os.getppid():  # it has died meanwhile
        return
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):  # our parent's own way
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    for descriptor in closing:
        os.close(descriptor)
    take_name(name)
    try:
        act()
    except (ConfigError, StartError) as error:
        sys.exit(f"shortener: {error}")


def take_name(name: str) -> None:
    """What we are called from now on, as in `ps`."""
    setproctitle(f"shortener: {name}")


def freeze() -> None:
    """Have children that are forked from now on share what is in our memory: their collectors would
    touch, and so copy it."""
    gc.collect()
    gc.freeze()


def stop(process: Child, patience: float) -> None:
    """SIGTERM, and SIGKILL after `patience` seconds."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def dying_with_parent(how: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """What a child calls to be sent a signal when its parent is gone."""
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(how))


def step_back(by: int) -> None:
    """Leave the processor to the others: our priority goes down by `by` (0 to 19).

    Where Linux shares it out between sessions first (`sched_autogroup`), that of our session does.
    There we also interrupt nobody when we have something to do again (`SCHED_BATCH`).
    """
    os.nice(by)
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(OSError):  # no Linux, or not shared out like this
        Path("/proc/self/autogroup").write_text(str(by))
