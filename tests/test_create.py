"""Creating links: `POST /api/v1/links`, what it answers, stores and refuses.

Bodies that are no request at all are in test_bad_input, destinations in test_targets.
"""

import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.harness import Server

URL = "https://example.com/page"
FIELDS = {
    "code",
    "short_url",
    "url",
    "title",
    "tags",
    "redirect_status",
    "created_at",
    "updated_at",
    "created_by",
    "expires_at",
    "clicks",
    "bots",
    "last_clicked_at",
}
LATER = "2099-03-01T12:00:00Z"


def create(server: Server, **fields: Any) -> httpx.Response:
    return server.api("POST", "/links", json={"url": URL} | fields)


def refused(answer: httpx.Response) -> list[str]:
    """The fields that a refusal names."""
    assert answer.status_code == 422, answer.text
    return [entry["field"] for entry in answer.json()["errors"]]


def other_key(server: Server) -> dict[str, str]:
    """Headers with a key of its own that may write links."""
    answer = server.api("POST", "/keys", json={"name": "other", "scopes": ["links:write"]})
    return {"Authorization": f"Bearer {answer.json()['key']}"}


def test_a_url_is_enough(server: Server) -> None:
    """The answer has every field: what was not given has its default, what is unset is null."""
    answer = create(server)
    link = answer.json()
    assert answer.status_code == 201
    assert set(link) >= FIELDS
    assert link["url"] == URL
    assert link["short_url"] == f"https://arab.news/{link['code']}"
    unset = {"title", "expires_at", "last_clicked_at", "bots"}
    assert {name: link[name] for name in unset} == dict.fromkeys(unset)
    assert (link["tags"], link["redirect_status"], link["clicks"]) == ([], 302, 0)


def test_location_leads_to_the_link(server: Server) -> None:
    """`Location` of a 201 is where the API answers the new link."""
    answer = create(server)
    location = answer.headers["location"]
    read = server.http.get(location, headers={"X-Api-Key": server.key})
    assert location == f"/api/v1/links/{answer.json()['code']}"
    assert read.json() == answer.json()


def test_location_of_an_arabic_alias_leads_to_the_link(server: Server) -> None:
    """`Location` is percent-encoded where the alias is not ASCII."""
    answer = create(server, code="خبر-عاجل")
    location = answer.headers["location"]
    assert answer.status_code == 201
    assert location.isascii()
    read = server.http.get(location, headers={"X-Api-Key": server.key})
    assert read.json()["code"] == "خبر-عاجل"


def test_every_field_that_is_given_is_kept(server: Server) -> None:
    """What was asked for is answered, and read again the same."""
    asked = {
        "code": "all-of-it",
        "title": "Summit — قمة",
        "tags": ["news", "قمة"],
        "expires_at": LATER,
        "redirect_status": 308,
    }
    made = create(server, **asked).json()
    assert {name: made[name] for name in asked} == asked
    assert server.api("GET", "/links/all-of-it").json() == made


def test_a_new_link_redirects_at_once(server: Server) -> None:
    """The first visit finds what was just created."""
    code = create(server).json()["code"]
    answer = server.follow(code)
    assert (answer.status_code, answer.headers["location"]) == (302, URL)


def test_the_same_url_twice_is_two_links(server: Server) -> None:
    """Without an alias every request makes a link of its own."""
    first, second = create(server), create(server)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["code"] != second.json()["code"]


def test_times_are_utc_in_rfc_3339(server: Server) -> None:
    """`created_at` is now, in UTC with a Z; `updated_at` begins as the same."""
    before = datetime.now(UTC).replace(microsecond=0)
    link = create(server).json()
    after = datetime.now(UTC)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", link["created_at"])
    assert before <= datetime.fromisoformat(link["created_at"]) <= after
    assert link["updated_at"] == link["created_at"]


def test_created_by_is_the_id_of_the_key(server: Server) -> None:
    """A link says which key made it."""
    body = {"name": "newsroom", "scopes": ["links:write"]}
    key = server.api("POST", "/keys", json=body).json()
    made = server.http.post(
        "/api/v1/links", json={"url": URL}, headers={"Authorization": f"Bearer {key['key']}"}
    )
    assert made.json()["created_by"] == key["id"]


def test_null_is_the_default(server: Server) -> None:
    """A field that is null counts as left out."""
    fields = ("code", "title", "tags", "expires_at", "redirect_status")
    answer = create(server, **dict.fromkeys(fields))
    link = answer.json()
    assert answer.status_code == 201
    assert re.fullmatch("[a-z0-9]{5}", link["code"])
    assert [link[name] for name in fields[1:]] == [None, [], None, 302]


