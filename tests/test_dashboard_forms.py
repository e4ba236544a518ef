"""The dashboard's forms: every field of the API, errors at the field, nothing made twice."""

import html
import re
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.harness import Server, eventually
from tests.signed_in import Person

EVERY: dict[str, Any] = {
    "url": "https://example.com/every",
    "title": "Every field",
    "tags": "One, two",
    "starts_at": "2026-01-01T10:00",
    "expires_at": "2099-06-01T10:00",
    "expired_url": "https://example.com/over",
    "max_clicks": "7",
    "redirect_status": "307",
    "forward_query": "on",
    "zone": "Asia/Riyadh",
}
STORED = {
    "url": "https://example.com/every",
    "title": "Every field",
    "tags": ["one", "two"],
    "starts_at": "2026-01-01T07:00:00Z",
    "expires_at": "2099-06-01T07:00:00Z",
    "expired_url": "https://example.com/over",
    "max_clicks": 7,
    "redirect_status": 307,
    "forward_query": True,
}


def alias() -> str:
    return f"a{uuid.uuid4().hex[:12]}"


def made(answer: Any) -> str:
    """The code of the link that a form led to."""
    assert answer.status_code == 303, answer.text
    found = re.search(r"made=([^&]+)", answer.headers["Location"])
    assert found is not None
    return found[1]


def hidden(page: str, name: str) -> str:
    """What the field `name` of a form has in it, seen or not."""
    found = re.search(rf'<input [^>]*name="{name}"[^>]* value="([^"]*)"', page)
    assert found is not None, name
    return html.unescape(found[1])


def sent_whole(person: Person, **fields: str) -> httpx.Response:
    """The form of many links, in parts, as a browser sends one that can take a file."""
    token = {"form_token": hidden(person.see("/-/links/bulk"), "form_token")}
    parts = {name: (None, value) for name, value in (token | fields).items()}
    return person.http.post("/-/links/bulk", files=parts)


def test_every_field_reaches_the_link(server: Server) -> None:
    """What the form says is what the API tells; times are on the clocks that the form names."""
    code, person = alias(), Person(server)
    answer = person.send("/-/links/new", code=code, password="open sesame", **EVERY)
    assert made(answer) == code
    link = server.api("GET", f"/links/{code}").json()
    assert {name: link[name] for name in STORED} == STORED
    assert link["has_password"]
    assert link["short_url"] in person.see(answer.headers["Location"])


