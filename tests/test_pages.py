"""Pages for people: HTML with a strict policy and nothing from elsewhere; programs get JSON."""

import http.client
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from shortener.errors import PROBLEMS, Problem
from tests.harness import Server, eventually

NewServer = Callable[..., Server]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
MAX_PAGE = 20_000  # bytes, with its stylesheets
MAX_MANUAL = 120_000  # bytes: `/-/docs` has all of the API on one page
YEAR = 365 * 24 * 3600  # seconds


class Html(HTMLParser):
    """The elements of a page, where its attributes point to, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.ids: set[str] = set()
        self.attributes: set[str] = set()
        self.targets: list[str] = []
        self.stylesheets: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found: dict[str, str] = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes |= set(found)
        self.ids |= {found["id"]} if "id" in found else set()
        names = ("src", "href", "srcset", "action", "formaction", "data", "poster", "background")
        self.targets += [found[name] for name in names if name in found]
        if found.get("rel") == "stylesheet":
            self.stylesheets.append(found["href"])

    def handle_data(self, data: str) -> None:
        self.text += data


PAGES: dict[str, tuple[str, int]] = {
    "front": ("/", 200),
    "errors": ("/-/errors", 200),
    "docs": ("/-/docs", 200),
    "unknown code": ("/nothere", 404),
    "no code": ("/no.code", 404),
    "something deeper": ("/no/thing", 404),
    "nothing of ours": ("/-/nothing", 404),
    "no such file": ("/-/static/nothing.css", 404),
    "expired": ("/pages-expired", 410),
    "preview": ("/pages-preview+", 200),
    "preview of a protected link": ("/pages-protected+", 200),
    "preview of an unknown code": ("/nothere+", 404),
    "preview of an expired link": ("/pages-expired+", 410),
}
LINKS: dict[str, dict[str, Any]] = {
    "pages-expired": {},
    "pages-used-up": {"max_clicks": 1},
    "pages-preview": {"title": "A title"},
    "pages-protected": {"password": "open sesame"},
}
PROBLEM_PAGES = {name: page for name, page in PAGES.items() if page[1] >= 400}
every_page = pytest.mark.parametrize(("path", "status"), PAGES.values(), ids=PAGES)
every_problem = pytest.mark.parametrize(
    ("path", "status"), PROBLEM_PAGES.values(), ids=PROBLEM_PAGES
)


def browse(server: Server, path: str, method: str = "GET") -> httpx.Response:
    """What a browser gets."""
    _see_to(server, path)
    return server.http.request(method, path, headers={"Accept": BROWSER})


def fetch(server: Server, path: str, accept: str | None) -> httpx.Response:
    """What a program gets that says `accept`, or nothing."""
    _see_to(server, path)
    request = server.http.build_request("GET", path)
    del request.headers["Accept"]
    if accept is not None:
        request.headers["Accept"] = accept
    return server.http.send(request)


def _see_to(server: Server, path: str) -> None:
    """Make the link that a page is about."""
    code = path.strip("/+")
    if code not in LINKS or server.api("GET", f"/links/{code}").status_code == 200:
        return
    server.make_link(code=code, **LINKS[code])
    if code == "pages-expired":
        past = {"expires_at": "2020-01-01T00:00:00Z"}
        assert server.api("PATCH", f"/links/{code}", json=past).status_code == 200
    if code == "pages-used-up":
        assert server.follow(code).status_code == 302


@every_page
def test_a_browser_gets_html(server: Server, path: str, status: int) -> None:
    """A page with the right status, in UTF-8, with its language, title, heading and landmarks."""
    answer = browse(server, path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "text/html; charset=utf-8",
    )
    tags = Counter(Html(answer.text).tags)
    assert [tags[name] for name in ("title", "h1", "header", "main", "footer")] == [1] * 5
    assert '<html lang="en">' in answer.text


@every_page
def test_the_policy_is_strict(server: Server, path: str, status: int) -> None:
    """Nothing by default, styles and pictures of our own, no frames, nothing inline."""
    answer = browse(server, path)
    policy = {
        name: set(values)
        for name, *values in map(str.split, answer.headers["content-security-policy"].split(";"))
    }
    assert {name: policy[name] for name in ("default-src", "base-uri", "frame-ancestors")} == {
        "default-src": {"'none'"},
        "base-uri": {"'none'"},
        "frame-ancestors": {"'none'"},
    }
    allowed = set().union(*(policy.values()))
    assert allowed <= {"'none'", "'self'", "data:"}
    assert "data:" not in policy.get("script-src", set()) | policy["style-src"]
    assert policy["form-action"] <= {"'self'", "'none'"}


@every_page
def test_a_page_keeps_its_own_policy(server: Server, path: str, status: int) -> None:
    """No script, style or handler is inline, so the policy takes nothing away."""
    page = Html(browse(server, path).text)
    assert {"script", "style", "iframe", "base", "object", "embed"} & set(page.tags) == set()
    assert {name for name in page.attributes if name.startswith("on") or name == "style"} == set()


@every_page
def test_a_page_loads_nothing_from_elsewhere(server: Server, path: str, status: int) -> None:
    """Every address in it is on this server, and those of files are there."""
    targets = Html(browse(server, path).text).targets
    assert targets
    for target in targets:
        assert target.startswith(("/", "#", "data:image/svg+xml,")), target
        assert not target.startswith("//"), target
        if target.startswith("/-/static/"):
            assert server.http.get(target).status_code == 200, target


@every_page
def test_a_page_with_its_stylesheet_is_small(server: Server, path: str, status: int) -> None:
    """Less than 20 kB, so it is there at once on a slow line; the manual, less than 120 kB."""
    answer = browse(server, path)
    sheets = Html(answer.text).stylesheets
    assert sheets
    size = len(answer.content) + sum(len(server.http.get(sheet).content) for sheet in sheets)
    assert size < (MAX_MANUAL if path == "/-/docs" else MAX_PAGE)


@pytest.mark.parametrize("name", ["style.css", "docs.css"])
def test_a_stylesheet_loads_nothing_from_elsewhere(server: Server, name: str) -> None:
    """No import, and no address that is not on this server; the pages use these two."""
    sheets = [
        sheet for path in ("/", "/-/docs") for sheet in Html(browse(server, path).text).stylesheets
    ]
    assert {sheet.partition("?")[0] for sheet in sheets} == {
        "/-/static/style.css",
        "/-/static/docs.css",
    }
    style = server.http.get(f"/-/static/{name}").text
    assert "@import" not in style
    assert "//" not in style
    assert "url(" not in style.replace("url(/-/static/", "").replace("url(data:", "")


COLOURS = [  # pairs that are seen on each other, and the contrast that WCAG 2.2 asks of them
    *((ink, ground, 4.5) for ink in ("ink", "quiet", "accent") for ground in ("paper", "panel")),
    ("ink", "glow", 4.5),
    ("accent", "glow", 4.5),
    ("accent-ink", "accent", 4.5),
    ("alarm", "alarm-glow", 4.5),
    ("edge", "paper", 3.0),
    ("edge", "panel", 3.0),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground", "least"), COLOURS)
def test_colours_can_be_told_apart(
    server: Server, scheme: str, ink: str, ground: str, least: float
) -> None:
    """Text keeps 4.5:1 to what is behind it and edges 3:1, by day and by night."""
    style = server.http.get("/-/static/style.css").text
    light, _, rest = style.partition("@media (prefers-color-scheme: dark)")
    shown = light if scheme == "light" else rest.partition("/* Page")[0]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", shown))
    brighter, darker = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
    assert (brighter + 0.05) / (darker + 0.05) >= least


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2.2."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in bytes.fromhex(digits))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_files_are_cached_for_long_and_asked_with_a_version(server: Server) -> None:
    """A year; so that a new release is seen at once, every page asks with the same version."""
    pages = [Html(browse(server, path).text) for path, _ in PAGES.values()]
    files = {t for page in pages for t in page.targets if t.startswith("/-/static/")}
    assert len(files) >= 2
    assert len({file.partition("?v=")[2] for file in files} - {""}) == 1
    for file in files:
        kept = server.http.get(file).headers["cache-control"]
        assert f"max-age={YEAR}" in kept.split(", "), file
        assert not {"no-store", "no-cache", "private"} & set(kept.split(", ")), file
    missing = server.http.get(f"/-/static/missing.css?{files.pop().partition('?')[2]}")
    assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize("query", ["", "?v=", "?v=older", "?w=1"])
def test_a_file_asked_without_this_version_is_asked_for_again(server: Server, query: str) -> None:
    """Each time, and not sent again while it is the same."""
    first = server.http.get(f"/-/static/style.css{query}")
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    headers = {"If-None-Match": first.headers["etag"]}
    again = server.http.get(f"/-/static/style.css{query}", headers=headers)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("name", "kind"), [("style.css", "text/css"), ("icon.svg", "image/svg+xml")]
)
def test_files_say_what_they_are(server: Server, name: str, kind: str) -> None:
    """With their type, which the browser must not guess."""
    answer = server.http.get(f"/-/static/{name}")
    assert answer.headers["content-type"].partition(";")[0] == kind


@pytest.mark.parametrize(
    "path",
    [
        "../app.py",
        "../../app.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "..%5capp.py",
        "etc%2fpasswd",
        "%00style.css",
        "..",
        "",
    ],
)
def test_no_other_file_is_served(server: Server, path: str) -> None:
    """Whatever leads out of the folder is 404, sent as it is written."""
    host, _, port = server.address.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("GET", f"/-/static/{path}")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 404
    assert b"import" not in body


ACCEPTS: dict[str, str | None] = {
    "nothing": None,
    "anything": "*/*",
    "JSON": "application/json",
    "problems": "application/problem+json",
    "JSON before HTML": "application/json, text/html;q=0.5",
    "no HTML at all": "application/json, text/html;q=0",
    "a picture": "image/png",
    "nonsense": ";;q=,",
}


@pytest.mark.parametrize("accept", ACCEPTS.values(), ids=ACCEPTS)
@every_problem
def test_a_program_gets_a_problem(
    server: Server, path: str, status: int, accept: str | None
) -> None:
    """Who does not ask for HTML gets problem+json, complete, with the same status."""
    answer = fetch(server, path, accept)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert all(isinstance(problem[name], str) and problem[name] for name in ("title", "detail"))


@every_problem
def test_caches_cannot_mix_them_up(server: Server, path: str, status: int) -> None:
    """Both forms say that they depend on `Accept`, and are kept nowhere."""
    for answer in (browse(server, path), fetch(server, path, "*/*")):
        assert "accept" in answer.headers["vary"].lower()
        assert answer.headers["cache-control"] == "no-store"


API_ERRORS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "no such link": ("GET", "/api/v1/links/nothere", {}, 404),
    "no such call": ("GET", "/api/v1/nothing", {}, 404),
    "no such version": ("GET", "/api/v9/links", {}, 404),
    "invalid": ("POST", "/api/v1/links", {"json": {}}, 422),
    "another method": ("PUT", "/api/v1/links", {}, 405),
    "too large": ("POST", "/api/v1/links", {"content": b" " * (1 << 20) + b" "}, 413),
}


@pytest.mark.parametrize(("method", "path", "more", "status"), API_ERRORS.values(), ids=API_ERRORS)
def test_the_api_answers_browsers_with_json(
    server: Server, method: str, path: str, more: dict[str, Any], status: int
) -> None:
    """Under `/api/` errors are problem+json whatever is accepted."""
    headers = {"Accept": BROWSER, "Authorization": f"Bearer {server.key}"}
    answer = server.http.request(method, path, headers=headers, **more)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert answer.json()["status"] == status


def test_the_api_asks_browsers_for_a_key_with_json(server: Server) -> None:
    """401 as problem+json, also for a browser."""
    answer = browse(server, "/api/v1/links")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"] == "Bearer"


HOSTILE = {
    "a script": "<script>alert(1)</script>",
    "a script without a slash": "<script>alert(1)<script>",
    "a picture": "<img src=x onerror=alert(1)>",
    "out of an attribute": "\"><svg onload=alert(1) x='",
    "out of the title": "<title><base href=x>",
    "an entity": "&lt;script&gt;&quot;",
    "a template": "{{7*7}}{% raw %}",
    "a comment": "<!--",
    "an address": "javascript:alert(1)",
    "letters that turn around": "a\u202eb\u2066",
    "a line": "a\r\nSet-Cookie: x=1",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_code_is_text_only(server: Server, text: str) -> None:
    """The page has the elements of any 404 page; what was asked is in it as text, if at all."""
    plain, answer = browse(server, "/nothere"), browse(server, "/" + quote(text, safe=""))
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers
    page = Html(answer.text)
    assert Counter(page.tags) <= Counter(Html(plain.text).tags)
    assert page.targets == Html(plain.text).targets
    assert page.attributes <= Html(plain.text).attributes
    if "/" not in text:
        assert " ".join(text.split()) in " ".join(page.text.split())


def test_a_hostile_host_is_not_repeated(server: Server) -> None:
    """The front page says what the settings say, not what the request says."""
    headers = {"Accept": BROWSER, "Host": "evil.example"}
    text = server.http.get("/", headers=headers).text
    assert "evil.example" not in text
    assert "arab.news" in text


def test_a_page_names_the_domain_that_was_asked(new_server: NewServer) -> None:
    """With several domains each has its own name on its pages; a strange host sees the default."""
    server = new_server(BASE_URL="https://arab.news", DOMAINS="go.example", WORKERS="1").start()
    for path in ("/", "/nothere"):
        for host, name in {"go.example:80": "go.example", "evil.example": "arab.news"}.items():
            headers = {"Accept": BROWSER, "Host": host}
            text = server.http.get(path, headers=headers).text
            found = {
                known for known in ("arab.news", "go.example", "evil.example") if known in text
            }
            assert found == {name}


def test_the_unknown_code_is_shown(server: Server) -> None:
    """A person sees what was asked, in any script."""
    assert "قمة" in Html(browse(server, "/قمة").text).text


def test_an_expired_link_says_so(server: Server) -> None:
    """The page of a 410 tells it from a typing error, and does not tell where the link led."""
    page = Html(browse(server, "/pages-expired").text).text
    assert "expired" in page
    assert "example.com" not in page


def test_a_used_up_link_says_so(server: Server) -> None:
    """It was followed as often as it may be, which is no typing error either."""
    page = Html(browse(server, "/pages-used-up").text).text
    assert "used up" in page
    assert "example.com" not in page


def test_another_method_is_refused_with_what_is_allowed(server: Server) -> None:
    """405 with `Allow`, as a page for browsers."""
    answer = browse(server, "/", method="POST")
    assert (answer.status_code, answer.headers["content-type"]) == (
        405,
        "text/html; charset=utf-8",
    )
    assert "GET" in answer.headers["allow"].split(", ")


@every_page
def test_head_is_the_page_without_its_body(server: Server, path: str, status: int) -> None:
    """The same status and type, and nothing else."""
    answer, whole = browse(server, path, method="HEAD"), browse(server, path)
    assert (answer.status_code, answer.content) == (status, b"")
    assert answer.headers["content-type"] == whole.headers["content-type"]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.slug)
def test_the_table_has_every_error(server: Server, problem: type[Problem]) -> None:
    """`/-/errors` has a place for it, with status, title and meaning."""
    page = Html(browse(server, "/-/errors").text)
    assert problem.slug in page.ids
    for text in (str(problem.status), problem.title, problem.slug, problem.meaning):
        assert text in page.text


def test_the_table_is_html_for_programs_too(server: Server) -> None:
    """Whoever follows a problem's `type` gets the table."""
    answer = fetch(server, "/-/errors", "*/*")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "slug"),
    [
        ("GET", "/nothere", "link-not-found"),
        ("GET", "/no/thing", "not-found"),
        ("GET", "/pages-expired", "link-expired"),
        ("PUT", "/nothere", "method-not-allowed"),
        ("GET", "/api/v1/links", "unauthorized"),
    ],
)
def test_the_type_leads_to_its_place(server: Server, method: str, path: str, slug: str) -> None:
    """`type` is the address of the error in the table."""
    _see_to(server, path)
    page, _, place = server.http.request(method, path).json()["type"].partition("#")
    assert place == slug
    assert place in Html(server.http.get(page).text).ids


