"""The OpenAPI document says what the server does: calls are made of it, answers held to it."""

import os
import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from flask import Flask
from openapi_spec_validator import validate

from shortener.app import create_app
from shortener.config import Settings
from shortener.web import docs
from tests.harness import Server, environment
from tests.openapi import JSON, PROBLEM, Document, braced, parts

NewServer = Callable[..., Server]
Change = Callable[[Server], dict[str, Any]]

OPERATIONS = {  # by name, the replies that each is made to give here
    "create_link": (201, 200),
    "create_links": (200,),
    "list_links": (200,),
    "read_link": (200,),
    "change_link": (200,),
    "delete_link": (204,),
    "link_qr": (200, 304),
    "link_stats": (200, 304),
    "site_stats": (200, 304),
    "listen": (200,),
    "list_tags": (200,),
    "rename_tag": (200,),
    "remove_tag": (204,),
    "export": (200,),
    "bring_in": (200,),
    "list_keys": (200,),
    "create_key": (201,),
    "revoke_key": (204,),
    "openapi": (200, 304),
}
GUARDED = [name for name in OPERATIONS if name != "openapi"]
SCOPES = ("links:read", "links:write", "stats:read", "admin")
IMPLIED = {"admin": set(SCOPES), "links:write": {"links:write", "links:read"}}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the examples: its domain is theirs."""
    made = Server(
        tmp_path_factory.mktemp("openapi") / "data", BASE_URL="https://arab.news", WORKERS="1"
    )
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def document(own: Server) -> Document:
    """The document as anybody gets it."""
    answer = own.http.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    return Document(answer.json())


def see_to(server: Server) -> str:
    """That the link and the tag of the examples are there; the id of a key that may go."""
    for tag in ("press", "news"):
        server.api("DELETE", f"/tags/{tag}")
    server.api("DELETE", "/links/wdf98")
    server.make_link("https://www.arabnews.com/node/1/saudi", code="wdf98", tags=["news"])
    return str(new_key(server, ["links:read"])["id"])


def new_key(server: Server, scopes: list[str]) -> dict[str, Any]:
    """A key with these scopes."""
    made: dict[str, Any] = server.api(
        "POST", "/keys", json={"name": "test", "scopes": scopes}
    ).json()
    return made


def sent(server: Server, name: str, request: httpx.Request) -> httpx.Response:
    """The answer; of the stream, which has no end, its beginning."""
    answer = server.http.send(request, stream=name == "listen")
    if name == "listen" and answer.status_code == 200:
        next(answer.iter_lines())
        answer.close()
    elif name == "listen":
        answer.read()
    return answer


def call(server: Server, document: Document, name: str, **other: Any) -> httpx.Response:
    """Make a call of the document's examples, with a key that has just the scopes it needs."""
    operation = document.operations[name]
    key = other.pop("key", None) or (
        new_key(server, operation.scopes)["key"] if operation.scopes else ""
    )
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    headers |= other.pop("headers", {})
    request = document.request(name, server.address, headers=headers, **other)
    answer = sent(server, name, request)
    document.check(name, answer)
    return answer


def recent(document: Document, name: str) -> dict[str, Any]:
    """The query of the examples, in days of which statistics are kept."""
    query = document.operations[name].examples("query")
    now = datetime.now(UTC)
    days = {"from": f"{now - timedelta(days=20):%Y-%m-%d}", "to": f"{now:%Y-%m-%d}"}
    return query | {key: value for key, value in days.items() if key in query}


def test_the_document_is_valid(document: Document) -> None:
    """As OpenAPI 3.1 wants it, references and examples of path parameters included."""
    assert document.source["openapi"].startswith("3.1.")
    validate(document.source)


