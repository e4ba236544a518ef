"""API keys: `/api/v1/keys`, what their scopes allow, and that nobody keeps their secrets."""

import base64
import hashlib
import re
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest

from shortener import connections
from tests.harness import Server, eventually

SCOPES = ("links:read", "links:write", "stats:read", "admin")
ALLOWS = {
    "links:read": {"links:read"},
    "links:write": {"links:read", "links:write"},
    "stats:read": {"stats:read"},
    "admin": set(SCOPES),
}


class Call(NamedTuple):
    """A call that changes nothing; `status` is for a key that has the scope."""

    method: str
    path: str
    scope: str
    status: int

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


CALLS = [
    Call("POST", "/links", "links:write", 422),
    Call("GET", "/links", "links:read", 200),
    Call("GET", "/links/nosuchlink", "links:read", 404),
    Call("DELETE", "/links/nosuchlink", "links:write", 404),
    Call("GET", "/links/nosuchlink/stats", "stats:read", 404),
    Call("GET", "/stats", "stats:read", 200),
    Call("GET", "/keys", "admin", 200),
    Call("POST", "/keys", "admin", 422),
    Call("DELETE", "/keys/nosuchkey", "admin", 404),
]


def make_key(server: Server, *scopes: str, **fields: Any) -> dict[str, Any]:
    body = {"name": "made for a test", "scopes": scopes or ["links:read"]} | fields
    answer = server.api("POST", "/keys", json=body)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


def listed(server: Server) -> dict[str, dict[str, Any]]:
    """The keys that the API lists, by id."""
    return {key["id"]: key for key in server.api("GET", "/keys").json()["keys"]}


def ask(server: Server, secret: str, method: str = "GET", path: str = "/links") -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret}"}
    return server.http.request(method, f"/api/v1{path}", headers=headers)


@pytest.fixture(scope="module")
def secrets(server: Server) -> dict[str, str]:
    """A key for each scope."""
    return {scope: make_key(server, scope)["key"] for scope in SCOPES}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_key_may_do_what_its_scope_allows(
    server: Server, secrets: dict[str, str], call: Call, scope: str
) -> None:
    """403 without the scope, before anything else is looked at; `admin` has every scope."""
    answer = ask(server, secrets[scope], call.method, call.path)
    assert answer.status_code == (call.status if call.scope in ALLOWS[scope] else 403)


def test_several_scopes_add_up(server: Server) -> None:
    """A key may do what any of its scopes allows, and nothing beyond."""
    secret = make_key(server, "links:read", "stats:read")["key"]
    answers = [ask(server, secret, call.method, call.path) for call in CALLS]
    has = {"links:read", "stats:read"}
    assert [a.status_code for a in answers] == [c.status if c.scope in has else 403 for c in CALLS]


def test_a_refusal_names_the_scope_that_is_missing(server: Server, secrets: dict[str, str]) -> None:
    """403 says what to ask the administrator for."""
    answer = ask(server, secrets["links:read"], "POST", "/links")
    assert answer.status_code == 403
    assert "links:write" in answer.json()["detail"]


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_every_call_needs_a_key(server: Server, call: Call) -> None:
    """401 with `WWW-Authenticate` and a problem in JSON."""
    answer = server.http.request(call.method, f"/api/v1{call.path}")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


NOT_A_KEY: dict[str, Callable[[str], list[tuple[str, str | bytes]]]] = {
    "an empty key": lambda key: [("Authorization", "Bearer ")],
    "the scheme alone": lambda key: [("Authorization", "Bearer")],
    "an unknown key": lambda key: [("Authorization", "Bearer sk_" + "0" * 38)],
    "a word": lambda key: [("Authorization", "Bearer admin")],
    "the key without its scheme": lambda key: [("Authorization", key)],
    "another scheme": lambda key: [("Authorization", f"Token {key}")],
    "basic credentials": lambda key: [
        ("Authorization", "Basic " + base64.b64encode(f"admin:{key}".encode()).decode())
    ],
    "a letter less": lambda key: [("Authorization", f"Bearer {key[:-1]}")],
    "a letter more": lambda key: [("Authorization", f"Bearer {key}0")],
    "the key twice": lambda key: [("Authorization", f"Bearer {key} {key}")],
    "two headers": lambda key: [("Authorization", f"Bearer {key}")] * 2,
    "another case": lambda key: [("Authorization", f"Bearer {key.swapcase()}")],
    "its hash": lambda key: [
        ("Authorization", f"Bearer {hashlib.sha256(key.encode()).hexdigest()}")
    ],
    "its id": lambda key: [
        ("Authorization", f"Bearer {hashlib.sha256(key.encode()).hexdigest()[:12]}")
    ],
    "not ASCII": lambda key: [("Authorization", b"Bearer \xd9\x82\xff")],
    "8 kB": lambda key: [("Authorization", "Bearer " + "k" * 8_000)],
    "an unknown X-Api-Key": lambda key: [("X-Api-Key", "sk_unknown")],
    "an empty X-Api-Key": lambda key: [("X-Api-Key", "")],
    "a cookie": lambda key: [("Cookie", f"key={key}")],
}


