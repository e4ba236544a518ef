"""A client made of the OpenAPI document alone: it makes the calls, and looks at the answers."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import httpx
from jsonschema import Draft202012Validator, FormatChecker

Json = dict[str, Any]

JSON, PROBLEM = "application/json", "application/problem+json"
MAY_BE_MISSING = {"ratelimit", "ratelimit-policy"}  # admin keys have no limit
TELLING = {"etag", "location", "retry-after", "www-authenticate", *MAY_BE_MISSING}

formats = FormatChecker(formats=())


@formats.checks("date-time", raises=ValueError)
def is_time(value: object) -> bool:
    """RFC 3339 with an offset."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class Operation(NamedTuple):
    """One call that the document describes."""

    name: str
    method: str
    path: str
    described: Json

    @property
    def scopes(self) -> list[str]:
        return [scope for way in self.described["security"][:1] for scope in way["bearer"]]

    @property
    def body(self) -> Any:
        """The example of what is to be sent."""
        if "requestBody" not in self.described:
            return None
        return self.described["requestBody"]["content"][JSON]["example"]

    def parameters(self, place: str) -> list[Json]:
        return [one for one in self.described.get("parameters", ()) if one["in"] == place]

    def examples(self, place: str) -> Json:
        return {one["name"]: one["example"] for one in self.parameters(place) if "example" in one}


class Document:
    """What the document says."""

    def __init__(self, source: Json) -> None:
        self.source = source
        self.operations = {
            described["operationId"]: Operation(
                described["operationId"], method.upper(), path, described
            )
            for path, methods in source["paths"].items()
            for method, described in methods.items()
        }

    def request(self, name: str, address: str, **other: Any) -> httpx.Request:
        """A call with the document's examples; `other` takes their place, by `path`, `query`,
        `headers`, `json`."""
        operation = self.operations[name]
        path = operation.path
        values = operation.examples("path") | other.pop("path", {})
        for one in operation.parameters("path"):
            path = path.replace(f"{{{one['name']}}}", str(values[one["name"]]))
        query = other.pop("query", operation.examples("query"))
        if operation.body is not None and "content" not in other:
            other.setdefault("json", operation.body)
        return httpx.Request(operation.method, f"{address}{path}", params=query, **other)

    def resolved(self, part: Json) -> Json:
        """A part, or what it refers to."""
        found: Any = self.source
        for name in part["$ref"].removeprefix("#/").split("/") if "$ref" in part else ():
            found = found[name]
        return found if "$ref" in part else part

    def faults(self, schema: Json, value: object) -> list[str]:
        """What is wrong with a value; fields that are not described are, too."""
        whole = {"components": strict(self.source["components"]), **strict(schema)}
        found = Draft202012Validator(whole, format_checker=formats).iter_errors(value)
        return [f"{error.json_path}: {error.message}" for error in found]

    def check(self, name: str, answer: httpx.Response) -> None:
        """The answer is one that the document describes: status, type, headers, body."""
        responses = self.operations[name].described["responses"]
        assert str(answer.status_code) in responses, (name, answer.status_code, answer.text)
        response = self.resolved(responses[str(answer.status_code)])
        sent = TELLING & set(answer.headers)
        described = {header.lower() for header in response.get("headers", {})}
        assert sent <= described, (name, answer.status_code, sent)
        assert described - sent <= MAY_BE_MISSING, (name, answer.status_code, described - sent)
        if "content" not in response:
            assert answer.content == b""
            return
        media = answer.headers["content-type"].partition(";")[0]
        assert media in response["content"], (name, media)
        if media in (JSON, PROBLEM):
            schema = response["content"][media]["schema"]
            assert self.faults(schema, answer.json()) == [], (name, answer.text)


def strict(schema: Any) -> Any:
    """The same, of objects that have no further fields."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(value) for name, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        found.setdefault("additionalProperties", False)
    return found


def parts(schema: Any) -> Iterator[Json]:
    """Every object of a document, from the outside in."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from parts(value)


def braced(rule: str) -> str:
    """A rule of the URL map without what its parameters are called."""
    return re.sub(r"<[^>]+>|\{[^}]+\}", "{}", rule)
