"""Tags: counted, renamed with their statistics, taken from all links."""

from collections.abc import Callable
from typing import Any

import pytest

from shortener import connections, keys
from tests.harness import Server, eventually

NewServer = Callable[..., Server]


@pytest.fixture
def own(new_server: NewServer) -> Server:
    """A server with three links, two of them clicked, and their clicks counted."""
    server = new_server(WORKERS="1").start()
    server.make_link(code="one", tags=["news", "g20"])
    server.make_link(code="two", tags=["news"])
    server.make_link(code="three", tags=["رياض"])
    for code in ("one", "one", "two"):
        server.follow(code)
    eventually(server.site_clicks, lambda count: count == 3)
    return server


def tags(server: Server) -> list[tuple[str, int, int]]:
    answer = server.api("GET", "/tags")
    assert answer.status_code == 200, answer.text
    return [(each["tag"], each["links"], each["clicks"]) for each in answer.json()["tags"]]


def test_tags_are_counted(own: Server) -> None:
    """Each tag that has links, in alphabetical order, with links and clicks."""
    assert tags(own) == [("g20", 1, 2), ("news", 2, 3), ("رياض", 1, 0)]


def test_counts_follow_the_links(own: Server) -> None:
    """Links that are made, changed or deleted change them; a tag without links is gone."""
    own.make_link(code="four", tags=["new", "news"])
    own.api("PATCH", "/links/one", json={"tags": ["new"]})
    own.api("DELETE", "/links/three")
    assert [(tag, links) for tag, links, _ in tags(own)] == [("new", 2), ("news", 2)]


def test_a_tag_is_renamed_with_its_statistics(own: Server) -> None:
    """200; links have the new tag in the place of the old one, and its clicks go along."""
    answer = own.api("PATCH", "/tags/NEWS", json={"tag": "Press/2026 ü"})
    assert (answer.status_code, answer.json()) == (
        200,
        {"tag": "press/2026 ü", "links": 2, "clicks": 3},
    )
    assert tags(own) == [("g20", 1, 2), ("press/2026 ü", 2, 3), ("رياض", 1, 0)]
    assert own.api("GET", "/links/one").json()["tags"] == ["press/2026 ü", "g20"]
    listed = own.api("GET", "/links", params={"tag": "press/2026 ü"}).json()
    assert [link["code"] for link in listed["links"]] == ["two", "one"]
    own.follow("two")
    eventually(own.site_clicks, lambda count: count == 4)
    assert tags(own)[1] == ("press/2026 ü", 2, 4)
    own.make_link(code="four", tags=["news"])
    assert tags(own)[1] == ("news", 1, 0)
    back = own.api("PATCH", "/tags/press%2F2026 ü", json={"tag": "old"})
    assert (back.status_code, back.json()["clicks"]) == (200, 4)


def test_nothing_is_left_of_a_renamed_tag(own: Server) -> None:
    """No key of the store but those of the new tag and of the links, and the day's visitors, which
    go with their salt."""
    store = connections.sync(f"unix://{own.data_dir}/redis/socket")
    before = {key for key in store.scan_iter("*", count=1000) if b"#" in key or b":news" in key}
    assert before
    assert own.api("PATCH", "/tags/news", json={"tag": "press"}).status_code == 200
    after = set(store.scan_iter("*", count=1000))
    assert not [key for key in after if key[:2] != b"v:" and (b"news" in key or b"~" in key)]
    assert store.hlen(keys.RETAGS) == 0
    assert store.hlen(keys.once(keys.bucket(keys.tag_subject("press")))) == 0


def test_a_rename_that_was_interrupted_is_finished(own: Server) -> None:
    """Links that have the new tag already stand in nobody's way when the call is repeated."""
    store = connections.sync(f"unix://{own.data_dir}/redis/socket")
    store.hset(keys.RETAGS, "news", b'["press","0123456789abcdef"]')
    own.api("PATCH", "/links/two", json={"tags": ["press"]})
    answer = own.api("PATCH", "/tags/news", json={"tag": "press"})
    assert (answer.status_code, answer.json()["links"], answer.json()["clicks"]) == (200, 2, 3)
    assert [tag for tag, _, _ in tags(own)] == ["g20", "press", "رياض"]


def test_a_tag_is_removed_from_all_links(own: Server) -> None:
    """204; the links stay, the tag's statistics go."""
    assert own.api("DELETE", "/tags/news").status_code == 204
    assert own.api("GET", "/links/one").json()["tags"] == ["g20"]
    assert own.api("GET", "/links/two").json()["tags"] == []
    assert own.api("GET", "/links/two").json()["clicks"] == 1
    own.api("PATCH", "/links/two", json={"tags": ["news"]})
    assert ("news", 1, 0) in tags(own)
    assert own.api("DELETE", "/tags/nothing").status_code == 404


BAD: dict[str, tuple[str, Any, int, str]] = {
    "no such tag": ("nothing", {"tag": "new"}, 404, "tag-not-found"),
    "a tag that links have": ("news", {"tag": "G20"}, 409, "tag-taken"),
    "an empty tag": ("news", {"tag": " "}, 422, "invalid"),
    "a long tag": ("news", {"tag": "t" * 65}, 422, "invalid"),
    "control characters": ("news", {"tag": "a\nb"}, 422, "invalid"),
    "no tag": ("news", {}, 422, "invalid"),
    "another field": ("news", {"tag": "a", "color": "red"}, 422, "invalid"),
    "a number": ("news", {"tag": 1}, 422, "invalid"),
}


@pytest.mark.parametrize(("tag", "body", "status", "slug"), BAD.values(), ids=BAD)
def test_a_bad_rename_changes_nothing(
    server: Server, tag: str, body: Any, status: int, slug: str
) -> None:
    """404, 409 or 422."""
    for code in ("bad-rename-1", "bad-rename-2"):
        if server.api("GET", f"/links/{code}").status_code == 404:
            server.make_link(code=code, tags=["news", "g20"])
    answer = server.api("PATCH", f"/tags/{tag}", json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/-/errors#{slug}")
    assert server.api("GET", "/links/bad-rename-1").json()["tags"] == ["news", "g20"]


def test_the_same_name_is_no_change(own: Server) -> None:
    """200 with the tag as it is."""
    answer = own.api("PATCH", "/tags/news", json={"tag": "News"})
    assert (answer.status_code, answer.json()) == (200, {"tag": "news", "links": 2, "clicks": 3})
