"""API keys: who may do what, and where the secret is."""

import hashlib
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import redis

from shortener import connections
from shortener.embedded import socket_path
from tests.harness import Server, eventually

NewServer = Callable[..., Server]

SCOPES = ["links:read", "links:write", "stats:read", "admin"]


def make_key(server: Server, *scopes: str, **fields: Any) -> dict[str, Any]:
    """A new key, as the API answers it."""
    body = {"name": "test", "scopes": list(scopes) or ["links:read"]} | fields
    answer = server.api("POST", "/keys", json=body)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


def call(server: Server, key: str, method: str = "GET", path: str = "/links") -> httpx.Response:
    """A call with this key, without a body."""
    return server.api(method, path, headers={"Authorization": f"Bearer {key}"})


def text_of(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


CALLS = {  # what is answered when the key suffices: there is no such link or key, and no body
    ("POST", "/links"): ("links:write", 422),
    ("GET", "/links"): ("links:read", 200),
    ("GET", "/links/nothere"): ("links:read", 404),
    ("PATCH", "/links/nothere"): ("links:write", 422),
    ("DELETE", "/links/nothere"): ("links:write", 404),
    ("GET", "/links/nothere/stats"): ("stats:read", 404),
    ("GET", "/stats"): ("stats:read", 200),
    ("GET", "/keys"): ("admin", 200),
    ("POST", "/keys"): ("admin", 422),
    ("DELETE", "/keys/000000000000"): ("admin", 404),
}
IMPLIED = {
    "links:read": {"links:read"},
    "links:write": {"links:write", "links:read"},
    "stats:read": {"stats:read"},
    "admin": set(SCOPES),
}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("method", "path"), CALLS, ids=[" ".join(name) for name in CALLS])
def test_a_scope_opens_what_it_implies(server: Server, scope: str, method: str, path: str) -> None:
    """A key with the scope, or one that implies it, is let through; every other one is 403."""
    needed, status = CALLS[method, path]
    answer = call(server, make_key(server, scope)["key"], method, path)
    if needed in IMPLIED[scope]:
        assert answer.status_code == status, answer.text
    else:
        assert (answer.status_code, answer.json()["type"]) == (403, "/-/errors#forbidden")
        assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(("method", "path"), CALLS, ids=[" ".join(name) for name in CALLS])
def test_every_call_needs_a_key(server: Server, method: str, path: str) -> None:
    """Without one it is 401, whether or not there is such a thing."""
    answer = server.http.request(method, f"/api/v1{path}")
    assert (answer.status_code, answer.json()["type"]) == (401, "/-/errors#unauthorized")


def test_scopes_add_up(server: Server) -> None:
    """A key with two scopes may do what either allows, and nothing more."""
    key = make_key(server, "stats:read", "links:read")["key"]
    answered = [call(server, key, path=path).status_code for path in ("/links", "/stats", "/keys")]
    assert answered == [200, 200, 403]


def test_a_key_without_the_scope_changes_nothing(server: Server) -> None:
    """A DELETE that is 403 deletes nothing."""
    code = server.make_link()["code"]
    key = make_key(server, "links:read", "stats:read")["key"]
    assert call(server, key, "DELETE", f"/links/{code}").status_code == 403
    assert server.api("GET", f"/links/{code}").status_code == 200


def test_a_link_says_which_key_made_it(server: Server) -> None:
    """`created_by` is the id of the key."""
    key = make_key(server, "links:write")
    headers = {"Authorization": f"Bearer {key['key']}"}
    body = {"url": "https://example.com/"}
    assert (
        server.api("POST", "/links", json=body, headers=headers).json()["created_by"] == key["id"]
    )


