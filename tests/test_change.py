"""`PATCH /api/v1/links/{code}`: what a link is may change, its code may not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.harness import Server, eventually

NewServer = Callable[..., Server]

CHANGES: dict[str, dict[str, Any]] = {
    "url": {"url": "https://example.com/new"},
    "title": {"title": "A new title"},
    "tags": {"tags": ["one", "two"]},
    "starts_at": {"starts_at": "2020-01-01T00:00:00Z"},
    "expires_at": {"expires_at": "2099-01-01T00:00:00Z"},
    "expired_url": {"expired_url": "https://example.com/over"},
    "redirect_status": {"redirect_status": 307},
    "forward_query": {"forward_query": True},
}
DEFAULTS = {
    "title": None,
    "tags": [],
    "starts_at": None,
    "expires_at": None,
    "expired_url": None,
    "redirect_status": 302,
    "forward_query": False,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_field_changes_alone(server: Server, change: dict[str, Any]) -> None:
    """The given field changes, every other one stays, and it is so when read again."""
    link = server.make_link()
    answer = server.api("PATCH", f"/links/{link['code']}", json=change)
    assert answer.status_code == 200, answer.text
    kept = {name: value for name, value in link.items() if name not in (*change, "updated_at")}
    assert {name: answer.json()[name] for name in kept} == kept
    assert {name: answer.json()[name] for name in change} == change
    assert server.api("GET", f"/links/{link['code']}").json() == answer.json()


def test_null_clears(server: Server) -> None:
    """`null` is the default of a field."""
    fields = {name: value for change in CHANGES.values() for name, value in change.items()}
    code = server.make_link(**fields)["code"]
    answer = server.api("PATCH", f"/links/{code}", json=dict.fromkeys(DEFAULTS))
    assert {name: answer.json()[name] for name in DEFAULTS} == DEFAULTS


def test_a_changed_destination_is_where_visitors_go(server: Server) -> None:
    """At once, on the same server."""
    code = server.make_link("https://example.com/old")["code"]
    assert server.follow(code).headers["location"] == "https://example.com/old"
    server.api("PATCH", f"/links/{code}", json={"url": "https://example.com/new"})
    assert server.follow(code).headers["location"] == "https://example.com/new"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "the code": ({"code": "other"}, "code"),
    "the domain": ({"domain": "arab.news"}, "domain"),
    "the length": ({"code_length": 9}, "code_length"),
    "no destination": ({"url": None}, "url"),
    "a bad destination": ({"url": "javascript:1"}, "url"),
    "a bad other place": ({"expired_url": "data:x"}, "expired_url"),
    "our own domain": ({"expired_url": "https://ARAB.news:8443/x"}, "expired_url"),
    "a time without offset": ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
    "an unknown status": ({"redirect_status": 303}, "redirect_status"),
    "text for a flag": ({"forward_query": "yes"}, "forward_query"),
    "an end before the beginning": (
        {"starts_at": "2030-01-01T00:00:00Z", "expires_at": "2029-01-01T00:00:00Z"},
        "starts_at",
    ),
}


@pytest.mark.parametrize(("change", "field"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused(server: Server, change: dict[str, Any], field: str) -> None:
    """422 with the field named, and nothing is changed."""
    link = server.make_link()
    answer = server.api("PATCH", f"/links/{link['code']}", json=change)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert server.api("GET", f"/links/{link['code']}").json() == link


def test_an_unknown_link_is_404(server: Server) -> None:
    """As with every call."""
    answer = server.api("PATCH", "/links/nothere", json={"title": "x"})
    assert (answer.status_code, answer.json()["type"]) == (404, "/-/errors#link-not-found")


def test_if_match_protects_what_someone_else_changed(server: Server) -> None:
    """A change with the `ETag` of what was read holds; with an older one it is 412."""
    made = server.make_link()
    read = server.api("GET", f"/links/{made['code']}")
    first = {"If-Match": read.headers["etag"]}
    one = server.api("PATCH", f"/links/{made['code']}", json={"title": "one"}, headers=first)
    two = server.api("PATCH", f"/links/{made['code']}", json={"title": "two"}, headers=first)
    assert (one.status_code, two.status_code) == (200, 412)
    assert two.json()["type"] == "/-/errors#changed"
    assert one.headers["etag"] != read.headers["etag"]
    assert server.api("GET", f"/links/{made['code']}").json()["title"] == "one"


def test_changes_at_once_all_hold(server: Server) -> None:
    """Of many changes of different fields in the same moment none undoes another."""
    code = server.make_link()["code"]

    def change(fields: dict[str, Any]) -> int:
        return server.api("PATCH", f"/links/{code}", json=fields).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(change, CHANGES.values())) == {200}
    link = server.api("GET", f"/links/{code}").json()
    for fields in CHANGES.values():
        assert {name: link[name] for name in fields} == fields


def test_a_link_begins_at_its_time(server: Server) -> None:
    """Before `starts_at` it is 404, and its clicks are none; moved to the past it redirects."""
    code = server.make_link(starts_at="2090-01-01T00:00:00Z")["code"]
    assert server.follow(code).status_code == 404
    server.api("PATCH", f"/links/{code}", json={"starts_at": "2020-01-01T00:00:00Z"})
    assert server.follow(code).status_code == 302
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 1) == 1


def test_an_expired_link_may_lead_elsewhere(server: Server) -> None:
    """After `expires_at` people go to `expired_url`, with 302 whatever its status, uncounted."""
    code = server.make_link(redirect_status=308)["code"]
    past = {"expires_at": "2020-01-01T00:00:00Z"}
    server.api("PATCH", f"/links/{code}", json=past)
    assert server.follow(code).status_code == 410
    there = {"expired_url": "https://example.com/over"}
    server.api("PATCH", f"/links/{code}", json=there)
    answer = server.follow(code)
    assert (answer.status_code, answer.headers["location"]) == (302, "https://example.com/over")
    server.api("PATCH", f"/links/{code}", json={"expires_at": None})
    assert server.follow(code).status_code == 308
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 1) == 1


FORWARDED = {
    "appended": ("https://example.com/", "a=1", "https://example.com/?a=1"),
    "behind its own": ("https://example.com/?x=1", "a=1", "https://example.com/?x=1&a=1"),
    "instead of the same name": (
        "https://example.com/?a=0&x=1",
        "a=1",
        "https://example.com/?x=1&a=1",
    ),
    "spelt otherwise": ("https://example.com/?%61=0", "a=1", "https://example.com/?a=1"),
    "the fragment stays": ("https://example.com/?x#top", "a=1", "https://example.com/?x&a=1#top"),
    "bytes as they came": (
        "https://example.com/",
        "q=%C3%BC+%20;&&b",
        "https://example.com/?q=%C3%BC+%20;&&b",
    ),
    "without a query": ("https://example.com/?x=1", "", "https://example.com/?x=1"),
}


@pytest.mark.parametrize(("url", "query", "location"), FORWARDED.values(), ids=FORWARDED)
def test_a_query_is_passed_on(server: Server, url: str, query: str, location: str) -> None:
    """With `forward_query` the visitor's parameters win over the destination's."""
    code = server.make_link(url, forward_query=True)["code"]
    assert server.follow(f"{code}?{query}").headers["location"] == location
    plain = server.make_link(url)["code"]
    assert server.follow(f"{plain}?{query}").headers["location"] == url


def test_a_longer_code_can_be_asked_for(server: Server) -> None:
    """`code_length` is the least number of characters; from 8 on codes are random."""
    for length in (5, 6, 7, 8, 32):
        assert len(server.make_link(code_length=length)["code"]) == length


def test_every_domain_has_links_of_its_own(new_server: NewServer) -> None:
    """The same code on two domains is two links; a strange `Host` sees none."""
    server = new_server(BASE_URL="https://arab.news:8443", DOMAINS="go.example, x.example").start()
    one = server.make_link("https://example.com/1", code="same")
    two = server.make_link("https://example.com/2", code="same", domain="GO.example")
    assert (one["domain"], one["short_url"]) == ("arab.news", "https://arab.news:8443/same")
    assert (two["domain"], two["short_url"]) == ("go.example", "https://go.example/same")

    def lead(host: str) -> str | int:
        answer = server.follow("same", Host=host)
        return answer.headers.get("location", answer.status_code)

    assert lead("arab.news") == lead("ARAB.NEWS.:80") == "https://example.com/1"
    assert lead("go.example:8000") == "https://example.com/2"
    assert lead("x.example") == lead("elsewhere.example") == 404
    read = server.api("GET", "/links/same", params={"domain": "go.example"}).json()
    assert read["url"] == "https://example.com/2"
    assert server.api("DELETE", "/links/same", params={"domain": "go.example"}).status_code == 204
    assert (lead("go.example"), lead("arab.news")) == (404, "https://example.com/1")
    for field in ({"domain": "elsewhere.example"}, {"url": "https://x.example/same"}):
        refused = server.api("POST", "/links", json={"url": "https://example.com/"} | field)
        assert [error["field"] for error in refused.json()["errors"]] == list(field)
    assert server.api("GET", "/links/same?domain=elsewhere.example").status_code == 422
    assert eventually(lambda: server.clicks("same"), lambda clicks: clicks == 3) == 3