@pytest.mark.parametrize("headers", NOT_A_KEY.values(), ids=NOT_A_KEY)
def test_what_is_not_a_key_is_401(
    server: Server, headers: Callable[[str], list[tuple[str, str | bytes]]]
) -> None:
    """Whatever stands in for a key: 401, never 403 or 500."""
    sent: Any = [
        (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in headers(server.key)
    ]
    assert server.http.get("/api/v1/keys", headers=sent).status_code == 401


WAYS = {
    "Bearer": ("Authorization", "Bearer {}"),
    "bearer in lower case": ("Authorization", "bearer {}"),
    "X-Api-Key": ("X-Api-Key", "{}"),
}


@pytest.mark.parametrize(("name", "form"), WAYS.values(), ids=WAYS)
def test_a_key_goes_into_either_header(server: Server, name: str, form: str) -> None:
    """`Authorization: Bearer` and `X-Api-Key` do the same."""
    answer = server.http.get("/api/v1/keys", headers={name: form.format(server.key)})
    assert answer.status_code == 200


def test_a_new_key_is_answered_whole(server: Server) -> None:
    """Every field, null when unset, and the secret."""
    answer = server.api("POST", "/keys", json={"name": "CMS — قمة", "scopes": ["stats:read"]})
    key = answer.json()
    assert answer.status_code == 201
    assert set(key) >= {"id", "name", "scopes", "created_at", "expires_at", "key"}
    assert (key["name"], key["scopes"]) == ("CMS — قمة", ["stats:read"])
    assert key["expires_at"] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", key["created_at"])
    assert re.fullmatch("sk_[0-9A-Za-z]{38}", key["key"])


def test_a_scope_given_twice_is_one(server: Server) -> None:
    """Repetitions among the scopes are dropped."""
    assert make_key(server, "links:read", "admin", "links:read")["scopes"] == [
        "links:read",
        "admin",
    ]


def test_keys_with_one_name_are_two(server: Server) -> None:
    """Neither id nor secret repeats."""
    first, second = make_key(server), make_key(server)
    assert first["id"] != second["id"]
    assert first["key"] != second["key"]


def test_a_secret_is_answered_once(server: Server) -> None:
    """The list has what the creation answered, but for the secret."""
    made = make_key(server)
    secret = made.pop("key")
    answer = server.api("GET", "/keys")
    assert listed(server)[made["id"]] == made
    assert secret not in answer.text
    assert hashlib.sha256(secret.encode()).hexdigest() not in answer.text


def test_the_list_has_the_first_admin_key(server: Server) -> None:
    """The key made at the first start is one among the others, without its secret."""
    digest = hashlib.sha256(server.key.encode()).hexdigest()
    answer = server.api("GET", "/keys")
    (first,) = [key for identity, key in listed(server).items() if digest.startswith(identity)]
    assert first["scopes"] == ["admin"]
    assert server.key not in answer.text


def test_a_revoked_key_is_401(server: Server) -> None:
    """204, and from then on the key is unknown, in the list as well."""
    key = make_key(server, "links:read")
    assert ask(server, key["key"]).status_code == 200
    answer = server.api("DELETE", f"/keys/{key['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert ask(server, key["key"]).status_code == 401
    assert key["id"] not in listed(server)


def test_revoking_one_key_leaves_the_others(server: Server) -> None:
    """Keys of the same name and scopes are not the same key."""
    gone, stays = make_key(server), make_key(server)
    server.api("DELETE", f"/keys/{gone['id']}")
    assert ask(server, stays["key"]).status_code == 200


def test_links_outlive_the_key_that_made_them(server: Server) -> None:
    """A revoked key's links redirect, and still tell who made them."""
    key = make_key(server, "links:write")
    headers = {"Authorization": f"Bearer {key['key']}"}
    link = server.http.post(
        "/api/v1/links", json={"url": "https://example.com/"}, headers=headers
    ).json()
    server.api("DELETE", f"/keys/{key['id']}")
    assert server.follow(link["code"]).status_code == 302
    assert server.api("GET", f"/links/{link['code']}").json()["created_by"] == key["id"]


NO_ID: dict[str, Callable[[dict[str, Any]], str]] = {
    "revoked already": lambda key: str(key["id"]),
    "unknown": lambda key: "0" * 12,
    "a beginning of an id": lambda key: str(key["id"])[:6],
    "the secret": lambda key: str(key["key"]),
    "the whole hash": lambda key: hashlib.sha256(key["key"].encode()).hexdigest(),
    "a pattern": lambda key: "*",
    "not ASCII": lambda key: "قمة",
    "10 kB": lambda key: "a" * 10_000,
}


@pytest.mark.parametrize("identity", NO_ID.values(), ids=NO_ID)
def test_revoking_what_is_not_there_is_404(
    server: Server, identity: Callable[[dict[str, Any]], str]
) -> None:
    """An id is whole and exact, or it is none; a second revocation finds nothing."""
    key = make_key(server)
    if identity(key) == key["id"]:
        server.api("DELETE", f"/keys/{key['id']}")
    assert server.api("DELETE", f"/keys/{identity(key)}").status_code == 404


def test_an_expired_key_is_401(server: Server) -> None:
    """Until `expires_at` it works, then it is unknown; the answers tell no difference."""
    soon = datetime.now(UTC) + timedelta(seconds=2)
    key = make_key(server, "links:read", expires_at=soon.isoformat())
    assert datetime.fromisoformat(key["expires_at"]) == soon.replace(microsecond=0)
    assert ask(server, key["key"]).status_code == 200
    answer = eventually(lambda: ask(server, key["key"]), lambda answer: answer.status_code == 401)
    assert answer.status_code == 401
    assert answer.json() == ask(server, "sk_" + "0" * 38).json()


def test_the_expiry_of_a_key_is_answered_in_utc(server: Server) -> None:
    """Any offset is accepted."""
    key = make_key(server, expires_at="2099-06-01T00:00:00+05:45")
    assert key["expires_at"] == "2099-05-31T18:15:00Z"
    assert listed(server)[key["id"]]["expires_at"] == "2099-05-31T18:15:00Z"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": ...}, "name"),
    "null for a name": ({"name": None}, "name"),
    "a number for a name": ({"name": 5}, "name"),
    "a name of 129 characters": ({"name": "n" * 129}, "name"),
    "a line break in the name": ({"name": "a\r\nb"}, "name"),
    "no scopes": ({"scopes": ...}, "scopes"),
    "null for scopes": ({"scopes": None}, "scopes"),
    "an empty list of scopes": ({"scopes": []}, "scopes"),
    "a word for a list": ({"scopes": "admin"}, "scopes"),
    "an unknown scope": ({"scopes": ["links:read", "root"]}, "scopes"),
    "a scope in capitals": ({"scopes": ["ADMIN"]}, "scopes"),
    "an expiry in the past": ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    "an expiry without an offset": ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
    "an expiry in words": ({"expires_at": "never"}, "expires_at"),
    "a secret of one's own": ({"key": "sk_mine"}, "key"),
    "an id of one's own": ({"id": "0123456789ab"}, "id"),
}


@pytest.mark.parametrize(("fields", "field"), REFUSED.values(), ids=REFUSED)
def test_a_key_that_does_not_validate_is_refused(
    server: Server, fields: dict[str, Any], field: str
) -> None:
    """422 that names the field."""
    body = {"name": "refused", "scopes": ["links:read"]} | fields
    sent = {name: value for name, value in body.items() if value is not ...}
    answer = server.api("POST", "/keys", json=sent)
    assert answer.status_code == 422
    assert [entry["field"].partition("[")[0] for entry in answer.json()["errors"]] == [field]


def stored(url: str) -> Iterator[bytes]:
    """Every name and every value in the store."""
    store = connections.sync(url)
    read: dict[bytes, Callable[[bytes], Any]] = {
        b"string": lambda name: [store.get(name)],
        b"hash": lambda name: [part for item in store.hgetall(name).items() for part in item],
        b"zset": lambda name: store.zrange(name, 0, -1),
        b"set": store.smembers,
        b"list": lambda name: store.lrange(name, 0, -1),
    }
    for name in store.keys():
        yield name
        yield from read[store.type(name)](name)
    store.close()


def test_the_store_has_hashes_only(server: Server) -> None:
    """The SHA-256 of a key is in the store; the key itself is nowhere in it."""
    secret = make_key(server)["key"]
    assert ask(server, secret).status_code == 200
    everything = list(stored(f"unix://{server.data_dir}/redis/socket"))
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in everything
    for known in (secret, server.key):
        assert not [value for value in everything if known.encode() in value]
        assert not [value for value in everything if known[3:].encode() in value]


def test_no_file_but_admin_key_has_a_secret(server: Server) -> None:
    """The data directory has the admin key in `admin-key`, and no secret anywhere else."""
    secret = make_key(server)["key"]
    assert ask(server, secret).status_code == 200
    files = {path: path.read_bytes() for path in server.data_dir.rglob("*") if path.is_file()}
    having = {
        path.name
        for path, content in files.items()
        if secret.encode() in content or server.key.encode() in content
    }
    assert having == {"admin-key"}


def test_the_admin_key_is_for_its_owner_alone(server: Server) -> None:
    """`admin-key` has the mode 0600 and holds a key that works."""
    file = server.data_dir / "admin-key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ask(server, file.read_text().strip(), path="/keys").status_code == 200