def test_ready_tells_its_checks_by_name(server: Server) -> None:
    """All is well, and each check says what it found and that there is nothing to mend."""
    answer = eventually(
        lambda: server.http.get("/-/ready"), lambda found: found.json()["status"] == "ok"
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    checks = answer.json()["checks"]
    assert set(checks) == {
        *("configuration", "redis", "persistence", "memory", "salt", "clock"),
        *("disk", "journal", "aggregator", "proxies", "admin-key"),
    }
    for name, check in checks.items():
        assert (name, check["status"], check["mend"]) == (name, "ok", None)
        assert check["detail"]


def test_ready_names_what_is_wrong(new_server: NewServer) -> None:
    """Without an aggregator it is degraded, by that name alone, and says how to mend it; links
    work, so it is 200."""
    server = new_server("--without-aggregator", WORKERS="1").start()
    answer = server.http.get("/-/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    wrong = {n: c for n, c in answer.json()["checks"].items() if c["status"] != "ok"}
    assert set(wrong) == {"aggregator"}
    assert wrong["aggregator"]["mend"]


@pytest.mark.parametrize("path", ["/-/health", "/-/ready"])
def test_health_needs_no_key_and_is_never_cached(server: Server, path: str) -> None:
    """JSON for everyone, also for a browser, with the state of this moment."""
    answer = browse(server, path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"


def test_health_is_that_the_process_lives(server: Server) -> None:
    """One word."""
    assert server.http.get("/-/health").json() == {"status": "ok"}
