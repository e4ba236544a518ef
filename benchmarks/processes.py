"""What the operating system knows of processes: their children, time and memory (`/proc`)."""

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
MAXRSS = 1 if sys.platform == "darwin" else 1024  # bytes: the unit of `ru_maxrss`


def family(pids: Iterable[int]) -> list[int]:
    """The processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found, waiting = [], list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def seconds(pids: Iterable[int]) -> float:
    """Processor time that processes have had, their own and the system's for them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = _stat(pid)
            total += int(fields[11]) + int(fields[12])
    return total * TICK


def seconds_by_program(pids: Iterable[int], programs: Mapping[str, str]) -> dict[str, float]:
    """The same by program: its name, under a part of its command line; of several the first."""
    times = dict.fromkeys(programs.values(), 0.0)
    for pid in pids:
        line = command(pid)
        program = next((name for part, name in programs.items() if part in line), None)
        if program is not None:
            times[program] += seconds([pid])
    return times


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def command(pid: int) -> str:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may have spaces: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