ALIASES = {
    "a letter": ("q", "q"),
    "a digit": ("7", "7"),
    "hyphen and underscore": ("top-10_of", "top-10_of"),
    "at the end": ("ends-", "ends-"),
    "upper case": ("WDF98-Upper", "wdf98-upper"),
    "Arabic": ("قمة-الرياض", "قمة-الرياض"),
    "Arabic with marks": ("عَرَبِيّ", "عَرَبِيّ"),
    "Arabic digits": ("٢٠٢٦", "٢٠٢٦"),
    "German sharp s": ("Straße-1", "strasse-1"),
    "composed": ("Ca\u0301fe", "c\u00e1fe"),
    "Greek final sigma": ("ΛΟΓΟΣ", "λογοσ"),
    "Devanagari": ("समाचार", "समाचार"),
    "Chinese": ("新闻", "新闻"),
    "64 characters": ("m" * 64, "m" * 64),
    "64 when folded": ("ß" * 32, "s" * 64),
    "64 when composed": ("e\u0301" * 64, "\u00e9" * 64),
}


@pytest.mark.parametrize(("asked", "stored"), ALIASES.values(), ids=ALIASES)
def test_an_alias_is_normalised(server: Server, asked: str, stored: str) -> None:
    """Letters, digits and marks of any script, `-` and `_`: stored in NFC and without case."""
    answer = create(server, code=asked)
    assert answer.status_code == 201
    assert answer.json()["code"] == unicodedata.normalize("NFC", stored)


@pytest.mark.parametrize(("asked", "stored"), ALIASES.values(), ids=ALIASES)
def test_an_alias_redirects_in_every_spelling(server: Server, asked: str, stored: str) -> None:
    """What was asked for, what was stored, decomposed and in capitals: all are the one link."""
    create(server, code=asked)  # 200 when it is there from an earlier test
    spellings = {asked, stored, unicodedata.normalize("NFD", asked), stored.upper()}
    assert {server.follow(code).status_code for code in spellings} == {302}


def test_the_short_url_of_an_alias_works_as_it_is(server: Server) -> None:
    """`short_url` is ASCII, percent-encoded where it must be, and its path is the redirect."""
    short = create(server, code="ملتقى").json()["short_url"]
    path = short.removeprefix("https://arab.news")
    assert short.isascii()
    assert path != short
    assert server.http.get(path).headers["location"] == URL


REFUSED_ALIASES = {
    "empty": "",
    "65 characters": "a" * 65,
    "66 when folded": "ß" * 33,
    "10 kB": "a" * 10_000,
    "a hyphen": "-",
    "a hyphen first": "-a",
    "an underscore first": "_a",
    "a mark first": "\u0301a",
    "dots": "..",
    "a dot": "a.b",
    "encoded dots": "%2e%2e",
    "a slash": "a/b",
    "a backslash": "a\\b",
    "a space": "a b",
    "a space around": " a ",
    "a plus": "code+",
    "a question mark": "a?b",
    "a number sign": "a#b",
    "markup": "<b>",
    "an emoji": "a😀",
    "currency": "a€",
    "a fraction": "a½",
    "a joiner": "a\u200db",
    "a direction override": "a\u202eb",
    "a byte order mark": "a\ufeff",
    "a private character": "a\ue000",
    "the API": "api",
    "the API in capitals": "API",
}


@pytest.mark.parametrize("alias", REFUSED_ALIASES.values(), ids=REFUSED_ALIASES)
def test_an_alias_outside_the_rules_is_refused(server: Server, alias: str) -> None:
    """422 that names `code`: not a letter or digit first, other characters, length, reserved."""
    assert refused(create(server, code=alias)) == ["code"]


TAKEN = {
    "the same spelling": ("taken-1", "taken-1"),
    "another case": ("taken-2", "TAKEN-2"),
    "sharp s": ("gro\u00df-3", "GROSS-3"),
    "decomposed": ("caf\u00e9-4", "cafe\u0301-4"),
    "Arabic, decomposed": ("\u0622-5", "\u0627\u0653-5"),
}


@pytest.mark.parametrize(("first", "second"), TAKEN.values(), ids=TAKEN)
def test_a_taken_alias_is_a_conflict(server: Server, first: str, second: str) -> None:
    """409 in every spelling of the alias, and the link that has it stays as it was."""
    made = create(server, code=first).json()
    answer = server.api("POST", "/links", json={"url": "https://example.com/2", "code": second})
    assert answer.status_code == 409
    assert server.api("GET", f"/links/{first}").json() == made


