"""`/export` and `/import`: a site's links and statistics, carried whole and added once."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import Server, eventually

NewServer = Callable[..., Server]
Record = dict[str, Any]

LINKS: list[dict[str, Any]] = [
    {"code": "plain"},
    {"code": "full", "title": 'T "x" ü', "tags": ["b", "a"], "redirect_status": 308},
    {"code": "times", "starts_at": "2020-01-01T00:00:00Z", "expires_at": "2099-01-01T00:00:00Z"},
    {"code": "gated", "max_clicks": 3, "expired_url": "https://example.com/over"},
    {"code": "secret", "password": "open sesame"},
    {"code": "مقال", "forward_query": True, "tags": ["a"]},
    {"code": "other", "domain": "go.example"},
    {"code_length": 12},
]
CLICKS = {"plain": 3, "full": 2, "gated": 2}


@pytest.fixture
def full(new_server: NewServer) -> Server:
    """A server with links of every kind, and clicks counted."""
    server = new_server(name="full", WORKERS="1", DOMAINS="go.example").start()
    for fields in LINKS:
        server.make_link(f"https://example.com/{fields.get('code')}", **fields)
    for code, clicks in CLICKS.items():
        for _ in range(clicks):
            assert server.follow(code, Host="127.0.0.1").status_code in (302, 308)
    eventually(server.site_clicks, lambda count: count == sum(CLICKS.values()))
    return server


def exported(server: Server, **params: Any) -> list[Record]:
    """All records, page by page."""
    records: list[Record] = []
    while True:
        answer = server.api("GET", "/export", params=params)
        assert answer.status_code == 200, answer.text
        records += answer.json()["records"]
        if answer.json()["next_cursor"] is None:
            return records
        params["cursor"] = answer.json()["next_cursor"]


def bring_in(server: Server, records: list[Record], export: Record | None = None) -> Record:
    answer = server.api("POST", "/import", json={"export": export, "records": records})
    assert answer.status_code == 200, answer.text
    found: Record = answer.json()
    return found


def told(server: Server) -> list[Any]:
    """What the API says of all links, their statistics, the site's and the tags'."""
    links = server.api("GET", "/links?limit=200").json()["links"]
    own = ("short_url", "remaining")
    shown = [{k: v for k, v in link.items() if k not in own} for link in links]
    stats = [
        server.api(
            "GET", f"/links/{link['code']}/stats?interval=hour", params={"domain": link["domain"]}
        ).json()
        for link in links
    ]
    remaining = [link["remaining"] for link in links]
    site, tags = server.api("GET", "/stats").json(), server.api("GET", "/tags").json()
    return [shown, stats, remaining, site, tags]


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_an_import_makes_the_same_site(full: Server, new_server: NewServer, limit: int) -> None:
    """Every field, every click of links, tags and site, and the order of the list; a password opens
    its link, a limit is as far used up."""
    header, *records = exported(full, limit=limit)
    assert (header["type"], header["links"]) == ("export", len(LINKS))
    kinds = [record["type"] for record in records]
    assert kinds == ["site", "tag", "tag"] + ["link"] * len(LINKS)
    copy = new_server(name="copy", WORKERS="1", DOMAINS="go.example").start()
    answer = bring_in(copy, records, header)
    assert answer == {"created": len(LINKS), "existing": 0, "errors": []}
    assert told(copy) == told(full)
    opened = copy.http.post(
        "/secret", data={"password": "open sesame"}, headers={"Host": "127.0.0.1"}
    )
    assert (opened.status_code, opened.headers["location"]) == (303, "https://example.com/secret")
    statuses = [copy.follow("gated", Host="127.0.0.1").headers["location"] for _ in range(2)]
    assert statuses == ["https://example.com/gated", "https://example.com/over"]


def test_an_import_again_adds_nothing(full: Server, new_server: NewServer) -> None:
    """Repeated, in other portions, from a later export, and on the site that it came from: nothing
    twice."""
    header, *records = exported(full)
    copy = new_server(name="copy", WORKERS="1", DOMAINS="go.example").start()
    bring_in(copy, records[:5], header)
    bring_in(copy, records[3:7], header)
    bring_in(copy, records, header)
    assert bring_in(copy, records, header)["existing"] == len(LINKS)
    assert told(copy) == told(full)
    later, *again = exported(full)
    assert later["id"] != header["id"]
    assert bring_in(copy, again, later)["existing"] == len(LINKS)
    assert told(copy) == told(full)
    before = told(full)
    assert bring_in(full, records, header)["existing"] == len(LINKS)
    assert told(full) == before


def test_what_changed_since_stays_changed(full: Server) -> None:
    """A link that was edited after the export is left as it is; one that was deleted comes back."""
    header, *records = exported(full)
    full.api("PATCH", "/links/plain", json={"title": "New"})
    full.api("DELETE", "/links/full")
    answer = bring_in(full, records[3:], header)
    assert (answer["created"], answer["existing"]) == (1, len(LINKS) - 1)
    assert full.api("GET", "/links/plain").json()["title"] == "New"
    assert full.api("GET", "/links/full").json()["clicks"] == CLICKS["full"]


def test_secrets_are_for_admins(full: Server, new_server: NewServer) -> None:
    """Another key exports no hash, needs both scopes, and imports nothing; a link whose hash is
    missing is not made without its password."""
    keys = {}
    for scopes in (["links:read", "stats:read"], ["links:read"], ["links:write", "stats:read"]):
        made = full.api("POST", "/keys", json={"name": "k", "scopes": scopes}).json()["key"]
        keys[len(keys)] = {"Authorization": f"Bearer {made}"}
    assert full.api("GET", "/export", headers=keys[1]).status_code == 403
    assert full.api("POST", "/import", json={"records": []}, headers=keys[2]).status_code == 403
    answer = full.api("GET", "/export", headers=keys[0])
    assert "scrypt" not in answer.text
    header, *records = answer.json()["records"]
    assert "scrypt" in full.api("GET", "/export").text
    copy = new_server(name="copy", WORKERS="1", DOMAINS="go.example").start()
    outcome = bring_in(copy, records, header)
    (error,) = outcome["errors"]
    assert records[error["index"]]["code"] == "secret"
    assert error["error"]["errors"][0]["field"] == "password_hash"
    assert copy.api("GET", "/links/secret").status_code == 404


def test_links_from_elsewhere_need_a_url_alone(server: Server) -> None:
    """A code is made when none is given, the age is kept, and a repetition finds the same links."""
    records = [
        {"type": "link", "url": "https://example.com/import/1"},
        {
            "type": "link",
            "url": "https://example.com/import/2",
            "created_at": "2019-05-01T00:00:00Z",
        },
        {"type": "link", "url": "https://example.com/import/3", "code": "import-3"},
    ]
    assert bring_in(server, records) == {"created": 3, "existing": 0, "errors": []}
    assert bring_in(server, records) == {"created": 0, "existing": 3, "errors": []}
    found = server.api("GET", "/links", params={"search": "/import/", "sort": "created"}).json()
    assert found["total"] == 3
    assert found["links"][0]["created_at"] == "2019-05-01T00:00:00Z"


BAD: dict[str, tuple[Record, str]] = {
    "no type": ({"url": "https://example.com/"}, "type"),
    "another type": ({"type": "user"}, "type"),
    "no URL": ({"type": "link"}, "url"),
    "a bad URL": ({"type": "link", "url": "javascript:1"}, "url"),
    "a bad alias": ({"type": "link", "url": "https://example.com/", "code": "a/b"}, "code"),
    "a reserved alias": ({"type": "link", "url": "https://example.com/", "code": "api"}, "code"),
    "a domain not ours": (
        {"type": "link", "url": "https://example.com/", "domain": "example.org"},
        "domain",
    ),
    "made in the future": (
        {"type": "link", "url": "https://example.com/", "created_at": "2199-01-01T00:00:00Z"},
        "created_at",
    ),
    "made at no time": (
        {"type": "link", "url": "https://example.com/", "created_at": "yesterday"},
        "created_at",
    ),
    "no hash": (
        {"type": "link", "url": "https://example.com/", "password_hash": "secret"},
        "password_hash",
    ),
    "a field too many": ({"type": "link", "url": "https://example.com/", "x": 1}, "x"),
    "statistics of no kind": (
        {
            "type": "link",
            "url": "https://example.com/",
            "code": "bad-kind",
            "statistics": {"l": [0, {"c": 1}]},
        },
        "statistics",
    ),
    "statistics below zero": ({"type": "site", "statistics": {"t": [0, {"c": -1}]}}, "statistics"),
    "no tag": ({"type": "tag", "tag": "", "statistics": {}}, "tag"),
}


@pytest.mark.parametrize(("record", "field"), BAD.values(), ids=BAD)
def test_a_bad_record_fails_alone(server: Server, record: Record, field: str) -> None:
    """The others are brought in; the error names its place and its field."""
    export = {"type": "export", "id": "bad", "at": "now", "timezone": "UTC", "links": 0}
    good = {"type": "link", "url": f"https://example.com/bad-record/{field}"}
    answer = bring_in(server, [good, record], export)
    assert answer["created"] + answer["existing"] == 1
    (error,) = answer["errors"]
    assert error["index"] == 1
    assert error["error"]["errors"][0]["field"].startswith(field)


def test_a_taken_code_is_told(server: Server) -> None:
    """409 for a code that is another link's."""
    server.make_link("https://example.com/theirs", code="import-taken")
    record = {"type": "link", "url": "https://example.com/ours", "code": "import-taken"}
    (error,) = bring_in(server, [record])["errors"]
    assert error["error"]["status"] == 409


def test_days_of_another_zone_are_refused(server: Server) -> None:
    """422: days of two zones do not add up."""
    export = {"type": "export", "id": "zone", "at": "now", "timezone": "Asia/Riyadh", "links": 0}
    answer = server.api("POST", "/import", json={"export": export, "records": []})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "export.timezone"


def test_a_large_record_is_taken(server: Server) -> None:
    """A body of 15 MiB is read, one of 17 MiB is 413."""
    export = {"type": "export", "id": "large", "at": "now", "timezone": "UTC", "links": 0}
    counts = {f"{n:0200d}": 1 for n in range(20_000)}
    record = {"type": "tag", "tag": "large", "statistics": {"d:2026": [0, counts]}}
    body = json.dumps({"export": export, "records": [record] * 3})
    assert 11 << 20 < len(body) < 16 << 20
    answer = server.api("POST", "/import", content=body)
    assert answer.json() == {"created": 0, "existing": 0, "errors": []}
    assert server.api("POST", "/import", content=body * 2).status_code == 413
