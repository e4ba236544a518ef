"""The `shortener` command.

Exit status 0; 1 for a failure, with one line on stderr; 2 for wrong usage or a wrong setting.

service     serve, aggregate, check: what runs on the server's machine
links       shorten, expand, list, edit, delete
stats       statistics, drawn
keys        API keys
imports     links out of a file          exports     links into a file
completion  scripts that complete commands in a shell

remote      what all commands share that call a server
fields      the fields of a link as options
ask         questions before something is destroyed
sources     what files of links hold     columns     the columns of CSV
sending     many calls, some at once     progress    how far it came
"""

import importlib
import logging
import sys
from typing import Any

import click

from shortener import __version__
from shortener.config import ConfigError, StartError
from shortener.errors import Failure

COMMANDS = {  # and the module of each, which is read when the command is asked for
    **dict.fromkeys(("serve", "aggregate", "check"), "service"),
    **dict.fromkeys(("shorten", "expand", "list", "edit", "delete"), "links"),
    "stats": "stats",
    "keys": "keys",
    "import": "imports",
    "export": "exports",
    "completion": "completion",
}


class _Commands(click.Group):
    """Finds commands, and turns expected failures of any into one line and an exit status."""

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 - click calls it
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{COMMANDS[name]}")
        found: tuple[click.Command, ...] = module.COMMANDS
        return next(command for command in found if command.name == name)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ConfigError as error:
            _fail(str(error), 2)
        except (StartError, Failure) as error:
            _fail(str(error), 1)
        except UnicodeEncodeError:
            _fail("an argument is not valid text", 2)


def _fail(message: str, status: int) -> None:
    print(f"shortener: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


@click.group(cls=_Commands)
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """A URL shortener whose click counts are exact."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a letter is no failure
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
