"""API keys.  The secret of a new one is printed alone on stdout, where a script can take it."""

import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from shortener.cli import ask
from shortener.cli.fields import Moment
from shortener.cli.remote import counted, remote, show
from shortener.client import Client
from shortener.errors import Failure

SCOPES = click.Choice(["links:read", "links:write", "stats:read", "admin"])
COLUMNS = ("id", "name", "scopes", "created_at", "expires_at", "last_used_at")


@click.group()
def keys() -> None:
    """API keys: list, create, revoke."""


@keys.command("list")
@remote
def list_keys(client: Client, as_json: bool) -> None:
    """List the keys: a table on a terminal, lines with tabs in a pipe."""
    answer = client.call("GET", "/keys")
    if as_json:
        show(answer)
        return
    columns = [name for name in COLUMNS if any(name in key for key in answer["keys"])]
    rows = [[_text(key.get(name)) for name in columns] for key in answer["keys"]]
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name.removesuffix("_at").replace("_", " "), no_wrap=name == "id")
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False, emoji=False).print(table)


@keys.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", type=SCOPES, multiple=True, required=True, help="May be repeated."
)
@click.option("--expires", type=Moment(), help="When it ends: RFC 3339, or 3d, 1w from now.")
@remote
def create(
    client: Client, name: str, scopes: tuple[str, ...], expires: str | None, as_json: bool
) -> None:
    """Make a key called NAME, and print its secret, which cannot be had again."""
    body: dict[str, Any] = {"name": name, "scopes": list(scopes)}
    if expires is not None:
        body["expires_at"] = expires
    made = client.call("POST", "/keys", body)
    if as_json:
        show(made)
        return
    print(made["key"])
    if sys.stdout.isatty():
        print(f"shown once; its id is {made['id']}", file=sys.stderr)


@keys.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@remote
def revoke(client: Client, ids: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Revoke keys by their ids, at once and for good."""
    known = {key["id"]: key for key in client.call("GET", "/keys")["keys"]}
    if missing := [identity for identity in ids if identity not in known]:
        raise Failure(f"There is no key with the id {missing[0]}; none was revoked.")
    if not yes:
        ask.somebody()
        for identity in ids:
            click.echo(f"{identity} {known[identity]['name']}", err=True)
        ask.consent(f"Revoke {counted(len(ids), 'key')}?")
    for identity in dict.fromkeys(ids):
        client.call("DELETE", f"/keys/{identity}")
        if not as_json:
            print(f"revoked {identity}")
    if as_json:
        show({"revoked": list(dict.fromkeys(ids))})


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return ",".join(value) if isinstance(value, list) else str(value)


COMMANDS = (keys,)
