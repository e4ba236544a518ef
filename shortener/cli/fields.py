"""The fields of a link as options: one table, which `shorten` and `edit` are driven by."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, ParamSpec

import click

from shortener.cli import ask

P = ParamSpec("P")
_SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[str]):
    """A time for the server to read, or a span from now, such as 30d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        match = re.fullmatch(r"([0-9]{1,6})([mhdw])", value)
        if match is None:
            return str(value)
        try:
            at = datetime.now(UTC) + timedelta(**{_SPANS[match[2]]: int(match[1])})
        except OverflowError:
            self.fail(f"{value} is too long a span", param, ctx)
        return at.isoformat(timespec="seconds").replace("+00:00", "Z")


class Field(NamedTuple):
    """A settable field of a link, and its option."""

    name: str
    flags: tuple[str, ...]
    kind: Any
    help: str
    changes: bool = True  # may be changed later
    clears: bool = True  # may be cleared


STATUSES = click.Choice(["301", "302", "307", "308"])
FIELDS = (
    Field("url", ("--url",), str, "Where it leads.", clears=False),
    Field("code", ("--code",), str, "Custom alias.", changes=False),
    Field(
        "code_length",
        ("--code-length",),
        click.IntRange(5, 32),
        "Least length of a made code; from 8 on nobody can guess it.",
        changes=False,
    ),
    Field("title", ("--title",), str, "Title, for people who look after the link."),
    Field("tags", ("--tag",), [str], "Tag; may be repeated."),
    Field(
        "starts_at", ("--starts",), Moment(), "When it begins: RFC 3339, or 2h, 3d, 1w from now."
    ),
    Field(
        "expires_at", ("--expires",), Moment(), "When it ends: RFC 3339, or 2h, 3d, 1w from now."
    ),
    Field("expired_url", ("--expired-url",), str, "Where it leads when it has ended."),
    Field("max_clicks", ("--max-clicks",), click.IntRange(1), "At most so many redirects."),
    Field("password", ("--password",), str, "Password that visitors need; - asks for it."),
    Field("redirect_status", ("--redirect-status",), STATUSES, "Status of the redirect."),
    Field(
        "forward_query",
        ("--forward-query/--no-forward-query",),
        bool,
        "Pass the visitor's query on.",
    ),
    Field(
        "find_existing",
        ("--find-existing",),
        bool,
        "Answer an equal link if there is one.",
        changes=False,
    ),
)
CLEARABLE = tuple(field.name for field in FIELDS if field.changes and field.clears)
Command = Callable[P, None]


def options(fields: tuple[Field, ...]) -> Callable[[Command[P]], Command[P]]:
    """Give a command an option for each field."""

    def decorate(command: Command[P]) -> Command[P]:
        for field in reversed(fields):
            command = _option(field)(command)
        return command

    return decorate


def _option(field: Field) -> Callable[[Command[P]], Command[P]]:
    if field.kind is bool:
        return click.option(*field.flags, field.name, is_flag=True, default=None, help=field.help)
    if isinstance(field.kind, list):
        return click.option(*field.flags, field.name, metavar="T", multiple=True, help=field.help)
    metavar = {"url": "URL", "expired_url": "URL", "code": "C", "title": "T"}.get(field.name)
    return click.option(*field.flags, field.name, type=field.kind, metavar=metavar, help=field.help)


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that options were given for, as the API takes them."""
    body = {
        field.name: values[field.name]
        for field in FIELDS
        if values.get(field.name) not in (None, ())
    }
    if "redirect_status" in body:
        body["redirect_status"] = int(body["redirect_status"])
    if "password" in body:
        body["password"] = ask.secret(body["password"], "Password")
    return body
