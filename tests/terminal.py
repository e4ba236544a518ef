"""The `shortener` command at a terminal: what someone sees there, and what they type."""

import contextlib
import os
import pty
import subprocess
import sys
import time

from tests.harness import PATIENCE, environment


class Terminal:
    """One run of the command; `columns` wide."""

    def __init__(self, *arguments: str, columns: int = 120, **settings: str) -> None:
        self._own, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shortener", *arguments],
            env=environment(**settings) | {"COLUMNS": str(columns), "TERM": "xterm", "LINES": "50"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        """Until the text was seen."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} never came: {self.seen!r}"
            assert self._read(), f"it ended without {text!r}: {self.seen!r}"

    def type(self, text: str) -> None:
        """What someone types."""
        os.write(self._own, text.encode())

    def end(self) -> int:
        """Read on until it ends; its exit status."""
        while self._read():
            pass
        os.close(self._own)
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        """A little more; false at the end, which a terminal tells as an error."""
        with contextlib.suppress(OSError):
            some = os.read(self._own, 65536).decode(errors="replace")
            self.seen += some
            return bool(some)
        return False


def at_terminal(*arguments: str, columns: int = 120, **settings: str) -> str:
    """What the command shows, in colours."""
    terminal = Terminal(*arguments, columns=columns, **settings)
    assert terminal.end() == 0, terminal.seen
    return terminal.seen
