"""`POST /api/v1/links`: what a new link is, who gets it again, and what it may be called."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.harness import Server

NewServer = Callable[..., Server]

URL = "https://example.com/"
UNSET: dict[str, Any] = {
    "title": None,
    "tags": [],
    "redirect_status": 302,
    "forward_query": False,
    "starts_at": None,
    "expires_at": None,
    "expired_url": None,
    "max_clicks": None,
    "remaining": None,
    "has_password": False,
    "clicks": 0,
    "bots": 0,
    "last_clicked_at": None,
}
GIVEN: dict[str, Any] = {
    "title": "G20 في الرياض",
    "tags": ["g20", "riyadh"],
    "redirect_status": 308,
    "forward_query": True,
    "starts_at": "2020-11-21T09:00:00Z",
    "expires_at": "2099-11-22T18:00:00Z",
    "expired_url": "https://example.com/over",
}


def post(server: Server, key: str | None = None, **fields: Any) -> httpx.Response:
    """Ask for a link, with the admin key or another one."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return server.api("POST", "/links", json={"url": URL} | fields, headers=headers)


def post_escaped(server: Server, body: dict[str, Any]) -> httpx.Response:
    """As JSON in ASCII, which can say half a surrogate pair."""
    return server.api("POST", "/links", content=json.dumps(body).encode())


def writer(server: Server) -> str:
    """Another key that may make links."""
    answer = server.api("POST", "/keys", json={"name": "writer", "scopes": ["links:write"]})
    return str(answer.json()["key"])


def refused_field(answer: httpx.Response) -> str:
    """The field that a 422 is about."""
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["message"]
    return str(error["field"])


def test_a_link_has_every_field(server: Server) -> None:
    """What is not asked for is there too, null or its default, and no field is more than named."""
    before = datetime.now(UTC).replace(microsecond=0)
    link = post(server, code="shape").json()
    ours = {
        key["id"] for key in server.api("GET", "/keys").json()["keys"] if "admin" in key["scopes"]
    }
    created = link.pop("created_at")
    assert created.endswith("Z")
    assert before <= datetime.fromisoformat(created) <= datetime.now(UTC)
    assert link.pop("updated_at") == created
    assert link.pop("created_by") in ours
    assert link == UNSET | {
        "code": "shape",
        "domain": "arab.news",
        "short_url": "https://arab.news/shape",
        "url": URL,
    }


def test_what_is_given_is_answered(server: Server) -> None:
    """Every settable field comes back as it was set, also when it is read later."""
    answer = post(server, **GIVEN)
    assert answer.status_code == 201, answer.text
    link = answer.json()
    assert {name: link[name] for name in GIVEN} == GIVEN
    assert server.api("GET", f"/links/{link['code']}").json() == link


def test_null_is_the_default(server: Server) -> None:
    """A field that is null is as one that is not given."""
    nothing = dict.fromkeys([*GIVEN, "code", "code_length", "domain"])
    answer = post(server, **nothing)
    assert answer.status_code == 201, answer.text
    assert {name: answer.json()[name] for name in UNSET} == UNSET
    assert len(answer.json()["code"]) == 5


@pytest.mark.parametrize("code", ["placed", "مكان", "ställe"])
def test_the_location_is_where_the_link_is_read(server: Server, code: str) -> None:
    """201 carries a `Location` in ASCII, and a GET there answers the same link."""
    answer = post(server, code=code)
    location = answer.headers["location"]
    assert (answer.status_code, location) == (201, f"/api/v1/links/{quote(code)}")
    assert server.api("GET", location.removeprefix("/api/v1")).json() == answer.json()


def test_a_generated_code_leads_there(server: Server) -> None:
    """Without an alias the code is made, and follows at once."""
    link = server.make_link("https://example.com/made")
    assert link["short_url"] == f"https://arab.news/{link['code']}"
    assert server.follow(link["code"]).headers["location"] == "https://example.com/made"


def test_the_same_destination_has_many_links(server: Server) -> None:
    """Without an alias every request makes a link."""
    assert len({server.make_link()["code"] for _ in range(20)}) == 20


def test_a_taken_alias_is_409(server: Server) -> None:
    """Another link keeps its code and is not changed."""
    link = server.make_link(code="taken")
    answer = post(server, code="taken", url="https://example.com/other")
    assert (answer.status_code, answer.json()["type"]) == (409, "/-/errors#code-taken")
    assert server.api("GET", "/links/taken").json() == link


