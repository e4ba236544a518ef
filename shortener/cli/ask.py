"""Questions before something is destroyed: asked at a terminal, and never answered for anyone.

Where nobody can be asked, `--yes` has to say so: a script that forgot it fails before it harms.
"""

import getpass
import sys

import click


def somebody() -> None:
    """Raises `click.UsageError` when nobody is there to be asked."""
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked: use --yes")


def consent(question: str) -> None:
    """Return when the answer is yes.  Raises `click.Abort`."""
    click.confirm(question, abort=True, err=True)


def secret(value: str | None, what: str) -> str | None:
    """The value; for `-` it is asked for without an echo, or read from a line of stdin.

    Arguments can be seen by everybody on the machine, so there must be another way.
    """
    if value != "-":
        return value
    if sys.stdin.isatty():
        return getpass.getpass(f"{what}: ")
    return sys.stdin.readline().rstrip("\r\n")