def test_a_form_for_a_change_has_what_is_there(server: Server) -> None:
    """Sent back as it came it changes nothing, the password included; emptied it clears."""
    code, person = alias(), Person(server)
    person.send("/-/links/new", code=code, password="open sesame", **EVERY)
    page = person.see(f"/-/links/{code}/edit?tz=Asia/Riyadh")
    for name in ("url", "title", "tags", "starts_at", "expires_at", "expired_url", "max_clicks"):
        field = re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)
        assert field is not None, name
        assert html.unescape(field[1]).lower() == str(EVERY[name]).lower()
    version = re.search(r'name="version" value="([^"]+)"', page)
    assert version is not None
    same = person.send(f"/-/links/{code}/edit", version=version[1], **EVERY)
    assert same.status_code == 303
    link = server.api("GET", f"/links/{code}").json()
    assert {name: link[name] for name in STORED} == STORED
    assert link["has_password"]
    person.send(
        f"/-/links/{code}/edit",
        url="https://example.com/bare",
        redirect_status="302",
        password_choice="remove",
    )
    link = server.api("GET", f"/links/{code}").json()
    assert (link["url"], link["title"], link["tags"]) == ("https://example.com/bare", None, [])
    assert (link["expires_at"], link["max_clicks"], link["has_password"]) == (None, None, False)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": ""}, "url"),
        ({"code": "-"}, "code"),
        ({"title": "x" * 600}, "title"),
        ({"tags": ",".join(str(n) for n in range(30))}, "tags"),
        ({"tags": "x" * 65}, "tags"),
        ({"starts_at": "soon"}, "starts_at"),
        ({"expires_at": "2020-01-01T00:00"}, "expires_at"),
        ({"expires_at": "2027-03-28T02:30", "zone": "Europe/Berlin"}, "expires_at"),
        ({"expired_url": "nowhere"}, "expired_url"),
        ({"max_clicks": "many"}, "max_clicks"),
        ({"max_clicks": "0"}, "max_clicks"),
        ({"code_length": "2"}, "code_length"),
        ({"redirect_status": "404"}, "redirect_status"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_at_its_field(
    server: Server, fields: dict[str, str], wrong: str
) -> None:
    """The field has the message, the summary leads to it, and what was typed is kept."""
    typed = {"url": "https://example.com/typed", "title": "kept as typed"} | fields
    answer = Person(server).send("/-/links/new", **typed)
    assert answer.status_code == 422
    assert f'id="{wrong}-error"' in answer.text
    assert f'href="#{wrong}"' in answer.text
    assert "`int`" not in answer.text
    assert html.escape(typed["title"]) in answer.text


def test_a_code_that_is_taken_is_said_at_its_field(server: Server) -> None:
    """Another link's code is no error of the page, but of the field."""
    code = server.make_link(code=alias())["code"]
    answer = Person(server).send("/-/links/new", url="https://example.com/other", code=code)
    assert answer.status_code == 409
    assert "is taken by another link" in answer.text


@pytest.mark.parametrize("path", ["/-/links/new", "/-/"])
def test_another_code_can_be_tried(server: Server, path: str) -> None:
    """The form that was refused is sent again with another code, and makes a link."""
    taken, free, person = server.make_link(code=alias())["code"], alias(), Person(server)
    fields = {"url": "https://example.com/other"}
    refused = person.send(path, code=taken, once=hidden(person.see(path), "once"), **fields)
    assert refused.status_code == 409
    again = person.send(path, code=free, once=hidden(refused.text, "once"), **fields)
    assert made(again) == free


@pytest.mark.parametrize("path", ["/-/links/new", "/-/"])
def test_a_form_that_was_gone_back_to_says_so(server: Server, path: str) -> None:
    """Sent with something else in it, it says what has happened; sent once more it makes a link."""
    person = Person(server)
    once = hidden(person.see(path), "once")
    first = made(person.send(path, url="https://example.com/1", once=once))
    answer = person.send(path, url="https://example.com/2", once=once)
    assert answer.status_code == 422
    assert "this form has been sent" in answer.text
    once = hidden(answer.text, "once")
    assert made(person.send(path, url="https://example.com/2", once=once)) != first


def test_a_new_link_begins_with_what_is_usual_here(new_server: Any) -> None:
    """Domain and status are those that the API would take."""
    settings = {"BASE_URL": "https://z.example", "DOMAINS": "a.example", "REDIRECT_STATUS": "301"}
    page = Person(new_server(**settings).start()).see("/-/links/new")
    assert "<option selected>z.example</option>" in page
    assert '<option value="301" selected>' in page


def test_what_was_not_touched_stays(new_server: Any) -> None:
    """A tag with a comma is no two tags, and an hour that the clocks have twice is not the other
    one."""
    server = new_server(TIMEZONE="Europe/Berlin").start()
    fields = {"tags": ["oil, gas"], "expires_at": "2099-10-25T02:30:00+01:00"}
    code, person = server.make_link(**fields)["code"], Person(server)
    page = person.see(f"/-/links/{code}/edit")
    shown = {name: hidden(page, name) for name in ("url", "tags", "expires_at", "version")}
    answer = person.send(f"/-/links/{code}/edit", title="new", redirect_status="302", **shown)
    assert answer.status_code == 303
    link = server.api("GET", f"/links/{code}").json()
    assert (link["title"], link["tags"]) == ("new", ["oil, gas"])
    assert link["expires_at"] == "2099-10-25T01:30:00Z"


def test_a_mistake_does_not_hide_that_the_link_was_changed(server: Server) -> None:
    """A form that is refused for what is in it still knows which version it was made of."""
    code, person = server.make_link(title="before")["code"], Person(server)
    seen = hidden(person.see(f"/-/links/{code}/edit"), "version")
    server.api("PATCH", f"/links/{code}", json={"title": "theirs"})
    fields = {"title": "before", "redirect_status": "302"}
    wrong = person.send(f"/-/links/{code}/edit", url="ftp://no", version=seen, **fields)
    assert wrong.status_code == 422
    fields |= {"url": "https://example.com/mine", "version": hidden(wrong.text, "version")}
    assert person.send(f"/-/links/{code}/edit", **fields).status_code == 412
    assert server.api("GET", f"/links/{code}").json()["title"] == "theirs"


@pytest.mark.parametrize("path", ["/-/links/new", "/-/"])
def test_a_form_sent_twice_makes_one_link(server: Server, path: str) -> None:
    """A second click on the button, or a page loaded again, makes nothing more."""
    person = Person(server)
    shown = re.search(r'name="once" value="([^"]+)"', person.see(path))
    assert shown is not None
    fields = {"url": f"https://example.com/{alias()}", "once": shown[1]}
    first, second = (made(person.send(path, **fields)) for _ in range(2))
    assert first == second


def test_a_link_changed_meanwhile_is_not_overruled_unseen(server: Server) -> None:
    """The form says what has changed and keeps what was typed; sent again, it counts."""
    code, person = server.make_link(title="before")["code"], Person(server)
    shown = re.search(r'name="version" value="([^"]+)"', person.see(f"/-/links/{code}/edit"))
    assert shown is not None
    server.api("PATCH", f"/links/{code}", json={"title": "theirs"})
    fields = {"url": "https://example.com/", "title": "mine", "redirect_status": "302"}
    answer = person.send(f"/-/links/{code}/edit", version=shown[1], **fields)
    assert answer.status_code == 412
    assert "theirs" in answer.text
    assert 'value="mine"' in answer.text
    assert server.api("GET", f"/links/{code}").json()["title"] == "theirs"
    again = re.search(r'name="version" value="([^"]+)"', answer.text)
    assert again is not None
    person.send(f"/-/links/{code}/edit", version=again[1], **fields)
    assert server.api("GET", f"/links/{code}").json()["title"] == "mine"


def test_a_link_is_made_on_the_overview(server: Server) -> None:
    """The new short link is shown with its QR code; what is wrong, at the field."""
    person = Person(server)
    answer = person.send("/-/", url="https://example.com/on-the-spot")
    page = person.see(answer.headers["Location"])
    assert "Your link is ready" in page
    assert server.api("GET", f"/links/{made(answer)}").json()["short_url"] in page
    assert "data:image/svg+xml" in page
    wrong = person.send("/-/", url="javascript:alert(1)")
    assert wrong.status_code == 422
    assert 'id="url-error"' in wrong.text
    assert 'value="javascript:alert(1)"' in wrong.text


def test_a_password_is_replaced_and_never_shown(server: Server) -> None:
    """The form asks what to do with it, and says nothing of it."""
    code, person = server.make_link(password="first secret")["code"], Person(server)
    assert "first secret" not in person.see(f"/-/links/{code}/edit")
    fields = {"url": "https://example.com/", "redirect_status": "302"}
    person.send(
        f"/-/links/{code}/edit", password_choice="replace", password="second secret", **fields
    )
    entered = server.http.post(f"/{code}", data={"password": "second secret"})
    assert entered.status_code == 303
    empty = person.send(f"/-/links/{code}/edit", password_choice="replace", password="", **fields)
    assert 'id="password-error"' in empty.text


def test_many_links_are_looked_at_before_they_are_made(server: Server) -> None:
    """The first answer says what is wrong and makes nothing; the second makes the rest."""
    mark = alias()
    text = f"https://example.com/{mark}/1\nnot a URL\nhttps://example.com/{mark}/2\n"
    person = Person(server)
    looked = person.send("/-/links/bulk", action="check", text=text)
    assert "2 of 3 links can be made" in looked.text
    assert "is not a URL" in looked.text
    assert server.api("GET", f"/links?search={mark}").json()["total"] == 0
    made_ = person.send("/-/links/bulk", action="make", text=text, once=mark)
    assert "2 of 3 links are made" in made_.text
    again = person.send("/-/links/bulk", action="csv", text=text, once=mark)
    rows = again.text.splitlines()
    assert rows[0] == "row,url,short_url,error"
    assert "is not a URL" in rows[2]
    assert server.api("GET", f"/links?search={mark}").json()["total"] == 2


def test_a_file_may_have_columns(server: Server) -> None:
    """CSV with a header brings codes, titles and tags; an unknown column is named."""
    code, person = alias(), Person(server)
    text = f'url,code,title,tags\nhttps://example.com/,{code},"A, title","one, two"\n'
    token = re.search(r'name="form_token" value="([^"]+)"', person.see("/-/links/bulk"))
    assert token is not None
    looked = person.http.post(
        "/-/links/bulk",
        data={"form_token": token[1], "action": "check"},
        files={"file": ("links.csv", text.encode())},
    )
    assert "1 of 1 links can be made" in looked.text
    person.send("/-/links/bulk", action="make", text=text)
    link = server.api("GET", f"/links/{code}").json()
    assert (link["title"], link["tags"]) == ("A, title", ["one", "two"])
    answer = person.send("/-/links/bulk", action="check", text="url,colour\nhttps://x.example/,red")
    assert answer.status_code == 422
    assert "has the column colour" in answer.text


@pytest.mark.parametrize(
    "text",
    [
        "url,code\rhttps://example.com/,{code}\r",
        "url;code\nhttps://example.com/;{code}",
        "\n\nurl\tcode\r\nhttps://example.com/\t{code}",
        '"url","code"\n"https://example.com/","{code}"',
    ],
    ids=["carriage returns", "semicolons", "tabs", "quotes"],
)
def test_spreadsheets_write_csv_in_many_ways(server: Server, text: str) -> None:
    """Whatever stands between cells and at the end of lines, the same link is made."""
    code, person = alias(), Person(server)
    looked = sent_whole(person, action="check", text=text.format(code=code))
    assert "1 of 1 links can be made" in looked.text
    sent_whole(person, action="make", text=text.format(code=code), once=code)
    assert server.api("GET", f"/links/{code}").json()["url"] == "https://example.com/"


def test_a_quote_that_is_never_closed_is_told(server: Server) -> None:
    """What cannot be read as CSV is said at the field, and what was pasted is kept."""
    text = 'url\n"' + "https://example.com/\n" * 9_000
    answer = sent_whole(Person(server), action="check", text=text)
    assert answer.status_code == 422
    assert 'id="text-error"' in answer.text
    assert "is not CSV" in answer.text


def test_a_list_of_addresses_may_have_quotes(server: Server) -> None:
    """Without a header a line is an address and nothing is CSV."""
    text = 'https://example.com/?a="1\nhttps://example.com/?b=2"'
    assert "2 of 2 links can be made" in sent_whole(Person(server), action="check", text=text).text


def test_a_list_may_be_as_large_as_a_body(server: Server) -> None:
    """What the form says of its bound is true of what is pasted, too."""
    text = "\n".join(f"https://example.com/{n:0>900}" for n in range(1_000))
    answer = sent_whole(Person(server), action="check", text=text)
    assert "1,000 of 1,000 links can be made" in answer.text


def test_a_key_is_made_shown_once_and_revoked(server: Server) -> None:
    """The secret is on one page and works; loaded again the page has it no more."""
    name, person = alias(), Person(server)
    answer = person.send("/-/keys", name=name, scopes=["links:read", "stats:read"])
    page = person.see(answer.headers["Location"])
    secret = re.search(r"sk_[0-9A-Za-z]{38}", page)
    assert secret is not None
    assert secret[0] not in person.see("/-/keys")
    other = Person(server, secret[0])
    assert other.answer.status_code == 303
    (key,) = [one for one in server.api("GET", "/keys").json()["keys"] if one["name"] == name]
    assert key["scopes"] == ["links:read", "stats:read"]
    assert "let in no more" in person.see(f"/-/keys/{key['id']}/revoke")
    person.send(f"/-/keys/{key['id']}/revoke")
    assert other.http.get("/-/").status_code == 303


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "", "scopes": ["links:read"]}, "name"),
        ({"name": "no scopes"}, "scopes"),
        (
            {"name": "past", "scopes": ["admin"], "expires_at": "2020-01-01T00:00"},
            "expires_at",
        ),
    ],
)
def test_a_wrong_key_form_is_said_at_its_field(
    server: Server, fields: dict[str, Any], wrong: str
) -> None:
    """Nothing is made of what cannot be."""
    answer = Person(server).send("/-/keys", **fields)
    assert answer.status_code == 422
    assert f'id="{wrong}-error"' in answer.text


