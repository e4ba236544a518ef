"""Links: make, look up, list, change, delete."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from shortener.cli import ask
from shortener.cli.fields import CLEARABLE, FIELDS, given, options
from shortener.cli.remote import counted, remote, show, target
from shortener.client import CallError, Client
from shortener.errors import Failure

PAGE = 200  # links a call: as many as the server gives
MIN_WIDTH = 60  # characters of the table, on however narrow a terminal

domain_option = click.option("--domain", metavar="HOST", help="Domain of the link.")


@click.command()
@click.argument("url")
@options(tuple(field for field in FIELDS if field.name != "url"))
@click.option("--domain", metavar="HOST", help="One of the server's domains.")
@remote
def shorten(client: Client, as_json: bool, domain: str | None, **fields: Any) -> None:
    """Make a short link for URL."""
    body = given(fields) | ({} if domain is None else {"domain": domain})
    link = client.call("POST", "/links", body)
    _show(link, as_json)


@click.command()
@click.argument("code")
@domain_option
@remote
def expand(client: Client, code: str, domain: str | None, as_json: bool) -> None:
    """Say where the link CODE leads; CODE may be the whole short URL."""
    wanted = target(client, code, domain)
    link = client.call("GET", wanted.path, query=wanted.query)
    show(link) if as_json else print(link["url"])


@click.command()
@click.argument("code")
@options(tuple(field for field in FIELDS if field.changes))
@click.option(
    "--clear",
    metavar="FIELD",
    multiple=True,
    type=click.Choice(CLEARABLE),
    help=f"Set a field back to its default; may be repeated: {', '.join(CLEARABLE)}.",
)
@domain_option
@remote
def edit(
    client: Client,
    code: str,
    clear: tuple[str, ...],
    domain: str | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Change the link CODE; tags that are given take the place of those it has."""
    body = given(fields)
    if both := sorted(set(body) & set(clear)):
        raise click.UsageError(f"{both[0]} is set and cleared at once")
    body |= dict.fromkeys(clear)
    if not body:
        raise click.UsageError("nothing to change: give an option for a field, or --clear")
    wanted = target(client, code, domain)
    _show(client.call("PATCH", wanted.path, body, query=wanted.query), as_json)


@click.command()
@click.argument("codes", metavar="CODE...", nargs=-1, required=True)
@domain_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@remote
def delete(
    client: Client, codes: tuple[str, ...], domain: str | None, yes: bool, as_json: bool
) -> None:
    """Delete links with their statistics.

    Exit status 1 when one of them could not be deleted; the others are.
    """
    wanted = [target(client, code, domain) for code in codes]
    if not yes:
        ask.somebody()
        for link in wanted:
            found = client.call("GET", link.path, query=link.query)
            clicks = counted(found["clicks"], "click")
            click.echo(f"{found['short_url']} -> {found['url']} ({clicks})", err=True)
        ask.consent(f"Delete {counted(len(wanted), 'link')} with all statistics?")
    deleted, failed = [], []
    for link in wanted:
        try:
            client.call("DELETE", link.path, query=link.query)
        except CallError as error:
            if error.status is None:
                raise
            failed.append(f"{link.named}: {error}")
        else:
            deleted.append(link.named)
            if not as_json:
                print(f"deleted {link.named}")
    if as_json:
        show({"deleted": deleted, "failed": failed})
    if failed:
        raise Failure("; ".join(failed))


@click.command("list")
@click.option("--tag", "tags", metavar="T", multiple=True, help="With this tag; may be repeated.")
@click.option("--search", metavar="TEXT", help="With this in code, URL or title.")
@click.option("--domain", metavar="HOST", help="Of this domain.")
@click.option("--created-after", metavar="TIME", help="RFC 3339, such as 2026-11-01T00:00:00Z.")
@click.option("--created-before", metavar="TIME", help="RFC 3339.")
@click.option(
    "--sort",
    type=click.Choice(["created", "-created", "-clicks"]),
    help="Oldest first, newest first (the default), or most clicks first.",
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--all", "everything", is_flag=True, help="All links, however many.")
@remote
def list_links(
    client: Client,
    as_json: bool,
    tags: tuple[str, ...],
    limit: int,
    everything: bool,
    **filters: str | None,
) -> None:
    """List links: a table on a terminal, lines with tabs in a pipe.

    A line in a pipe has short URL, URL, clicks, time of creation, tags with commas, and title.
    """
    query = [(name, value) for name, value in filters.items() if value is not None]
    query += [("tag", tag) for tag in tags]
    pages = _pages(client, query, None if everything else limit)
    if as_json:
        _print_json(pages)
    elif sys.stdout.isatty():
        _print_table(pages)
    else:
        for page in pages:
            for link in page["links"]:
                print(_line(link))


def _pages(
    client: Client, query: list[tuple[str, str]], limit: int | None
) -> Iterator[dict[str, Any]]:
    """The list page by page, as the API answers it; `limit` links in all."""
    cursor, left = None, limit
    while True:
        size = PAGE if left is None else min(left, PAGE)
        place = [("limit", str(size))] + ([("cursor", cursor)] if cursor else [])
        page = client.call("GET", "/links", query=query + place)
        yield page
        cursor = page["next_cursor"]
        left = None if left is None else left - len(page["links"])
        if cursor is None or (left is not None and left <= 0):
            return


def _print_json(pages: Iterator[dict[str, Any]]) -> None:
    """One document of the API's shape with a link a line, printed as it comes."""
    start, page = '{"links": [\n', {}
    for page in pages:
        for link in page["links"]:
            print(start + json.dumps(link, ensure_ascii=False), end="")
            start = ",\n"
    rest = {"next_cursor": page["next_cursor"], "total": page["total"]}
    end = "\n" if start.startswith(",") else start
    print(f"{end}], {json.dumps(rest)[1:]}")


def _print_table(pages: Iterator[dict[str, Any]]) -> None:
    """A table a page, so that the first rows do not wait for the last."""
    console = Console(markup=False, highlight=False, emoji=False)
    width = max(console.width, MIN_WIDTH)
    shown = total = 0
    for page in pages:
        table = Table(box=None, pad_edge=False, show_header=not shown, width=width)
        table.add_column("link", style="cyan", no_wrap=True, max_width=width // 2)
        table.add_column("leads to", ratio=1, no_wrap=True)
        table.add_column("clicks", width=9, justify="right")
        table.add_column("made", width=10)
        for link in page["links"]:
            leads = link["url"] if link["title"] is None else f"{link['title']} · {link['url']}"
            short = link["short_url"].partition("://")[2]
            table.add_row(short, leads, f"{link['clicks']:,}", link["created_at"][:10])
        if page["links"]:
            console.print(table)
        shown, total = shown + len(page["links"]), page["total"]
    rest = "" if shown >= total else f" of {total:,}; --all shows the rest"
    console.print(f"{counted(shown, 'link')}{rest}", style="dim")


def _line(link: dict[str, Any]) -> str:
    """A link in a line, cut at tabs; none of the fields can have one."""
    tags, title = ",".join(link["tags"]), link["title"] or ""
    fields = (link["short_url"], link["url"], link["clicks"], link["created_at"], tags, title)
    return "\t".join(map(str, fields))


def _show(link: dict[str, Any], as_json: bool) -> None:
    show(link) if as_json else print(link["short_url"])


COMMANDS = (shorten, expand, list_links, edit, delete)
