"""The dashboard's links: the list, what is done with several, deletion, QR codes."""

import csv
import html
import io
import re
import uuid

import pytest

from tests.harness import Server
from tests.pictures import read
from tests.signed_in import Person


def word() -> str:
    """A tag or text that nothing else in the shared site has."""
    return f"w{uuid.uuid4().hex[:12]}"


def key_for(server: Server, *scopes: str) -> str:
    answer = server.api("POST", "/keys", json={"name": "person", "scopes": list(scopes)})
    key: str = answer.json()["key"]
    return key


def test_the_list_shows_what_matches(server: Server) -> None:
    """The address of the list takes the API's filters, and the page what they find."""
    mark = word()
    made = [server.make_link(f"https://example.com/{mark}/{n}", tags=[mark]) for n in range(3)]
    person = Person(server)
    page = person.see(f"/-/links?tag={mark}")
    assert "3 links" in page
    assert all(link["code"] in page for link in made)
    found = person.see(f"/-/links?search={mark}/1")
    assert made[1]["code"] in found
    assert made[0]["code"] not in found
    assert "No link is like this" in person.see(f"/-/links?tag={mark}&search=nowhere")
    assert "No link is like this" in person.see(f"/-/links?tag={mark}&created_after=2099-01-01")


def test_pages_follow_each_other(server: Server) -> None:
    """A page leads to the next one, and that one back to the first; nothing is left out."""
    mark = word()
    codes = {server.make_link(tags=[mark])["code"] for _ in range(5)}
    person = Person(server)
    address, seen = f"/-/links?tag={mark}&limit=2", set[str]()
    page = person.see(address)
    assert "5 links" in page
    while True:
        seen |= {code for code in codes if f"/-/links/{code}/qr" in page}
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if following is None:
            break
        page = person.see(html.unescape(following[1]))
        assert "To the first page" in page
    assert seen == codes


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("created_after=never", "created_after"),
        ("sort=upwards", "sort"),
        (f"search={'x' * 300}", "search"),
    ],
)
def test_a_wrong_filter_is_said_at_its_field(server: Server, query: str, field: str) -> None:
    """What cannot be asked for is told beside it; the rest of the page works."""
    page = Person(server).see(f"/-/links?{query}", 422)
    assert f'id="{field}-error"' in page


def test_what_is_shown_can_be_had_as_csv(server: Server) -> None:
    """All that matches, and no cell that a spreadsheet would calculate."""
    mark = word()
    server.make_link("https://example.com/a", tags=[mark], title="=1+1")
    server.make_link("https://example.com/b", tags=[mark, "other"])
    answer = Person(server).http.get(f"/-/links.csv?tag={mark}&sort=created")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["url"] for row in rows] == ["https://example.com/a", "https://example.com/b"]
    assert rows[0]["title"] == "'=1+1"
    assert rows[1]["tags"] == f"{mark},other"


def test_several_links_get_a_tag_and_lose_it(server: Server) -> None:
    """What is done with the selected links is done with them alone, and told."""
    mark = word()
    first, second, third = (server.make_link()["code"] for _ in range(3))
    person = Person(server)
    answer = person.send("/-/links/selected", select=[first, second], action="tag", tag=mark)
    assert "2 of 2 links have the tag" in person.see(answer.headers["Location"])
    listed = server.api("GET", f"/links?tag={mark}").json()["links"]
    assert {link["code"] for link in listed} == {first, second}
    person.send("/-/links/selected", select=[first, third], action="untag", tag=mark)
    listed = server.api("GET", f"/links?tag={mark}").json()["links"]
    assert [link["code"] for link in listed] == [second]


def test_without_a_tag_nothing_is_done(server: Server) -> None:
    """Whoever forgot to type it is told on the list that was shown."""
    code, person = server.make_link()["code"], Person(server)
    fields = {"select": code, "action": "tag", "tag": " ", "back": "?tag=a/b&search=*"}
    answer = person.send("/-/links/selected", **fields)
    assert answer.headers["Location"] == "/-/links?tag=a/b&search=*"
    assert "the tag must not be empty" in html.unescape(person.see("/-/links"))
    assert server.api("GET", f"/links/{code}").json()["tags"] == []