def test_nobody_needs_a_key_to_read_it(own: Server) -> None:
    """Who has it already is told so by its `ETag`."""
    first = own.http.get("/api/v1/openapi.json")
    assert (first.headers["content-type"], first.headers["cache-control"]) == (
        JSON,
        "public, no-cache",
    )
    again = own.http.get("/api/v1/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_every_route_of_the_api_is_in_it_and_no_other(document: Document, tmp_path: Any) -> None:
    """Methods and paths are those of the URL map, both ways."""
    settings = environment(DATA_DIR=str(tmp_path), REDIS_URL=f"unix://{tmp_path}/none")
    routes = {
        (method, braced(rule.rule))
        for rule in create_app(Settings.load(settings)).url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(one.method, braced(one.path)) for one in document.operations.values()}
    assert described == routes


def test_a_route_that_nobody_described_stops_the_start() -> None:
    """It cannot be forgotten: the error names it."""
    app = Flask("bare")
    app.add_url_rule("/api/v1/secret", "secret", lambda: "")
    with pytest.raises(TypeError, match="secret is not described"):
        app.register_blueprint(docs.blueprint(app, "https://arab.news"))


def test_the_tests_here_know_every_operation(document: Document) -> None:
    """And every answer of theirs that is no problem."""
    described = {
        name: tuple(sorted(int(s) for s in one.described["responses"] if int(s) < 400))
        for name, one in document.operations.items()
    }
    assert described == {name: tuple(sorted(replies)) for name, replies in OPERATIONS.items()}


def test_everything_in_it_is_said_in_words(document: Document) -> None:
    """Operations, parameters, headers, answers, types, and their fields."""
    for operation in document.operations.values():
        assert operation.described["summary"], operation.name
        for one in operation.described.get("parameters", ()):
            assert one["description"], one
        for response in operation.described["responses"].values():
            assert document.resolved(response)["description"]
    for name, schema in document.source["components"]["schemas"].items():
        assert schema["description"], name
        for field, part in schema["properties"].items():
            told = part.get("description") or "$ref" in str(part) or field == "type"
            assert told, f"{name}.{field}"


def test_every_type_is_named_and_every_name_used(document: Document) -> None:
    """No reference leads nowhere, and nothing is defined for nobody."""
    components = document.source["components"]
    used = {part["$ref"] for part in parts(document.source) if isinstance(part.get("$ref"), str)}
    defined = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses")
        for name in components[kind]
    }
    assert used == defined