def test_a_deleted_alias_is_free(server: Server) -> None:
    """After a DELETE anyone may have the code, and it starts afresh."""
    server.make_link(code="phoenix", title="old")
    assert server.api("DELETE", "/links/phoenix").status_code == 204
    assert server.make_link(code="phoenix")["title"] is None


RETRIES: dict[str, dict[str, Any]] = {
    "all fields": GIVEN,
    "the alias alone": {},
    "one field": {"title": GIVEN["title"]},
    "a field written otherwise": {"tags": ["G20", "Riyadh", "g20"]},
    "a time written otherwise": {"expires_at": "2099-11-22T21:00:00+03:00"},
}


@pytest.mark.parametrize("name", RETRIES)
def test_a_retry_answers_the_same_link(server: Server, name: str) -> None:
    """The same key, and every given field equal: 200 with the link that is there."""
    code, again = name.replace(" ", "-"), RETRIES[name]
    first = post(server, code=code, **GIVEN)
    second = post(server, code=code, **again)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert second.headers["location"] == first.headers["location"]


DIFFERENT = {
    "url": "https://example.com/different",
    "title": "another",
    "tags": ["riyadh", "g20"],
    "redirect_status": 307,
    "forward_query": False,
    "starts_at": None,
    "expires_at": "2099-11-22T18:00:01Z",
    "expired_url": None,
}


@pytest.mark.parametrize(("field", "value"), DIFFERENT.items(), ids=DIFFERENT)
def test_a_retry_with_another_field_is_409(server: Server, field: str, value: Any) -> None:
    """One given field that differs makes it a request for another link."""
    code = f"differs-{field}".replace("_", "-")
    assert post(server, code=code, **GIVEN).status_code == 201
    assert post(server, code=code, **{**GIVEN, field: value}).status_code == 409


def test_a_retry_by_another_key_is_409(server: Server) -> None:
    """What one key made is not another's retry."""
    own = writer(server)
    assert post(server, own, code="mine").status_code == 201
    assert post(server, code="mine").status_code == 409
    assert post(server, own, code="mine").status_code == 200


