"""What the commands share that call a server: who is called, which link is meant, what is printed.

A link is named by its code, or by its whole short URL, which also says the domain.  A URL that
begins with the server's own address stands for the default domain.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec
from urllib.parse import quote, unquote, urlsplit

import click

from shortener.client import Client, connect

P = ParamSpec("P")


class Target(NamedTuple):
    """The link that a command is about: where the API has it, and how it was named."""

    path: str
    query: list[tuple[str, str]]
    named: str


def remote(command: Callable[P, None]) -> Callable[P, None]:
    """Give a command `--server`, `--key` and `--json`, and hand it a client."""

    @click.option("--server", metavar="URL", help="Server to talk to; default: the local one.")
    @click.option("--key", metavar="KEY", help="API key; default: the local admin key.")
    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        server, key = kwargs.pop("server"), kwargs.pop("key")
        kwargs["client"] = connect(server, key)  # type: ignore[arg-type]
        command(*args, **kwargs)

    return wrapped


def target(client: Client, named: str, domain: str | None) -> Target:
    """The link that `named`, a code or a short URL, and `--domain` speak of.

    Raises `click.BadParameter` for what cannot be either.
    """
    code, host = _parts(named)
    if host == client.host.lower():
        host = ""
    if domain and host and domain.lower() != host:
        raise click.BadParameter(f"{named} is not of the domain {domain}")
    if not code.strip(". "):
        raise click.BadParameter(f"there is no code in {named!r}")
    chosen = domain or host
    query = [("domain", chosen)] if chosen else []
    return Target(f"/links/{quote(code, safe='')}", query, named)


def _parts(named: str) -> tuple[str, str]:
    """Code and host of a short URL, whether it begins with http:// or not; no host for a code."""
    if "/" not in named.strip("/"):
        return named.strip("/"), ""
    try:
        parts = urlsplit(named if "://" in named else f"//{named}")
    except ValueError:
        raise click.BadParameter(f"{named} is not a URL") from None
    path = parts.path.strip("/").removesuffix("+")  # with a plus it is the link's preview
    if "/" in path:
        raise click.BadParameter(f"{named} is not a short URL")
    return unquote(path), parts.netloc.lower()


def show(answer: Any) -> None:
    """An answer as JSON, for people and programs."""
    print(json.dumps(answer, ensure_ascii=False, indent=2))


def counted(number: int, noun: str) -> str:
    """`1 link`, `1,234 links`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
