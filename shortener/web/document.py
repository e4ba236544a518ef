"""The OpenAPI document: every operation that is described at its view, and the types it names.

Nothing is written twice: paths and methods are those of the URL map, words those of docstrings,
schemas those of the types that are read and sent.  A view of the API that nobody described stops
the start.
"""

import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from flask import Flask

from shortener import __version__
from shortener.errors import Invalid, Problem
from shortener.web.api.described import Description, Reply, description_of
from shortener.web.api.kinds import REFERENCE
from shortener.web.api.parameters import CHALLENGE, PATH, RATE_LIMIT, RETRY_AFTER, Parameter
from shortener.web.shape import ProblemBody, problem_body, type_of

LIMITED = ".limited"  # ends the name of an answer that tells how a limit stands
JSON, PROBLEM = "application/json", "application/problem+json"
TITLES = {  # of modules whose names do not say it to people
    "qr": "QR codes",
    "stats": "Statistics",
    "live": "Live events",
    "transfer": "Export and import",
    "docs": "This description",
}
METHODS = ("GET", "POST", "PATCH", "DELETE")
ABOUT = (
    "Times are RFC 3339, answered in UTC; any offset is accepted, and one is needed. Bodies are "
    "JSON in UTF-8. Unknown and repeated fields and parameters are refused. In an answer every "
    "field is there, null when it is unset, but the few that are marked as not required."
)
SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key: `Authorization: Bearer sk_…`.",
    },
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "The same key in a header of its own.",
    },
}

Json = dict[str, Any]


class Operation(NamedTuple):
    """A method of a path, and the view that answers it."""

    method: str
    path: str  # with its parameters in braces
    parameters: tuple[Parameter, ...]  # those in the path
    view: Callable[..., Any]
    description: Description


def operations(app: Flask) -> list[Operation]:
    """Those that are described, in the order they were registered.

    Raises `TypeError` for one of the API that is not.
    """
    found = []
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        description = description_of(view)
        if description is None:
            if rule.rule.startswith("/api/"):
                raise TypeError(f"{rule.endpoint} is not described")
            continue
        names = re.findall(r"<(?:\w+:)?(\w+)>", rule.rule)
        path = rule.rule
        for name in names:
            path = re.sub(rf"<(?:\w+:)?{name}>", f"{{{PATH[name].name}}}", path)
        parameters = tuple(PATH[name] for name in names)
        found += [
            Operation(method, path, parameters, view, description)
            for method in METHODS
            if method in (rule.methods or ())
        ]
    return found


def document(found: Iterable[Operation]) -> Json:
    """The OpenAPI document of these operations."""
    found = list(found)
    types: dict[Any, Json] = {}
    for operation in found:
        for kind in _types(operation.description):
            types[kind] = {}
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    types = dict(zip(types, schemas, strict=True))
    problems = {
        name: _problem(kinds, name.endswith(LIMITED))
        for operation in found
        for name, kinds in _problems(operation.description).items()
    }
    paths: defaultdict[str, Json] = defaultdict(dict)
    nouns: dict[str, Json] = {}
    for operation in found:
        paths[operation.path][operation.method.lower()] = _operation(operation, types)
        noun = _noun(operation.view)
        nouns[noun] = {"name": noun, "description": _words(sys.modules[operation.view.__module__])}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "shortener",
            "version": __version__,
            "summary": "Makes short links and counts their clicks.",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The server that this document came from."}],
        "tags": list(nouns.values()),
        "paths": dict(paths),
        "components": {
            "schemas": {name: _tidied(schema) for name, schema in components.items()},
            "responses": problems,
            "securitySchemes": SCHEMES,
        },
    }


def _types(description: Description) -> list[Any]:
    bodies = [description.body, *(reply.body for reply in description.replies)]
    return [kind for kind in (*bodies, *description.parts, ProblemBody) if kind is not None]


def _noun(view: Callable[..., Any]) -> str:
    """What a view is about: its module."""
    name = view.__module__.rpartition(".")[2]
    return TITLES.get(name, name.capitalize())


def _words(of: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(of) or "").partition("\n\n")[0].split())


