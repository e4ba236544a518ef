"""Pages: what people see, in which form a problem is told, and health.

Every page is strict about what it loads, and shows what strangers wrote as text.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import quote

import httpx
import pytest

from shortener.errors import PROBLEMS, Problem
from tests.harness import Server, eventually

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
LOADING = {"src", "href", "srcset", "data", "action", "formaction", "poster", "background"}


class Page(HTMLParser):
    """The tags with their attributes, and the text, of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self) -> Iterator[tuple[str, str]]:
        for _, attributes in self.tags:
            yield from ((name, value or "") for name, value in attributes.items())


@pytest.fixture(scope="module")
def expired(server: Server) -> str:
    """The code of a link that has expired."""
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    code: str = server.make_link(expires_at=soon)["code"]
    assert server.follow(code).status_code == 302
    eventually(lambda: server.follow(code).status_code, lambda status: status == 410)
    return code


@pytest.fixture(params=["front", "unknown", "nowhere", "expired", "errors"])
def page(server: Server, expired: str, request: pytest.FixtureRequest) -> httpx.Response:
    """Each page of the site, as a browser asks for it."""
    paths = {
        "front": "/",
        "unknown": "/nosuchlink",
        "nowhere": "/no/such/page",
        "expired": f"/{expired}",
        "errors": "/-/errors",
    }
    return server.http.get(paths[request.param], headers={"Accept": BROWSER})


def test_a_page_is_html(page: httpx.Response) -> None:
    """A browser gets a whole HTML document in UTF-8."""
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")
    assert [tag for tag, _ in Page(page.text).tags].count("h1") == 1


def test_a_page_has_a_strict_policy(page: httpx.Response) -> None:
    """Nothing is allowed but what is listed; nothing inline, nothing from elsewhere, no frames."""
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in page.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] in ("'self'", "'none'")
    sources = {source for part in policy.values() for source in part.split()}
    assert sources <= {"'none'", "'self'", "data:"}
    assert "data:" not in policy.get("script-src", "")


def test_a_page_is_not_sniffed_and_sends_no_referrer(page: httpx.Response) -> None:
    """The other headers that keep a page what it is."""
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


def test_a_page_loads_nothing_from_elsewhere(page: httpx.Response) -> None:
    """Everything it refers to is a path of this server or a place in the page."""
    found = [value for name, value in Page(page.text).attributes() if name in LOADING]
    assert found
    assert [v for v in found if not v.startswith(("/", "#")) or v.startswith(("//", "/\\"))] == []


def test_what_a_page_loads_is_there(server: Server, page: httpx.Response) -> None:
    """Style and icon are served, and load nothing from elsewhere either."""
    paths = [a["href"] or "" for tag, a in Page(page.text).tags if tag == "link"]
    assert paths
    for path in paths:
        answer = server.http.get(path)
        assert answer.status_code == 200
        without_namespace = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "//" not in without_namespace
        assert "@import" not in without_namespace


def test_a_page_has_nothing_inline(page: httpx.Response) -> None:
    """No script, no style in a tag or attribute, no handler: the policy would stop them."""
    parsed = Page(page.text)
    assert not {"script", "style", "iframe", "object", "embed"} & {tag for tag, _ in parsed.tags}
    names = {name for name, _ in parsed.attributes()}
    assert not [name for name in names if name == "style" or name.startswith("on")]


FORMS = {
    "a browser": (BROWSER, "text/html"),
    "HTML alone": ("text/html", "text/html"),
    "anything": ("*/*", "application/problem+json"),
    "nothing said": ("", "application/problem+json"),
    "JSON": ("application/json", "application/problem+json"),
    "a problem": ("application/problem+json", "application/problem+json"),
    "an image": ("image/avif,image/webp,*/*;q=0.8", "application/problem+json"),
    "rather JSON than HTML": ("text/html;q=0.5, application/json", "application/problem+json"),
    "rather HTML than JSON": ("text/html, application/json;q=0.5", "text/html"),
    "anything but HTML": ("text/html;q=0, */*", "application/problem+json"),
    "not a media type": ("<script>", "application/problem+json"),
}