def test_the_last_admin_key_stays(server: Server, new_server: Any) -> None:
    """Nobody locks the site by a click; other admin keys go."""
    own = new_server().start()
    person = Person(own)
    (key,) = own.api("GET", "/keys").json()["keys"]
    answer = person.send(f"/-/keys/{key['id']}/revoke")
    assert "last key" in person.see(answer.headers["Location"])
    assert own.api("GET", "/keys").status_code == 200


def test_an_expired_key_does_not_stand_in_for_the_last_one(new_server: Any) -> None:
    """Who revoked the last admin key that works would lock the site."""
    own = new_server(WORKERS="1").start()
    (key,) = own.api("GET", "/keys").json()["keys"]
    ends = (datetime.now(UTC) + timedelta(seconds=2)).isoformat(timespec="seconds")
    wish = {"name": "old", "scopes": ["admin"], "expires_at": ends}
    old = {"Authorization": f"Bearer {own.api('POST', '/keys', json=wish).json()['key']}"}
    eventually(
        lambda: own.http.get("/api/v1/keys", headers=old).status_code, lambda found: found == 401
    )
    person = Person(own)
    answer = person.send(f"/-/keys/{key['id']}/revoke")
    assert "last key" in person.see(answer.headers["Location"])
    assert own.api("GET", "/keys").status_code == 200