STRANGERS: dict[str, dict[str, bytes | str]] = {
    "nothing": {},
    "an empty header": {"Authorization": ""},
    "no key behind the scheme": {"Authorization": "Bearer"},
    "an unknown key": {"Authorization": f"Bearer sk_{'a' * 38}"},
    "an unknown key, the other way": {"X-Api-Key": f"sk_{'a' * 38}"},
    "no key of ours": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
    "10 kB": {"Authorization": f"Bearer sk_{'a' * 10_240}"},
    "10 kB, the other way": {"X-Api-Key": "a" * 10_240},
    "bytes beyond ASCII": {"Authorization": b"Bearer sk_\xff\xfe\x80"},
    "bytes beyond ASCII, the other way": {"X-Api-Key": b"\xc3\xbc\xff"},
    "a scheme beyond ASCII": {"Authorization": b"\xc4\xb0 x"},
}


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_is_401(server: Server, headers: dict[str, bytes | str]) -> None:
    """With the scheme to use in `WWW-Authenticate`, as problem+json."""
    sent = [
        (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in headers.items()
    ]
    answer = server.http.get("/api/v1/links", headers=sent)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/-/errors#unauthorized"


SPOILT: dict[str, Callable[[str], dict[str, str]]] = {
    "another scheme": lambda key: {"Authorization": f"Basic {key}"},
    "a scheme of no name": lambda key: {"Authorization": f"Token {key}"},
    "no scheme": lambda key: {"Authorization": key},
    "upper case": lambda key: {"Authorization": f"Bearer {key.upper()}"},
    "without its last character": lambda key: {"Authorization": f"Bearer {key[:-1]}"},
    "with one more": lambda key: {"Authorization": f"Bearer {key}0"},
    "two keys": lambda key: {"Authorization": f"Bearer {key} {key}"},
    "its hash": lambda key: {"Authorization": f"Bearer {hashlib.sha256(key.encode()).hexdigest()}"},
    "in the other header with a scheme": lambda key: {"X-Api-Key": f"Bearer {key}"},
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_key_counts_as_it_is(server: Server, spoil: Callable[[str], dict[str, str]]) -> None:
    """A right key sent in a wrong way is none."""
    key = make_key(server)["key"]
    assert server.http.get("/api/v1/links", headers=spoil(key)).status_code == 401


def test_a_key_in_the_query_is_none(server: Server) -> None:
    """Keys in addresses end up in logs: they open nothing."""
    key = make_key(server)["key"]
    for name in ("key", "api_key", "access_token"):
        assert server.http.get("/api/v1/links", params={name: key}).status_code == 401


WAYS: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda key: {"Authorization": f"Bearer {key}"},
    "bearer in lower case": lambda key: {"authorization": f"bearer {key}"},
    "x-api-key": lambda key: {"X-Api-Key": key},
    "x-api-key in lower case": lambda key: {"x-api-key": key},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_key_can_be_sent_in_two_headers(
    server: Server, way: Callable[[str], dict[str, str]]
) -> None:
    """`Authorization: Bearer`, the scheme in any case, or `X-Api-Key`."""
    key = make_key(server)["key"]
    assert server.http.get("/api/v1/links", headers=way(key)).status_code == 200


def test_the_secret_is_shown_once(server: Server) -> None:
    """Only the answer to POST has it; the list has the same key without it."""
    made = make_key(server, "stats:read", "links:write", "stats:read", name="Näme")
    secret = made.pop("key")
    assert secret.startswith("sk_")
    assert made["name"] == "Näme"
    assert made["scopes"] == ["links:write", "stats:read"]
    assert made["expires_at"] is None
    listed = server.api("GET", "/keys")
    assert [key for key in listed.json()["keys"] if key["id"] == made["id"]] == [made]
    assert secret not in listed.text


def test_keys_differ(server: Server) -> None:
    """Keys of one name are different keys."""
    made = [make_key(server) for _ in range(5)]
    assert len({key["key"] for key in made}) == len({key["id"] for key in made}) == 5


def test_an_expired_key_is_401(server: Server) -> None:
    """A key works until its time, and not after it."""
    at = text_of(datetime.now(UTC) + timedelta(seconds=2))
    made = make_key(server, expires_at=at)
    assert made["expires_at"] == at
    assert call(server, made["key"]).status_code == 200
    status = eventually(lambda: call(server, made["key"]).status_code, lambda found: found == 401)
    assert status == 401
    assert text_of(datetime.now(UTC)) >= at


def test_a_revoked_key_is_401(server: Server) -> None:
    """At once; a second time there is no such key, and other keys still work."""
    made, other = make_key(server), make_key(server)
    assert call(server, made["key"]).status_code == 200
    assert server.api("DELETE", f"/keys/{made['id']}").status_code == 204
    assert call(server, made["key"]).status_code == 401
    assert server.api("DELETE", f"/keys/{made['id']}").status_code == 404
    assert call(server, other["key"]).status_code == 200
    assert made["id"] not in {key["id"] for key in server.api("GET", "/keys").json()["keys"]}


@pytest.mark.parametrize("part", [slice(0, 6), slice(0, 11), slice(0, 0)], ids=str)
def test_a_key_is_revoked_by_its_whole_id(server: Server, part: slice) -> None:
    """The beginning of an id is no id."""
    made = make_key(server)
    answer = server.api("DELETE", f"/keys/{made['id'][part]}")
    assert answer.status_code in (404, 405)
    assert call(server, made["key"]).status_code == 200


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "null for a name": ({"name": None}, "name"),
    "a number for a name": ({"name": 1}, "name"),
    "an empty name": ({"name": ""}, "name"),
    "a name of 129": ({"name": "n" * 129}, "name"),
    "a line break in the name": ({"name": "a\nb"}, "name"),
    "C1 in the name": ({"name": "a\x85"}, "name"),
    "null for scopes": ({"scopes": None}, "scopes"),
    "no scopes": ({"scopes": []}, "scopes"),
    "a text for scopes": ({"scopes": "admin"}, "scopes"),
    "an unknown scope": ({"scopes": ["links:read", "links:delete"]}, "scopes[1]"),
    "a scope in upper case": ({"scopes": ["Admin"]}, "scopes[0]"),
    "an empty scope": ({"scopes": [""]}, "scopes[0]"),
    "a number for a scope": ({"scopes": [1]}, "scopes[0]"),
    "a time without offset": ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
    "a time that is past": ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    "a number for a time": ({"expires_at": 4_070_908_800}, "expires_at"),
    "an unknown field": ({"role": "admin"}, "role"),
    "a secret of one's own": ({"key": f"sk_{'a' * 38}"}, "key"),
}


@pytest.mark.parametrize(("fields", "field"), REFUSED.values(), ids=REFUSED)
def test_a_bad_key_is_not_made(server: Server, fields: dict[str, Any], field: str) -> None:
    """422 with the field named, and there is no further key."""
    before = [key["id"] for key in server.api("GET", "/keys").json()["keys"]]
    body = {"name": "x", "scopes": ["links:read"]} | fields
    answer = server.api("POST", "/keys", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert [key["id"] for key in server.api("GET", "/keys").json()["keys"]] == before


@pytest.mark.parametrize("missing", ["name", "scopes"])
def test_a_key_needs(server: Server, missing: str) -> None:
    """A name and scopes; `expires_at` alone may be left out."""
    body = {"name": "x", "scopes": ["links:read"]}
    del body[missing]
    answer = server.api("POST", "/keys", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [missing]


def test_a_key_that_ends_after_the_last_year_is_refused(new_server: NewServer) -> None:
    """An offset may lead there: 422, and the keys can still be listed."""
    server = new_server().start()
    body = {"name": "x", "scopes": ["admin"], "expires_at": "9999-12-31T23:59:59-12:00"}
    answer = server.api("POST", "/keys", json=body)
    assert server.api("GET", "/keys").status_code == 200
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["expires_at"]


def everything(store: redis.Redis) -> bytes:
    """All names and values of a store."""
    read: dict[bytes, Callable[[bytes], Any]] = {
        b"string": store.get,
        b"hash": store.hgetall,
        b"zset": lambda key: store.zrange(key, 0, -1),
        b"set": store.smembers,
        b"list": lambda key: store.lrange(key, 0, -1),
        b"stream": store.xrange,
    }
    found = {key: read[cast("bytes", store.type(key))](key) for key in store.scan_iter()}
    return repr(found).encode()


def files(directory: Path) -> dict[str, bytes]:
    """All files below a directory."""
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_only_a_hash_of_a_key_is_kept(new_server: NewServer) -> None:
    """After a key was used in every way its secret is in no key or value of the store, in no
    log, no journal and no other file, but for the admin key in the file that is made for it."""
    server = new_server().start()
    made = make_key(server, "admin")["key"]
    assert call(server, made).status_code == 200
    server.http.get("/api/v1/links", headers={"X-Api-Key": made})
    code = server.make_link()["code"]
    server.follow(code, Authorization=f"Bearer {made}", X_Api_Key=made)
    call(server, made, "POST")  # refused
    eventually(lambda: server.clicks(code), lambda clicks: clicks == 1)
    store = connections.sync(f"unix://{socket_path(server.data_dir)}")
    stored = everything(store)
    store.close()
    admin = server.key
    server.stop()
    kept = files(server.data_dir)
    assert kept.pop("admin-key").decode().strip() == admin
    for secret in (made, admin):
        digest = hashlib.sha256(secret.encode()).hexdigest().encode()
        assert digest in stored
        assert any(digest in content for content in kept.values())
        assert secret.encode() not in stored
        assert secret not in server.errors()
        assert [name for name, content in kept.items() if secret.encode() in content] == []


def test_a_key_says_when_it_was_last_used(server: Server) -> None:
    """`last_used_at` is null until the first call, and then the time of a call within a minute."""

    def used(identity: str) -> str | None:
        keys = server.api("GET", "/keys").json()["keys"]
        return next(key["last_used_at"] for key in keys if key["id"] == identity)

    made = make_key(server)
    assert made["last_used_at"] is None
    assert used(made["id"]) is None
    before = text_of(datetime.now(UTC))
    assert call(server, made["key"]).status_code == 200
    found = used(made["id"])
    assert found is not None
    assert before <= found <= text_of(datetime.now(UTC))


def test_a_use_is_written_once_a_minute(new_server: NewServer) -> None:
    """Many calls with one key cost the store one write."""
    server = new_server(WORKERS="1").start()
    made = make_key(server)
    store = connections.sync(f"unix://{socket_path(server.data_dir)}")
    store.config_resetstat()
    for _ in range(20):
        assert call(server, made["key"]).status_code == 200
    writes = store.info("commandstats")["cmdstat_hset"]["calls"]
    store.close()
    assert writes == 1


def test_a_key_that_was_not_made_here_costs_no_look_up(new_server: NewServer) -> None:
    """A mistyped `sk_` key is 401 while Redis is frozen; one that may be right is 503."""
    server = new_server(WORKERS="1").start()
    key = make_key(server)["key"]
    mistyped = key[:-1] + ("a" if key[-1] != "a" else "b")
    server.make_link()
    (redis_server,) = server.pids("valkey")
    os.kill(redis_server, signal.SIGSTOP)
    try:
        assert call(server, mistyped).status_code == 401
        assert call(server, f"sk_{'a' * 200}").status_code == 401
        assert call(server, key).status_code == 503
    finally:
        os.kill(redis_server, signal.SIGCONT)


def test_an_admin_key_of_ones_own_may_look_like_ours(new_server: NewServer) -> None:
    """`ADMIN_KEY` has any form, `sk_` in front or not; others with that form are still none."""
    server = new_server(ADMIN_KEY="sk_a-key-of-my-own").start()
    assert call(server, server.key).status_code == 200
    assert call(server, "sk_a-key-of-my-own2").status_code == 401


def test_a_revoked_key_leaves_nothing(new_server: NewServer) -> None:
    """Neither the key nor its last use is kept."""
    server = new_server(WORKERS="1").start()
    made = make_key(server)
    call(server, made["key"])
    digest = hashlib.sha256(made["key"].encode()).hexdigest().encode()
    store = connections.sync(f"unix://{socket_path(server.data_dir)}")
    assert digest in everything(store)
    assert server.api("DELETE", f"/keys/{made['id']}").status_code == 204
    assert digest not in everything(store)
    store.close()