@pytest.mark.parametrize(("accept", "form"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("status", [404, 410])
def test_a_problem_is_told_in_the_form_that_is_asked_for(
    server: Server, expired: str, accept: str, form: str, status: int
) -> None:
    """A page for who says `text/html`, problem+json for everyone else."""
    answer = server.follow("nosuchlink" if status == 404 else expired, accept=accept)
    assert answer.status_code == status
    assert answer.headers["content-type"].partition(";")[0] == form


@pytest.mark.parametrize("accept", [BROWSER, "*/*"], ids=["browser", "client"])
@pytest.mark.parametrize("status", [404, 410])
def test_a_problem_is_kept_in_no_cache(
    server: Server, expired: str, status: int, accept: str
) -> None:
    """A code may be made a moment later; and the form depends on who asks."""
    answer = server.follow("nosuchlink" if status == 404 else expired, accept=accept)
    assert answer.headers["cache-control"] == "no-store"
    assert "accept" in answer.headers["vary"].lower()


def test_the_page_of_an_unknown_code_shows_the_code(server: Server) -> None:
    """Whoever mistyped sees what arrived."""
    answer = server.follow("nosuchlink", accept=BROWSER)
    assert answer.status_code == 404
    assert "nosuchlink" in Page(answer.text).text


def test_the_page_of_an_expired_link_says_so(server: Server, expired: str) -> None:
    """410, and the page tells neither destination nor way onward."""
    answer = server.follow(expired, accept=BROWSER)
    assert answer.status_code == 410
    assert "expired" in Page(answer.text).text
    assert "example.com" not in answer.text
    assert "location" not in answer.headers


def test_a_link_redirects_until_it_expires(server: Server) -> None:
    """Before `expires_at` 302, from then on 410, without anybody's doing."""
    soon = datetime.now(UTC) + timedelta(seconds=2)
    code = server.make_link(expires_at=soon.isoformat())["code"]
    assert server.follow(code).status_code == 302
    status = eventually(lambda: server.follow(code).status_code, lambda status: status != 302)
    assert status == 410
    assert datetime.now(UTC) >= soon.replace(microsecond=0)


def test_the_front_page_names_the_site(server: Server) -> None:
    """Without `HOME_URL` there is a plain page with the host of the short links."""
    answer = server.http.get("/")
    assert answer.status_code == 200
    assert "arab.news" in Page(answer.text).text


HOSTILE = {
    "an image": "<img src=x onerror=alert(1)>",
    "out of an attribute": '"><svg onload=alert(1)>',
    "out of a single quote": "'onmouseover='alert(1)",
    "a script": "<script>alert(1)</script>",
    "out of the title": "</title><script>alert(1)</script>",
    "a comment": "<!--<img src=x>-->",
    "an entity": "&lt;script&gt;",
    "a template": "{{7*191}}{%raw%}",
    "a template's other side": "${7*191}<%=7*191%>",
    "a null byte in a tag": "<scr\x00ipt>",
    "a line break": "a\r\nSet-Cookie: a=b",
    "overlong": "\ufffd<b>",
    "a direction override": "\u202e<b>gnp.exe",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_in_a_path_is_text(server: Server, text: str) -> None:
    """The page has the tags that it has anyway; what was sent is escaped, and in no header."""
    answer = server.http.get(f"/{quote(text, safe='')}", headers={"Accept": BROWSER})
    ours = Page(server.follow("nosuchlink", accept=BROWSER).text)
    parsed = Page(answer.text)
    assert answer.status_code == 404
    assert "content-security-policy" in answer.headers
    assert "set-cookie" not in answer.headers
    assert [tag for tag in parsed.tags if tag not in ours.tags] == []
    assert "1337" not in parsed.text


SHOWN = ["an image", "out of an attribute", "out of a single quote", "an entity", "a template"]


@pytest.mark.parametrize("name", SHOWN)
def test_hostile_text_is_shown_as_it_is(server: Server, name: str) -> None:
    """Escaping takes nothing away: a person reads what was asked for."""
    answer = server.follow(quote(HOSTILE[name], safe=""), accept=BROWSER)
    assert HOSTILE[name] in Page(answer.text).text


def test_hostile_text_in_a_query_is_nowhere(server: Server) -> None:
    """Pages do not repeat the query."""
    for path in ("/", "/nosuchlink", "/-/errors"):
        answer = server.http.get(f"{path}?q=<img%20id=evil>", headers={"Accept": BROWSER})
        assert "evil" not in answer.text


def test_hostile_text_in_the_host_is_nowhere(server: Server) -> None:
    """The front page names the configured host, whatever the request's is."""
    answer = server.http.get("/", headers={"Host": "evil.example", "Accept": BROWSER})
    assert "evil" not in answer.text


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.slug)
def test_the_table_of_errors_has_every_error(server: Server, problem: type[Problem]) -> None:
    """`/-/errors` has a row with status, title and meaning, under the error's name."""
    parsed = Page(server.http.get("/-/errors").text)
    assert problem.slug in [value for name, value in parsed.attributes() if name == "id"]
    assert {str(problem.status), problem.meaning} <= set(parsed.text.splitlines()) | {
        part for part in (str(problem.status), problem.meaning) if part in parsed.text
    }
    assert problem.title in parsed.text


def test_the_type_of_a_problem_is_its_row_in_the_table(server: Server) -> None:
    """`type` leads to what the error means."""
    kind = server.follow("nosuchlink").json()["type"]
    path, _, name = kind.partition("#")
    parsed = Page(server.http.get(path).text)
    assert name in [value for attribute, value in parsed.attributes() if attribute == "id"]


def test_health_needs_no_key(server: Server) -> None:
    """`/-/health` is 200 while the process lives, and kept in no cache."""
    answer = server.http.get("/-/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.headers["cache-control"] == "no-store"


def test_ready_tells_every_check(server: Server) -> None:
    """`/-/ready` needs no key and says of each part how it is."""
    answer = server.http.get("/-/ready")
    body = answer.json()
    assert answer.status_code == 200
    assert body["status"] in ("ok", "degraded")
    assert {"redis", "persistence", "disk"} <= set(body["checks"])
    assert body["checks"]["redis"]["status"] == "ok"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/-/errors", "/-/health", "/-/ready"])
def test_pages_are_read_only(server: Server, path: str) -> None:
    """405 for other methods, with those that work in `Allow`."""
    answer = server.http.post(path)
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