def test_the_status_page_says_what_ready_says(server: Server) -> None:
    """Each check with its words."""
    page = html.unescape(Person(server).see("/-/status"))
    for check in server.http.get("/-/ready").json()["checks"].values():
        if not any(c.isdigit() for c in check["detail"]):
            assert check["detail"] in page


def test_of_two_last_admins_one_stays(new_server: Any) -> None:
    """Two who revoke each other in the same moment do not lock the site, eight times."""
    own = new_server(WORKERS="2").start()
    keys = [own.key]
    for _ in range(8):
        body = {"name": "x", "scopes": ["admin"]}
        made = own.api("POST", "/keys", json=body, headers=by(keys[0]))
        keys = [keys[0], made.json()["key"]]
        listed = own.api("GET", "/keys", headers=by(keys[0])).json()["keys"]
        ids = [key["id"] for key in sorted(listed, key=lambda key: key["id"] == made.json()["id"])]
        people, ready = [Person(own, key) for key in keys], threading.Barrier(2)

        def revoke(person: Person, identity: str, ready: threading.Barrier = ready) -> None:
            page = person.see("/-/keys")
            ready.wait()
            person.post(f"/-/keys/{identity}/revoke", page)

        pairs = zip(people, reversed(ids), strict=True)
        threads = [threading.Thread(target=revoke, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        keys = [key for key in keys if own.api("GET", "/keys", headers=by(key)).status_code == 200]
        assert len(keys) == 1


def by(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_new_secret_is_for_the_page_of_keys(server: Server) -> None:
    """Another page that is loaded first does not use it up, and no other session is shown it."""
    person, other = Person(server), Person(server)
    answer = person.send("/-/keys", name=alias(), scopes=["links:read"])
    shown = answer.headers["Set-Cookie"]
    assert "Path=/-/keys" in shown
    cookie = re.search(r"shortener-message=([^;]+)", shown)
    assert cookie is not None
    assert "sk_" not in person.see("/-/")
    other.http.cookies.set("shortener-message", cookie[1], path="/-/keys")
    assert "Your new key" not in other.see("/-/keys")
    assert "Your new key" in person.see("/-/keys")
    assert "Your new key" not in person.see("/-/keys")