def test_several_links_are_deleted_after_a_question(server: Server) -> None:
    """Nothing goes before it was asked once more."""
    codes = [server.make_link()["code"] for _ in range(2)]
    person = Person(server)
    asked = person.send("/-/links/selected", select=codes, action="delete")
    assert "Delete 2 links?" in asked.text
    assert server.api("GET", f"/links/{codes[0]}").status_code == 200
    person.send("/-/links/selected", select=codes, action="delete", sure="yes")
    assert [server.api("GET", f"/links/{code}").status_code for code in codes] == [404, 404]


def test_one_link_is_deleted_after_a_question(server: Server) -> None:
    """The page says what goes; only its form deletes."""
    code = server.make_link()["code"]
    person = Person(server)
    assert "statistics go as well" in person.see(f"/-/links/{code}/delete")
    assert server.api("GET", f"/links/{code}").status_code == 200
    answer = person.send(f"/-/links/{code}/delete")
    assert answer.status_code == 303
    assert server.api("GET", f"/links/{code}").status_code == 404
    assert person.http.get(f"/-/links/{code}").status_code == 404


def test_who_may_only_read_sees_no_way_to_write(server: Server) -> None:
    """What a key may not do its pages do not show, and its forms are refused."""
    code = server.make_link()["code"]
    person = Person(server, key_for(server, "links:read"))
    for path in ("/-/", "/-/links", f"/-/links/{code}"):
        page = person.see(path)
        assert "/edit" not in page
        assert "/delete" not in page
        assert "Keys" not in page
        assert "Statistics" not in page
    for path in ("/-/links/new", f"/-/links/{code}/edit", "/-/keys", "/-/statistics"):
        person.see(path, 403)
    assert person.send(f"/-/links/{code}/delete").status_code == 403
    assert server.api("GET", f"/links/{code}").status_code == 200


def test_what_strangers_write_is_text(server: Server) -> None:
    """Titles, tags and addresses cannot become part of a page."""
    evil = "<script>alert(1)</script>\"'><img src=x>"
    code = server.make_link(f"https://example.com/?q={evil}", title=evil, tags=[evil[:60]])["code"]
    person = Person(server)
    for path in (f"/-/links?search={code}", f"/-/links/{code}", f"/-/links/{code}/edit", "/-/tags"):
        page = person.see(path)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    assert html.escape(evil[:20]) in person.see(f"/-/links/{code}").replace("&#34;", "&quot;")


def test_the_qr_code_leads_to_the_link(server: Server) -> None:
    """Both pictures, in the colours that were asked for, are read as the short URL."""
    link = server.make_link()
    person = Person(server)
    assert "QR code of" in person.see(f"/-/links/{link['code']}/qr")
    look = "size=400&border=4&dark=%230f6d64&light=%23ffffff&level=Q"
    address = f"/-/links/{link['code']}/qr"
    for kind in ("png", "svg"):
        picture = person.http.get(f"{address}.{kind}?{look}&download").content
        assert read(picture) == link["short_url"]
    page = person.see(f"{address}?dark=%23ffffff&light=%23ffffff", 422)
    assert "nobody could read the code" in page
    assert 'id="size-error"' in person.see(f"{address}?size=9", 422)


def test_a_tag_gets_another_name_and_goes(server: Server) -> None:
    """Its links have the new name; taken off, they have none."""
    mark, new = word(), word()
    code = server.make_link(tags=[mark])["code"]
    person = Person(server)
    assert mark in person.see("/-/tags")
    person.send(f"/-/tags/edit/{mark}", action="rename", tag=new)
    assert server.api("GET", f"/links/{code}").json()["tags"] == [new]
    person.see(f"/-/tags/edit/{mark}", 404)
    taken = word()
    server.make_link(tags=[taken])
    assert 'id="tag-error"' in person.send(f"/-/tags/edit/{new}", tag=taken).text
    person.send(f"/-/tags/edit/{new}", action="remove")
    assert server.api("GET", f"/links/{code}").json()["tags"] == []