@pytest.mark.parametrize("name", OPERATIONS)
def test_examples_are_what_they_are_examples_of(document: Document, name: str) -> None:
    """Of bodies, parameters, headers and answers."""
    operation = document.operations[name]
    if operation.body is not None:
        schema = operation.described["requestBody"]["content"][JSON]["schema"]
        assert document.faults(schema, operation.body) == []
    for one in operation.described.get("parameters", ()):
        if "example" in one:
            assert document.faults(one["schema"], one["example"]) == [], one["name"]
    for response in map(document.resolved, operation.described["responses"].values()):
        for header in response.get("headers", {}).values():
            assert document.faults(header["schema"], header["example"]) == []
        for content in response.get("content", {}).values():
            examples = [each["value"] for each in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            for example in examples:
                assert document.faults(content["schema"], example) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_answers_as_described(own: Server, document: Document, name: str) -> None:
    """Every example of a request is accepted, and the answer is of the type that is described."""
    identity = see_to(own)
    other: dict[str, Any] = {"path": {"id": identity}, "query": recent(document, name)}
    if name == "create_link":
        own.api("DELETE", "/links/wdf98")
        other["headers"] = {"Idempotency-Key": os.urandom(8).hex()}
        other["key"] = new_key(own, ["links:write"])["key"]
    first = call(own, document, name, **other)
    statuses = [first.status_code]
    if name == "create_link":
        statuses.append(call(own, document, name, **other).status_code)
    if 304 in OPERATIONS[name]:
        known = {"If-None-Match": first.headers["etag"]}
        statuses.append(call(own, document, name, headers=known, **other).status_code)
    assert statuses == list(OPERATIONS[name])


def test_the_examples_of_a_link_are_what_comes(own: Server, document: Document) -> None:
    """The example of the request leads to that of the answer, but for times and the key's id."""
    see_to(own)
    own.api("DELETE", "/links/wdf98")
    made = call(own, document, "create_link").json()
    responses = document.operations["create_link"].described["responses"]
    example = responses["201"]["content"][JSON]["example"]
    always_new = {"created_at", "updated_at", "created_by"}
    assert {key: value for key, value in made.items() if key not in always_new} == {
        key: value for key, value in example.items() if key not in always_new
    }


@pytest.mark.parametrize("name", GUARDED)
@pytest.mark.parametrize("header", [{}, {"X-Api-Key": "sk_nobody"}], ids=["no key", "a wrong key"])
def test_without_a_key_it_is_401(
    own: Server, document: Document, name: str, header: dict[str, str]
) -> None:
    """As described, with the way to send one."""
    request = document.request(name, own.address, headers=header)
    answer = own.http.send(request)
    document.check(name, answer)
    assert answer.status_code == 401


@pytest.mark.parametrize("name", GUARDED)
def test_the_scopes_are_the_ones_it_needs(own: Server, document: Document, name: str) -> None:
    """A key with none but the others gets 403; each of several is needed."""
    needed = set(document.operations[name].scopes)
    for lacking in needed:
        others = [s for s in SCOPES if lacking not in IMPLIED.get(s, {s})]
        answer = call(own, document, name, key=new_key(own, others)["key"])
        assert (answer.status_code, answer.json()["type"]) == (403, "/-/errors#forbidden")


MISSING = [
    *("read_link", "change_link", "delete_link", "link_qr", "link_stats"),
    *("rename_tag", "remove_tag", "revoke_key"),
]


@pytest.mark.parametrize("name", MISSING)
def test_what_is_not_there_is_404(own: Server, document: Document, name: str) -> None:
    """As described, and those that have no 404 in the document name nothing in their path."""
    nothing = {one["name"]: "nothere" for one in document.operations[name].parameters("path")}
    answer = call(own, document, name, path=nothing, query=recent(document, name))
    assert answer.status_code == 404
    assert {n for n, one in document.operations.items() if "404" in one.described["responses"]} == {
        *MISSING
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_unknown_parameter_is_422(own: Server, document: Document, name: str) -> None:
    """The parameters that are described are known, and no others."""
    see_to(own)
    answer = call(own, document, name, query={"unknown": "1"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "unknown", "message": "is not a known parameter"}]
    for one in document.operations[name].parameters("query"):
        found = call(own, document, name, query={one["name"]: ""})
        assert "is not a known parameter" not in found.text, one["name"]


WITH_BODY = ["create_link", "create_links", "change_link", "rename_tag", "bring_in", "create_key"]


def fields(document: Document, name: str) -> dict[str, Any]:
    """What the body of a call may have."""
    content = document.operations[name].described["requestBody"]["content"]
    found: dict[str, Any] = document.resolved(content[JSON]["schema"])
    return found


@pytest.mark.parametrize("name", WITH_BODY)
def test_a_wrong_body_is_422(own: Server, document: Document, name: str) -> None:
    """No JSON, an unknown field, a needed one that is missing, and each of a wrong type."""
    see_to(own)
    key = new_key(own, document.operations[name].scopes)["key"]
    body, schema = document.operations[name].body, fields(document, name)
    answers = [
        call(own, document, name, key=key, content=b"{"),
        call(own, document, name, key=key, json=body | {"unknown": 1}),
    ]
    for field in schema.get("required", ()):
        less = {other: value for other, value in body.items() if other != field}
        answers.append(call(own, document, name, key=key, json=less))
        assert answers[-1].json()["errors"] == [{"field": field, "message": "is required"}]
    for field in schema["properties"]:
        answers.append(call(own, document, name, key=key, json=body | {field: {"x": 1}}))
        (error,) = answers[-1].json()["errors"][:1]
        assert error["message"] != "is not a known field", field
    assert {answer.status_code for answer in answers} == {422}


@pytest.mark.parametrize("name", WITH_BODY)
def test_the_bounds_of_a_body_are_those_that_hold(
    own: Server, document: Document, name: str
) -> None:
    """What is one beyond a bound of a field is refused with its name; numbers at it are not."""
    see_to(own)
    key = new_key(own, document.operations[name].scopes)["key"]
    body = document.operations[name].body
    for field, schema in fields(document, name)["properties"].items():
        for wrong in beyond(schema, field):
            answer = call(own, document, name, key=key, json=body | {field: wrong})
            assert answer.status_code == 422, (field, wrong)
            assert answer.json()["errors"][0]["field"].startswith(field), (field, answer.text)


def beyond(schema: dict[str, Any], field: str) -> Iterator[Any]:
    """Values that a schema refuses, each by one bound."""
    if "maxLength" in schema:
        start = "https://example.com/" if schema.get("format") == "uri" else ""
        yield start + "x" * (schema["maxLength"] + 1 - len(start))
    if schema.get("minLength"):
        yield ""
    if "maximum" in schema:
        yield schema["maximum"] + 1
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "enum" in schema:
        yield 999
    if "maxItems" in schema:
        yield [f"{number}" for number in range(schema["maxItems"] + 1)]
    if schema.get("minItems"):
        yield []
    if "items" in schema:
        for item in beyond(schema["items"], field):
            yield [item]


AT_THE_BOUND: dict[str, Any] = {
    "url": lambda n: "https://example.com/" + "x" * (n - 20),
    "expired_url": lambda n: "https://example.com/" + "x" * (n - 20),
}


@pytest.mark.parametrize("name", ["create_link", "change_link", "create_key"])
def test_what_is_at_a_bound_is_accepted(own: Server, document: Document, name: str) -> None:
    """The longest text, the most items, the least and the greatest number, each value listed."""
    see_to(own)
    key = new_key(own, document.operations[name].scopes)["key"]
    body = {n: v for n, v in document.operations[name].body.items() if n != "code"}
    for field, schema in fields(document, name)["properties"].items():
        for right in within(schema, field):
            answer = call(own, document, name, key=key, json=body | {field: right})
            assert answer.status_code < 300, (field, right, answer.text)
            own.api("DELETE", f"/links/{'x' * 64}")


def within(schema: dict[str, Any], field: str) -> Iterator[Any]:
    """Values that a schema just allows."""
    if "maxLength" in schema:
        make = AT_THE_BOUND.get(field, lambda length: "x" * length)
        yield make(schema["maxLength"])
    yield from (schema[bound] for bound in ("minimum", "maximum") if bound in schema)
    yield from schema.get("enum", ())
    if "maxItems" in schema:
        longest = schema["items"]["maxLength"]
        yield [f"{number}".rjust(longest, "x") for number in range(schema["maxItems"])]
    if "null" in schema.get("type", ()):
        yield None


@pytest.mark.parametrize("name", ["list_links", "link_qr", "link_stats", "site_stats", "export"])
def test_the_bounds_of_parameters_are_those_that_hold(
    own: Server, document: Document, name: str
) -> None:
    """One beyond is 422 with the parameter's name; at the bound it is 200, as is every value
    listed, and what is said to be the default."""
    see_to(own)
    key = new_key(own, document.operations[name].scopes)["key"]
    for one in document.operations[name].parameters("query"):
        schema = one["schema"].get("items", one["schema"])
        for wrong in beyond(schema, one["name"]):
            answer = call(own, document, name, key=key, query={one["name"]: wrong})
            assert answer.status_code == 422, (one["name"], wrong)
            assert answer.json()["errors"][0]["field"] == one["name"]
        for right in [*within(schema, one["name"]), schema.get("default")]:
            if right is not None:
                answer = call(own, document, name, key=key, query={one["name"]: right})
                assert answer.status_code == 200, (one["name"], right, answer.text)


OTHER_PROBLEMS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "a code that is taken": ("create_link", 409, {}),
    "a tag that is taken": ("rename_tag", 409, {"path": {"tag": "other"}, "json": {"tag": "news"}}),
    "a link that was changed": ("change_link", 412, {"headers": {"If-Match": '"other"'}}),
    "a body that is too large": ("create_link", 413, {"content": b" " * (1 << 20) + b" "}),
    "an empty Idempotency-Key": ("create_links", 422, {"headers": {"Idempotency-Key": ""}}),
}


@pytest.mark.parametrize(("name", "status", "other"), OTHER_PROBLEMS.values(), ids=OTHER_PROBLEMS)
def test_other_problems_are_as_described(
    own: Server, document: Document, name: str, status: int, other: dict[str, Any]
) -> None:
    """409, 412, 413 and what is wrong with a header."""
    see_to(own)
    own.api("DELETE", "/links/other")
    own.make_link(code="other", tags=["other"])
    assert call(own, document, name, **dict(other)).status_code == status


@pytest.mark.parametrize("name", ["create_link", "create_links"])
def test_a_limit_that_is_reached_is_as_described(
    new_server: NewServer, document: Document, name: str
) -> None:
    """429 with the headers of the limit, which the answers before have, too."""
    server = new_server(BASE_URL="https://arab.news", RATE_LIMIT="1/hour", WORKERS="1").start()
    key = new_key(server, ["links:write"])["key"]
    first, second = (call(server, document, name, key=key) for _ in range(2))
    assert (first.status_code < 300, second.status_code) == (True, 429)
    for answer in (first, second):
        assert {"ratelimit", "ratelimit-policy"} <= set(answer.headers)


class Calls(HTMLParser):
    """The requests that the page shows, by the operation they are of."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: dict[str, str] = {}
        self._operation, self._inside = "", False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "details":
            self._operation = given["id"] or ""
        if tag == "pre":
            self._inside = given.get("class") == "call"

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[self._operation] = self.found.get(self._operation, "") + data


def test_the_page_shows_a_call_of_every_operation_that_works(
    own: Server, document: Document
) -> None:
    """As it is pasted into a shell, with this server's address."""
    calls = Calls(own.http.get("/-/docs").text).found
    assert set(calls) == set(document.operations)
    for name, text in calls.items():
        identity = see_to(own)
        if name == "create_link":
            own.api("DELETE", "/links/wdf98")
        command = text.replace("\\\n", " ").replace("95ec671c2864", identity)
        words = iter(shlex.split(command.replace("$KEY", own.key)))
        assert next(words) == "curl"
        options, addresses = {}, []
        for word in words:
            if word.startswith("-"):
                options[word] = next(words)
            else:
                addresses.append(word)
        (address,) = addresses
        assert address.startswith("https://arab.news/")
        header = options.get("-H", "x: x").partition(": ")
        body = options.get("-d")
        request = own.http.build_request(
            options.get("-X", "GET" if body is None else "POST"),
            address.removeprefix("https://arab.news"),
            headers={header[0]: header[2]},
            content=None if body is None else body.encode(),
        )
        answer = sent(own, name, request)
        document.check(name, answer)
        assert answer.status_code < 300, (name, answer.text)


def test_the_page_names_every_type_and_leads_to_it(own: Server, document: Document) -> None:
    """Each link within the page has its place there, and each type and operation has one."""
    text = own.http.get("/-/docs").text
    places: set[str] = set()
    wanted: set[str] = set()

    class Places(HTMLParser):
        def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if name == "id":
                    assert value not in places, value
                    places.add(value or "")
                if name == "href" and (value or "").startswith("#"):
                    wanted.add((value or "")[1:])

    Places().feed(text)
    assert wanted <= places
    assert {*document.operations, *document.source["components"]["schemas"]} <= places


def test_problems_are_told_by_their_types(document: Document) -> None:
    """In each answer that is a problem the schema names the types it can have."""
    for operation in document.operations.values():
        for status, part in operation.described["responses"].items():
            if int(status) >= 400:
                content = document.resolved(part)["content"][PROBLEM]
                types = content["schema"]["properties"]["type"]["enum"]
                assert [e["value"]["type"] for e in content["examples"].values()] == types
                assert {e["value"]["status"] for e in content["examples"].values()} == {int(status)}