def _operation(operation: Operation, types: dict[Any, Json]) -> Json:
    description = operation.description
    summary, _, rest = (inspect.getdoc(operation.view) or "").partition("\n\n")
    found: Json = {
        "operationId": operation.view.__name__,
        "tags": [_noun(operation.view)],
        "summary": summary.rstrip("."),
        "description": " ".join(rest.split()),
        "security": [{name: list(description.scopes)} for name in SCHEMES]
        if description.scopes
        else [],
        "parameters": [
            *(_parameter(one, "path") for one in operation.parameters),
            *(_parameter(one, "query") for one in description.query),
            *(_parameter(one, "header") for one in description.headers),
        ],
    }
    if description.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": types[description.body], "example": description.example}},
        }
    found["responses"] = {
        **{str(reply.status): _reply(reply, types) for reply in description.replies},
        **{
            str(kinds[0].status): {"$ref": f"#/components/responses/{name}"}
            for name, kinds in _problems(description).items()
        },
    }
    return {name: value for name, value in found.items() if value or name == "security"}


def _parameter(one: Parameter, place: str) -> Json:
    schema = dict(one.schema)
    if one.is_repeated:
        schema = {"type": "array", "items": schema}
    found: Json = {"name": one.name, "in": place, "description": one.meaning, "schema": schema}
    if place == "path":
        found["required"] = True
    if one.example is not msgspec.UNSET:
        found["example"] = [one.example] if one.is_repeated else one.example
    return found


def _headers(headers: Iterable[Parameter]) -> Json:
    found: Json = {}
    for one in headers:
        found[one.name] = {"description": one.meaning, "schema": dict(one.schema)}
        if one.example is not msgspec.UNSET:
            found[one.name]["example"] = one.example
    return found


def _reply(reply: Reply, types: dict[Any, Json]) -> Json:
    found: Json = {"description": reply.meaning}
    if reply.headers:
        found["headers"] = _headers(reply.headers)
    if reply.body is not None:
        found["content"] = {JSON: {"schema": types[reply.body]}}
        if reply.example is not None:
            found["content"][JSON]["example"] = msgspec.to_builtins(reply.example)
    for media in reply.media:
        is_text = media.startswith("text/")
        found.setdefault("content", {})[media] = {"schema": {"type": "string"}} if is_text else {}
    return found


def _problems(description: Description) -> dict[str, tuple[type[Problem], ...]]:
    """The problems of each status that an operation may answer with, by their name together.

    Those that come after a limit was looked at tell how it stands, and have a name of their own.
    """
    by_status: defaultdict[int, tuple[type[Problem], ...]] = defaultdict(tuple)
    for problem in description.all_problems:
        by_status[problem.status] += (problem,)
    found = {}
    for status, kinds in by_status.items():
        is_limited = description.is_limited and status not in (401, 403)
        name = ".".join(kind.slug for kind in kinds)
        found[name + LIMITED if is_limited else name] = kinds
    return found


def _problem(kinds: tuple[type[Problem], ...], is_limited: bool) -> Json:
    headers: list[Parameter] = []
    if kinds[0].status == 401:
        headers.append(CHALLENGE)
    if any(kind.retry_after is not None for kind in kinds):
        headers.append(RETRY_AFTER)
    if is_limited or kinds[0].status == 429:
        headers += RATE_LIMIT
    types = {"properties": {"type": {"enum": [type_of(kind) for kind in kinds]}}}
    found: Json = {
        "description": " ".join(kind.meaning for kind in kinds),
        "headers": _headers(headers),
        "content": {
            PROBLEM: {
                "schema": {"$ref": REFERENCE.format(name=ProblemBody.__name__), **types},
                "examples": {kind.slug: {"value": _problem_example(kind)} for kind in kinds},
            }
        },
    }
    return {name: value for name, value in found.items() if value}


def _problem_example(kind: type[Problem]) -> object:
    if kind is Invalid:
        return msgspec.to_builtins(problem_body(Invalid.field("limit", "is given twice")))
    return msgspec.to_builtins(problem_body(kind()))


def _tidied(schema: Any) -> Any:
    """A schema that is easier to read: what may be null says so in `type`, docstrings are lines.

    Makers of clients trip over `items: false`, and `maxItems` says as much.
    """
    if isinstance(schema, list):
        return [_tidied(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found: Json = {name: _tidied(value) for name, value in schema.items()}
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].split())
    if found.get("items") is False:
        del found["items"]
    either = found.get("anyOf", ())
    if len(either) == 2 and either[1] == {"type": "null"} and "$ref" not in either[0]:
        kind: Json = either[0]
        if "type" in kind:
            kind["type"] = [kind["type"], "null"]
        if "enum" in kind:
            kind["enum"] = [*kind["enum"], None]
        del found["anyOf"]
        found = kind | found
    return found