@pytest.mark.parametrize(
    ("code", "differ", "wanted"),
    [("race-same", False, {201: 1, 200: 19}), ("race-other", True, {201: 1, 409: 19})],
    ids=["equal requests", "different requests"],
)
def test_of_many_at_once_one_makes_it(
    server: Server, code: str, differ: bool, wanted: dict[int, int]
) -> None:
    """Twenty requests for one alias in the same moment make one link."""

    def ask(number: int) -> httpx.Response:
        return post(server, code=code, url=f"https://example.com/{number if differ else 0}")

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(ask, range(20)))
    assert Counter(answer.status_code for answer in answers) == wanted
    (made,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert server.api("GET", f"/links/{code}").json() == made


SPELLINGS = {
    "upper case": ["MixedCase", "mixedcase", "MIXEDCASE"],
    "sharp s": ["Straße", "STRASSE", "strasse", "STRAẞE"],
    "final sigma": ["ΣΟΦΟΣ", "σοφος", "σοφοσ"],
    "umlaut, decomposed": ["Größe1", "gro\u0308ße1", "GRÖSSE1"],
    "alef with madda": ["\u0622\u0628", "\u0627\u0653\u0628"],
    "harakat in any order": ["ق\u0650م\u0651\u064eة", "ق\u0650م\u064e\u0651ة"],
    "kelvin sign": ["15\u212a", "15k", "15K"],
}


@pytest.mark.parametrize("spellings", SPELLINGS.values(), ids=SPELLINGS)
def test_spellings_of_an_alias_are_one(server: Server, spellings: list[str]) -> None:
    """Case and composition do not tell codes apart: taken, read and followed in every spelling."""
    link = server.make_link(f"https://example.com/{quote(spellings[0])}", code=spellings[0])
    for spelling in spellings:
        assert post(server, code=spelling).status_code == 409
        assert server.api("GET", f"/links/{quote(spelling)}").json()["code"] == link["code"]
        assert server.follow(quote(spelling)).headers["location"] == link["url"]
    assert link["short_url"] == f"https://arab.news/{quote(link['code'])}"


def test_case_may_tell_codes_apart(new_server: NewServer) -> None:
    """With CASE_SENSITIVE two cases are two links, and composition still is not."""
    server = new_server(CASE_SENSITIVE="true").start()
    server.make_link("https://example.com/1", code="Zürich")
    server.make_link("https://example.com/2", code="zürich")
    assert server.follow(quote("Zu\u0308rich")).headers["location"] == "https://example.com/1"
    assert server.follow(quote("zürich")).headers["location"] == "https://example.com/2"
    assert server.follow(quote("ZÜRICH")).status_code == 404


ALIASES = {
    "one character": ("7", "7"),
    "dashes inside": ("g20-riyadh_2020", "g20-riyadh_2020"),
    "ends with a dash": ("end-", "end-"),
    "64 characters": ("x" * 64, "x" * 64),
    "64 after composing": ("e\u0301" * 64, "é" * 64),
    "64 after folding": ("ß" * 32, "s" * 64),
    "Arabic digits": ("٢٠٢٠", "٢٠٢٠"),
    "begins like ours": ("api2", "api2"),
    "beyond the first plane": ("\U00010437", "\U00010437"),
}


@pytest.mark.parametrize(("alias", "code"), ALIASES.values(), ids=ALIASES)
def test_an_alias_may_be(server: Server, alias: str, code: str) -> None:
    """Letters, digits and marks of every script, `-` and `_`; 1 to 64 characters as stored."""
    assert server.make_link(code=alias)["code"] == code
    assert server.follow(quote(alias)).status_code == 302


NO_ALIASES = {
    "ours": "api",
    "ours in upper case": "API",
    "a dash": "-",
    "begins with a dash": "-a",
    "begins with an underscore": "_a",
    "begins with a mark": "\u0301a",
    "a dot": ".",
    "two dots": "..",
    "two dots encoded": "%2e%2e",
    "a file of ours": "robots.txt",
    "a slash": "a/b",
    "a backslash": "a\\b",
    "a plus": "code+",
    "a question mark": "a?b",
    "a hash": "a#b",
    "a space": "a b",
    "a space behind": "a ",
    "a no-break space": "a\u00a0b",
    "empty": "",
    "10 kB": "a" * 10_240,
    "65 characters": "a" * 65,
    "65 characters of Arabic": "ع" * 65,
    "66 after folding": "ß" * 33,
    "NUL": "a\0b",
    "CR LF": "a\r\nb",
    "LF behind": "a\n",
    "DEL": "a\x7f",
    "C1": "a\x85b",
    "zero width": "a\u200bb",
    "a joiner": "a\u200db",
    "right to left override": "a\u202eb",
    "a line separator": "a\u2028b",
    "a lone surrogate": "a\ud800",
    "an emoji": "\U0001f600",
    "a superscript": "a²",
    "markup": "<b>",
}


@pytest.mark.parametrize("alias", NO_ALIASES.values(), ids=NO_ALIASES)
def test_an_alias_may_not_be(server: Server, alias: str) -> None:
    """422 with `code` named, and no link is made."""
    before = server.api("GET", "/links?limit=1").json()["total"]
    assert refused_field(post_escaped(server, {"url": URL, "code": alias})) == "code"
    assert server.api("GET", "/links?limit=1").json()["total"] == before


TITLES = {
    "empty": ("", None),
    "512 characters": ("t" * 512, "t" * 512),
    "512 beyond the first plane": ("\U0001f4f0" * 512, "\U0001f4f0" * 512),
    "decomposed": ("cafe\u0301", "café"),
    "markup": ("<b>&\"'", "<b>&\"'"),
    "a joiner": ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
}


@pytest.mark.parametrize(("given", "kept"), TITLES.values(), ids=TITLES)
def test_a_title_may_be(server: Server, given: str, kept: str | None) -> None:
    """At most 512 characters of anything that can be read, in NFC."""
    assert server.make_link(title=given)["title"] == kept


TAGS = {
    "lower-cased": (["News", "ÄRZTE"], ["news", "ärzte"]),
    "in the order given": (["c", "a", "b"], ["c", "a", "b"]),
    "once each": (["b", "a", "B", "a"], ["b", "a"]),
    "once each, decomposed": (["é", "E\u0301"], ["é"]),
    "twenty": ([f"t{n}" for n in range(20)], [f"t{n}" for n in range(20)]),
    "64 characters": (["X" * 64], ["x" * 64]),
    "Arabic": (["الرياض"], ["الرياض"]),
    "none": ([], []),
}


@pytest.mark.parametrize(("given", "kept"), TAGS.values(), ids=TAGS)
def test_tags_may_be(server: Server, given: list[str], kept: list[str]) -> None:
    """Lower-cased, in the order given, each once."""
    assert server.make_link(tags=given)["tags"] == kept


BOUNDS: dict[str, tuple[dict[str, Any], str]] = {
    "a title of 513": ({"title": "t" * 513}, "title"),
    "a title of 1 MB": ({"title": "t" * 1_000_000}, "title"),
    "a title that composing makes longer": ({"title": "\ufb2c" * 512}, "title"),
    "21 tags": ({"tags": [f"t{n}" for n in range(21)]}, "tags"),
    "a tag of 65": ({"tags": ["fine", "x" * 65]}, "tags[1]"),
    "a tag that lower case makes longer": ({"tags": ["İ" * 64]}, "tags[0]"),
    "an empty tag": ({"tags": ["fine", ""]}, "tags[1]"),
    "a blank tag": ({"tags": [" "]}, "tags[0]"),
    "a short length": ({"code_length": 4}, "code_length"),
    "a long length": ({"code_length": 33}, "code_length"),
    "a strange domain": ({"domain": "example.com"}, "domain"),
    "an empty domain": ({"domain": ""}, "domain"),
    "an unknown status": ({"redirect_status": 303}, "redirect_status"),
    "an empty other place": ({"expired_url": ""}, "expired_url"),
    "ourselves as other place": ({"expired_url": "https://arab.news./x"}, "expired_url"),
}


@pytest.mark.parametrize(("fields", "field"), BOUNDS.values(), ids=BOUNDS)
def test_bounds_hold(server: Server, fields: dict[str, Any], field: str) -> None:
    """What is over the bound is 422 with the field named, as it would be stored."""
    assert refused_field(post(server, **fields)) == field


TIMES = {
    "UTC": ("2099-01-01T00:00:00Z", "2099-01-01T00:00:00Z"),
    "ahead of UTC": ("2099-01-01T02:00:00+03:00", "2098-12-31T23:00:00Z"),
    "behind UTC": ("2098-12-31T20:30:00-03:30", "2099-01-01T00:00:00Z"),
    "parts of a second": ("2099-01-01T00:00:00.999Z", "2099-01-01T00:00:00Z"),
    "the last second": ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
}


@pytest.mark.parametrize("field", ["starts_at", "expires_at"])
@pytest.mark.parametrize(("given", "kept"), TIMES.values(), ids=TIMES)
def test_times_are_answered_in_utc(server: Server, field: str, given: str, kept: str) -> None:
    """Any offset is accepted; whole seconds in UTC are kept."""
    assert server.make_link(**{field: given})[field] == kept


NO_TIMES = {
    "without an offset": "2099-01-01T00:00:00",
    "a date": "2099-01-01",
    "a month too many": "2099-13-01T00:00:00Z",
    "a day too many": "2099-02-29T00:00:00Z",
    "a number": 4_070_908_800,
    "in words": "tomorrow",
    "empty": "",
    "a flag": True,
    "a list": [],
}


@pytest.mark.parametrize("field", ["starts_at", "expires_at"])
@pytest.mark.parametrize("given", NO_TIMES.values(), ids=NO_TIMES)
def test_what_is_no_time_is_refused(server: Server, field: str, given: Any) -> None:
    """Only RFC 3339 with an offset is a time."""
    assert refused_field(post(server, **{field: given})) == field


PAST = {
    "long ago": "2020-01-01T00:00:00Z",
    "before the era": "0001-01-01T00:00:00Z",
    "future by its clock alone": "{now}+14:00",
}


@pytest.mark.parametrize("given", PAST.values(), ids=PAST)
def test_an_expired_link_is_not_made(server: Server, given: str) -> None:
    """`expires_at` lies in the future, whatever its offset."""
    given = given.format(now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    assert refused_field(post(server, expires_at=given)) == "expires_at"


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_link_ends_after_it_begins(server: Server, seconds: int) -> None:
    """A link without a moment in which it redirects is refused."""
    times = {"starts_at": f"2099-01-01T00:00:0{seconds}Z", "expires_at": "2099-01-01T00:00:00Z"}
    assert refused_field(post(server, **times)) == "starts_at"


def test_a_time_that_utc_cannot_say_is_refused(new_server: NewServer) -> None:
    """An offset may lead out of the years 1 to 9999: 422, and the list can still be read."""
    server = new_server().start()
    first, last = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"
    asked = [("starts_at", first), ("starts_at", last), ("expires_at", last), ("expires_at", first)]
    answers = [post(server, **{field: given}) for field, given in asked]
    assert server.api("GET", "/links").status_code == 200
    assert [refused_field(answer) for answer in answers] == [field for field, _ in asked]