FULL = {"title": "One", "tags": ["a", "b"], "expires_at": LATER, "redirect_status": 301}
RETRIES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "equal": (FULL, FULL, 200),
    "nothing else given": ({}, {}, 200),
    "fewer fields given": (FULL, {}, 200),
    "the URL in other words": ({}, {"url": "HTTPS://EXAMPLE.COM:443/a/../page"}, 200),
    "the default said": ({}, {"redirect_status": 302}, 200),
    "null for what is unset": ({}, {"title": None, "tags": None, "expires_at": None}, 200),
    "the time in another zone": (FULL, {"expires_at": "2099-03-01T15:00:00+03:00"}, 200),
    "the tags in capitals": (FULL, {"tags": ["A", "B"]}, 200),
    "another URL": ({}, {"url": "https://example.com/other"}, 409),
    "another title": (FULL, {"title": "Two"}, 409),
    "a title more": ({}, {"title": "One"}, 409),
    "null for a title": (FULL, {"title": None}, 409),
    "a tag less": (FULL, {"tags": ["a"]}, 409),
    "another order of tags": (FULL, {"tags": ["b", "a"]}, 409),
    "another time": (FULL, {"expires_at": "2099-03-01T12:00:01Z"}, 409),
    "another status": (FULL, {"redirect_status": 308}, 409),
}


@pytest.mark.parametrize(("first", "again", "status"), RETRIES.values(), ids=RETRIES)
def test_an_alias_asked_for_again(
    server: Server,
    request: pytest.FixtureRequest,
    first: dict[str, Any],
    again: dict[str, Any],
    status: int,
) -> None:
    """By the same key and equal in every given field: 200 with the link; otherwise 409."""
    code = f"again-{list(RETRIES).index(request.node.callspec.id)}"
    made = create(server, code=code, **first)
    repeated = create(server, code=code, **again)
    assert made.status_code == 201
    assert repeated.status_code == status
    if status == 200:
        assert repeated.json() == made.json()
        assert repeated.headers["location"] == made.headers["location"]


def test_another_key_cannot_repeat_a_request(server: Server) -> None:
    """The safe retry is for the key that made the link: from another one it is 409."""
    made = create(server, code="mine-alone")
    body = {"url": URL, "code": "mine-alone"}
    answer = server.http.post("/api/v1/links", json=body, headers=other_key(server))
    assert (made.status_code, answer.status_code) == (201, 409)


