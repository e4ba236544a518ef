"""Processes that we start: none outlives its parent, and Ctrl-C in a terminal reaches none of them.

On Linux the kernel sees to the first (`prctl`): whatever kills the parent, the child is told.
Elsewhere a child is only stopped by a parent that stops in order.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def start(
    command: Sequence[str],
    environ: Mapping[str, str],
    descriptors: Sequence[int] = (),
    output: int | None = None,
    dies_by_itself: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start a process of its own session that gets SIGTERM when we are gone.

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


def stop(process: "subprocess.Popen[bytes]", patience: float) -> None:
    """SIGTERM, and SIGKILL after `patience` seconds."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
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
    """
    os.nice(by)
    with contextlib.suppress(OSError):  # no Linux, or not shared out like this
        Path("/proc/self/autogroup").write_text(str(by))
