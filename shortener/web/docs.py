"""`/api/v1/openapi.json` and the page that is made of it, `/-/docs`.

Both are the same for everybody and need no key: whoever writes a client reads them first.  They are
made when they are first asked for, and asked for again with an `ETag` they are not sent again.
"""

import functools
import json
import re
import shlex
from typing import Any, cast
from urllib.parse import urlencode

import msgspec
from flask import Blueprint, Flask, Response, render_template, request
from markupsafe import Markup, escape

from shortener.web.api.described import Reply, described
from shortener.web.api.parameters import ETAG, IF_NONE_MATCH
from shortener.web.document import JSON, Json, document, operations

IN_EXAMPLES = 2  # parameters of a query that an example has


def blueprint(app: Flask, base_url: str) -> Blueprint:
    """Document all of `app` that is described, when it is complete.

    Raises `TypeError` for a view of the API that is not.
    """
    views = Blueprint("docs", __name__)

    @views.get("/api/v1/openapi.json")
    @described(
        Reply(200, "This document.", dict[str, Any], headers=(ETAG,)),
        Reply(304, "It is the same still.", headers=(ETAG,)),
        headers=(IF_NONE_MATCH,),
    )
    def openapi() -> Response:
        """Read this description, as OpenAPI 3.1.

        No key is needed.
        """
        return _kept(Response(encoded(), mimetype=JSON))

    @views.get("/-/docs")
    def docs() -> Response:
        return _kept(Response(render_template("docs.html", document=made(), base_url=base_url)))

    @functools.cache
    def made() -> Json:
        return document(operations(app))

    @functools.cache
    def encoded() -> bytes:
        return msgspec.json.encode(made())

    @views.record_once
    def check(_: object) -> None:
        operations(app)

    app.jinja_env.filters.update(prose=prose, slug=slug, kind=kind, bounds=bounds, pretty=pretty)
    app.jinja_env.globals.update(curl=curl, resolve=resolve)
    return views


def _kept(response: Response) -> Response:
    response.headers["Cache-Control"] = "public, no-cache"
    response.add_etag()
    return cast("Response", response.make_conditional(request))


def prose(text: str) -> Markup:
    """Text with what is in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def slug(title: str) -> str:
    """A title as the place of its section."""
    return title.lower().replace(" ", "-")


def pretty(value: object) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def resolve(document: Json, part: Json) -> Json:
    """A part of the document, or what it refers to."""
    found = document
    if "$ref" not in part:
        return part
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def kind(schema: Json) -> Markup:
    """What type a value is of, types of ours as links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    for name in ("anyOf", "oneOf"):
        if any("$ref" in each or "type" in each for each in schema.get(name, ())):
            return Markup(" or ").join(kind(each) for each in schema[name])
    if "enum" in schema:
        values = (Markup("<code>{}</code>").format(_shown(value)) for value in schema["enum"])
        return Markup(" or ").join(values)
    types = schema.get("type", "any")
    types = [types] if isinstance(types, str) else types
    return Markup(" or ").join(_named(name, schema) for name in types)


def _named(name: str, schema: Json) -> Markup:
    if name == "null":
        return escape(name)
    if name == "array" and "prefixItems" in schema:
        parts = Markup(", ").join(kind(item) for item in schema["prefixItems"])
        return Markup("list of {}").format(parts)
    if name == "array" and "items" in schema:
        return Markup("list of {}").format(kind(schema["items"]))
    if name == "object" and isinstance(schema.get("additionalProperties"), dict):
        return Markup("object of {}").format(kind(schema["additionalProperties"]))
    formats = {"date-time": "time", "uri": "URL", "uri-reference": "URL", "password": "password"}
    if name == "string" and "anyOf" in schema:
        return Markup("date or time")
    return escape(formats.get(schema.get("format", ""), name))


def bounds(schema: Json) -> str:
    """What a value may be within its type, in words."""
    found = []
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        found.append(f"{low:,} to {high:,}")
    elif low:
        found.append(f"at least {low:,}")
    for least, most, unit in (
        ("minLength", "maxLength", "characters"),
        ("minItems", "maxItems", "items"),
    ):
        if most in schema:
            start = f"{schema[least]:,} to " if least in schema else "at most "
            found.append(f"{start}{schema[most]:,} {unit}")
    if schema.get("default") is not None:
        found.append(f"{_shown(schema['default'])} when left out")
    if schema.get("items") and (each := bounds(schema["items"])):
        found.append(f"each {each}")
    return ", ".join(found)


def _shown(value: object) -> str:
    """A value as it is written in a query."""
    return value if isinstance(value, str) else json.dumps(value)


def curl(method: str, path: str, operation: Json, base_url: str) -> str:
    """A call of an operation that can be pasted into a shell."""
    query: list[tuple[str, object]] = []
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(one["example"]))
        elif one["in"] == "query" and "example" in one and len(query) < IN_EXAMPLES:
            query.append((one["name"], one["example"]))
    address = f"{base_url}{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
    words = ["curl", shlex.quote(address)]
    if method in ("PATCH", "DELETE"):
        words[1:1] = ["-X", method]
    if operation["security"]:
        words += ["\\\n ", '-H "Authorization: Bearer $KEY"']
    if "requestBody" in operation:
        example = operation["requestBody"]["content"][JSON]["example"]
        words += ["\\\n ", "-d", shlex.quote(json.dumps(example, ensure_ascii=False))]
    content = operation["responses"].get("200", {}).get("content", {})
    if any(media.startswith("image/") for media in content):
        words += ["\\\n ", "-o", "code.png"]
    return " ".join(words)