def test_of_many_who_want_an_alias_at_once_one_gets_it(server: Server) -> None:
    """One 201, all others 409, and the link is the winner's."""

    def attempt(n: int) -> httpx.Response:
        return create(server, code="wanted", url=f"https://example.com/{n}")

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(attempt, range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11
    (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert server.api("GET", "/links/wanted").json() == winner


def test_equal_requests_at_once_make_one_link(server: Server) -> None:
    """One 201, all others 200, each with the same link."""
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: create(server, code="together"), range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert len({answer.text for answer in answers}) == 1


TITLES = {
    "one character": ("x", "x"),
    "512 characters": ("ق" * 512, "ق" * 512),
    "512 beyond the basic plane": ("😀" * 512, "😀" * 512),
    "several scripts": ("Summit قمة 峰会", "Summit قمة 峰会"),
    "decomposed": ("Cafe\u0301", "Caf\u00e9"),
    "markup": ('<b>"&amp;', '<b>"&amp;'),
    "empty": ("", None),
}


@pytest.mark.parametrize(("asked", "stored"), TITLES.values(), ids=TITLES)
def test_a_title_is_kept_in_nfc(server: Server, asked: str, stored: str | None) -> None:
    """Up to 512 characters of any script; an empty one is none."""
    answer = create(server, title=asked)
    assert (answer.status_code, answer.json()["title"]) == (201, stored)


def test_a_title_of_513_characters_is_refused(server: Server) -> None:
    """422 that names `title`."""
    assert refused(create(server, title="x" * 513)) == ["title"]


def test_a_title_does_not_outgrow_its_bound(server: Server) -> None:
    """512 letters that NFC takes apart: refused, or stored as 512; not as 1024."""
    answer = create(server, title="\u0958" * 512)
    assert answer.status_code == 422 or len(answer.json()["title"]) <= 512


TAGS: dict[str, tuple[list[str], list[str]]] = {
    "none": ([], []),
    "lower-cased": (["News", "SUMMIT"], ["news", "summit"]),
    "in the order given": (["z", "a", "m"], ["z", "a", "m"]),
    "without repetitions": (["b", "a", "B", "a", "c"], ["b", "a", "c"]),
    "in NFC": (["Cafe\u0301", "caf\u00e9"], ["caf\u00e9"]),
    "of any script": (["قمة", "峰会"], ["قمة", "峰会"]),
    "of 64 characters": (["x" * 64], ["x" * 64]),
    "20 of them": ([f"t{n}" for n in range(20)], [f"t{n}" for n in range(20)]),
    "with punctuation": (["g20 & friends, 2026!"], ["g20 & friends, 2026!"]),
}


@pytest.mark.parametrize(("asked", "stored"), TAGS.values(), ids=TAGS)
def test_tags_are_lower_cased_and_keep_their_order(
    server: Server, asked: list[str], stored: list[str]
) -> None:
    """At most 20 of 1 to 64 characters; the first of repeated ones stays."""
    answer = create(server, tags=asked)
    assert (answer.status_code, answer.json()["tags"]) == (201, stored)


REFUSED_TAGS: dict[str, tuple[list[str], str]] = {
    "21 of them": ([f"t{n}" for n in range(21)], "tags"),
    "an empty one": (["a", ""], "tags[1]"),
    "a blank one": (["a", "b", " "], "tags[2]"),
    "65 characters": (["a", "x" * 65], "tags[1]"),
    "a line break": (["a\nb"], "tags[0]"),
}


@pytest.mark.parametrize(("tags", "field"), REFUSED_TAGS.values(), ids=REFUSED_TAGS)
def test_tags_outside_the_bounds_are_refused(server: Server, tags: list[str], field: str) -> None:
    """422 that names the tag at fault."""
    assert refused(create(server, tags=tags)) == [field]


def test_a_tag_does_not_outgrow_its_bound(server: Server) -> None:
    """64 letters that are two characters each in lower case: refused, or stored as 64."""
    answer = create(server, tags=["\u0130" * 64])
    assert answer.status_code == 422 or len(answer.json()["tags"][0]) <= 64


EXPIRIES = {
    "UTC": ("2099-06-01T12:00:00Z", "2099-06-01T12:00:00Z"),
    "Riyadh": ("2099-06-01T15:00:00+03:00", "2099-06-01T12:00:00Z"),
    "Kathmandu": ("2099-06-01T00:00:00+05:45", "2099-05-31T18:15:00Z"),
    "west of Greenwich": ("2099-12-31T20:00:00-05:00", "2100-01-01T01:00:00Z"),
    "the last second": ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
}


@pytest.mark.parametrize(("asked", "stored"), EXPIRIES.values(), ids=EXPIRIES)
def test_expires_at_is_answered_in_utc(server: Server, asked: str, stored: str) -> None:
    """Any offset is accepted."""
    answer = create(server, expires_at=asked)
    assert (answer.status_code, answer.json()["expires_at"]) == (201, stored)


REFUSED_EXPIRIES = {
    "without an offset": "2099-06-01T12:00:00",
    "a date": "2099-06-01",
    "in the past": "2020-01-01T00:00:00Z",
    "just now": lambda: datetime.now(UTC).isoformat(),
    "past by its offset": lambda: (datetime.now(UTC) + timedelta(hours=1)).strftime(
        "%Y-%m-%dT%H:%M:%S+03:00"
    ),
    "before 1970": "1969-12-31T23:59:59Z",
    "not in the calendar": "2099-02-30T00:00:00Z",
    "hour 25": "2099-06-01T25:00:00Z",
    "words": "tomorrow",
    "empty": "",
    "a number": 4_083_955_200,
}


@pytest.mark.parametrize("expires_at", REFUSED_EXPIRIES.values(), ids=REFUSED_EXPIRIES)
def test_a_time_that_is_past_or_vague_is_refused(server: Server, expires_at: Any) -> None:
    """422 that names `expires_at`: it must be in the future and have an offset."""
    asked = expires_at() if callable(expires_at) else expires_at
    assert refused(create(server, expires_at=asked)) == ["expires_at"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_redirect_has_the_status_asked_for(server: Server, status: int) -> None:
    """`redirect_status` is what visitors are answered with."""
    link = create(server, redirect_status=status).json()
    assert link["redirect_status"] == status
    assert server.follow(link["code"]).status_code == status


@pytest.mark.parametrize("status", [0, 200, 300, 303, 304, 404, -302])
def test_other_statuses_are_refused(server: Server, status: int) -> None:
    """422 that names `redirect_status`."""
    assert refused(create(server, redirect_status=status)) == ["redirect_status"]


def test_a_refused_request_makes_no_link(server: Server) -> None:
    """The alias of a request that was refused stays free."""
    assert refused(create(server, code="half-done", title="x" * 513)) == ["title"]
    assert server.api("GET", "/links/half-done").status_code == 404
    assert create(server, code="half-done").status_code == 201
