"""The command line, against a running server."""

import json
import socket
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from shortener.cli.fields import FIELDS
from shortener.statistics.visits import DIMENSIONS as TABLE
from shortener.web.api.bodies import LinkChange
from tests.harness import Server, eventually, run, start
from tests.terminal import Terminal, at_terminal

NewServer = Callable[..., Server]


@pytest.fixture
def local(server: Server) -> dict[str, str]:
    """The settings of someone who sits at the server's machine."""
    return {"DATA_DIR": str(server.data_dir), "BASE_URL": "https://arab.news"}


def test_shorten_and_expand_need_no_key_at_home(server: Server, local: dict[str, str]) -> None:
    """The command finds the server's address and admin key in the data directory."""
    made = run("shorten", "https://example.com/cli", "--code", "cli-home", **local)
    assert (made.returncode, made.stdout) == (0, "https://arab.news/cli-home\n")
    for code in ("cli-home", "https://arab.news/cli-home"):
        assert run("expand", code, **local).stdout == "https://example.com/cli\n"
    assert server.follow("cli-home").headers["location"] == "https://example.com/cli"


OPTIONS = {  # option -> what the link has then
    "alias": (["--code", "cli-opt"], {"code": "cli-opt"}),
    "length": (["--code-length", "9"], {}),
    "title": (["--title", "A title"], {"title": "A title"}),
    "tags": (["--tag", "News", "--tag", "two"], {"tags": ["news", "two"]}),
    "start": (["--starts", "2098-01-01T00:00:00Z"], {"starts_at": "2098-01-01T00:00:00Z"}),
    "end": (["--expires", "2099-01-01T03:00:00+03:00"], {"expires_at": "2099-01-01T00:00:00Z"}),
    "afterwards": (["--expired-url", "https://e.com/x"], {"expired_url": "https://e.com/x"}),
    "limit": (["--max-clicks", "7"], {"max_clicks": 7, "remaining": 7}),
    "password": (["--password", "tiger"], {"has_password": True}),
    "status": (["--redirect-status", "301"], {"redirect_status": 301}),
    "query": (["--forward-query"], {"forward_query": True}),
    "no query": (["--no-forward-query"], {"forward_query": False}),
    "domain": (["--domain", "arab.news"], {"domain": "arab.news"}),
}


@pytest.mark.parametrize(("options", "wanted"), OPTIONS.values(), ids=OPTIONS)
def test_shorten_has_an_option_for_every_field(
    local: dict[str, str], options: list[str], wanted: dict[str, object]
) -> None:
    """Each arrives; `--json` prints the whole link."""
    made = run("shorten", "https://example.com/", *options, "--json", **local)
    assert made.returncode == 0, made.stderr
    link = json.loads(made.stdout)
    assert {name: link[name] for name in wanted} == wanted
    if "--code-length" in options:
        assert len(link["code"]) == 9


def test_an_equal_link_can_be_found_again(local: dict[str, str]) -> None:
    """`--find-existing` answers the link that is there; without it another one is made."""
    options = ("shorten", "https://example.com/cli-found", "--title", "Found")
    first = run(*options, **local).stdout
    assert run(*options, "--find-existing", **local).stdout == first
    assert run(*options, **local).stdout != first


def test_a_span_is_a_time_from_now(local: dict[str, str]) -> None:
    """`--expires 2d` is in two days."""
    made = run("shorten", "https://example.com/", "--expires", "2d", "--json", **local)
    link = json.loads(made.stdout)
    made_at, ends_at = (datetime.fromisoformat(link[name]) for name in ("created_at", "expires_at"))
    assert abs(ends_at - made_at - timedelta(days=2)) < timedelta(minutes=2)


def test_a_password_need_not_be_an_argument(local: dict[str, str]) -> None:
    """`--password -` reads a line of stdin, or asks at a terminal without an echo."""
    piped = run("shorten", "https://e.com/", "--password", "-", "--json", stdin="tiger\n", **local)
    assert json.loads(piped.stdout)["has_password"]
    asked = Terminal("shorten", "https://e.com/", "--password", "-", "--json", **local)
    asked.wait_for("Password: ")
    asked.type("tiger\n")
    assert asked.end() == 0
    assert '"has_password": true' in asked.seen
    assert "tiger" not in asked.seen


def test_edit_changes_what_is_given_and_clears_what_is_named(
    server: Server, local: dict[str, str]
) -> None:
    """Options set fields, `--clear` sets them back; the rest stays; the short URL is printed."""
    link = server.make_link(title="Old", tags=["a", "b"], max_clicks=3, redirect_status=307)
    changed = run(
        "edit",
        link["code"],
        *("--url", "https://example.com/new", "--tag", "c", "--forward-query"),
        *("--clear", "title", "--clear", "max_clicks"),
        **local,
    )
    assert (changed.returncode, changed.stdout) == (0, link["short_url"] + "\n"), changed.stderr
    now = server.api("GET", f"/links/{link['code']}").json()
    assert (now["url"], now["tags"], now["title"]) == ("https://example.com/new", ["c"], None)
    assert (now["max_clicks"], now["forward_query"]) == (None, True)
    assert now["redirect_status"] == 307


def test_edit_can_change_and_clear_every_field(server: Server, local: dict[str, str]) -> None:
    """Every field that the API lets change has an option, and `--clear` but for the URL."""
    code = server.make_link()["code"]
    fields = LinkChange.__struct_fields__
    flags = [field.flags[0].split("/")[0] for field in FIELDS if field.changes]
    assert sorted(field.name for field in FIELDS if field.changes) == sorted(fields)
    help_text = run("edit", "--help").stdout
    assert [flag for flag in flags if flag not in help_text] == []
    for name in fields:
        cleared = run("edit", code, "--clear", name, **local)
        assert cleared.returncode == (2 if name == "url" else 0), cleared.stderr


def test_delete_asks_at_a_terminal(server: Server, local: dict[str, str]) -> None:
    """It shows what would be gone; anything but yes leaves it."""
    link = server.make_link("https://example.com/gone")
    refused = Terminal("delete", link["code"], **local)
    refused.wait_for("[y/N]")
    assert f"{link['short_url']} -> https://example.com/gone (0 clicks)" in refused.seen
    refused.type("\n")
    assert refused.end() == 1
    assert server.api("GET", f"/links/{link['code']}").status_code == 200
    agreed = Terminal("delete", link["code"], **local)
    agreed.wait_for("[y/N]")
    agreed.type("y\n")
    assert agreed.end() == 0
    assert server.api("GET", f"/links/{link['code']}").status_code == 404


def test_delete_harms_nothing_where_nobody_can_be_asked(
    server: Server, local: dict[str, str]
) -> None:
    """In a script `--yes` is needed: without it status 2, and the link is there."""
    code = server.make_link()["code"]
    refused = run("delete", code, stdin="y\n", **local)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "use --yes" in refused.stderr
    assert server.api("GET", f"/links/{code}").status_code == 200


def test_delete_takes_several_codes(server: Server, local: dict[str, str]) -> None:
    """Those that exist are deleted; the one that does not makes it status 1."""
    codes = [server.make_link()["code"] for _ in range(2)]
    ended = run("delete", "--yes", codes[0], "nothere", codes[1], **local)
    assert ended.returncode == 1
    assert ended.stdout == f"deleted {codes[0]}\ndeleted {codes[1]}\n"
    assert ended.stderr == "shortener: nothere: There is no link with this code.\n"
    assert [server.api("GET", f"/links/{code}").status_code for code in codes] == [404, 404]
    code = server.make_link()["code"]
    told = run("delete", "--yes", code, "nothere", "--json", **local)
    assert json.loads(told.stdout) == {
        "deleted": [code],
        "failed": ["nothere: There is no link with this code."],
    }


def test_keys_are_made_listed_and_revoked(server: Server, local: dict[str, str]) -> None:
    """The secret alone on stdout works at once; revoked it does not."""
    made = run("keys", "create", "a reader", "--scope", "links:read", "--expires", "1d", **local)
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    code = server.make_link()["code"]
    assert run("expand", code, "--key", secret, **local).returncode == 0
    rows = [line.split("\t") for line in run("keys", "list", **local).stdout.splitlines()]
    identity = next(row[0] for row in rows if row[1:3] == ["a reader", "links:read"])
    listed = json.loads(run("keys", "list", "--json", **local).stdout)["keys"]
    assert identity in [key["id"] for key in listed]
    assert "a reader" in at_terminal("keys", "list", **local)
    revoked = run("keys", "revoke", identity, "--yes", **local)
    assert (revoked.returncode, revoked.stdout) == (0, f"revoked {identity}\n")
    assert run("expand", code, "--key", secret, **local).returncode == 1


def test_revoking_a_key_asks_and_a_wrong_id_revokes_none(local: dict[str, str]) -> None:
    """As with links; of several ids one that is wrong stops it before it begins."""
    made = json.loads(
        run("keys", "create", "asked", "--scope", "stats:read", "--json", **local).stdout
    )
    assert run("keys", "revoke", made["id"], **local).returncode == 2
    wrong = run("keys", "revoke", "--yes", made["id"], "0123456789ab", **local)
    assert wrong.returncode == 1
    assert "There is no key with the id 0123456789ab; none was revoked." in wrong.stderr
    terminal = Terminal("keys", "revoke", made["id"], **local)
    terminal.wait_for("Revoke 1 key? [y/N]")
    terminal.type("y\n")
    assert terminal.end() == 0


@pytest.fixture
def clicked(server: Server) -> str:
    """A link that two people and a bot followed, one of them with a hostile campaign."""
    code: str = server.make_link(tags=["drawn"])["code"]
    server.follow(code, Referer="https://t.co/")
    server.follow(code + "?utm_source=[red]:x:%1b[31m[/]", Referer="https://t.co/")
    server.follow(code, User_Agent="curl/8")
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 3) == 3
    return code


def test_stats_draws_the_series(clicked: str, local: dict[str, str]) -> None:
    """Totals in the first line, then a row with a bar for each day."""
    drawn = run("stats", clicked, **local).stdout.splitlines()
    assert drawn[0].startswith("2 clicks from ")
    assert drawn[0].endswith(", 1 visitor, 1 bot")
    assert "2  ████" in drawn[30]
    answer = json.loads(run("stats", clicked, "--interval", "hour", "--json", **local).stdout)
    assert answer["interval"] == "hour"
    assert sum(row["clicks"] for row in answer["series"]) == 2
    assert "clicks from" in run("stats", **local).stdout
    assert "click" in run("stats", "--orphans", **local).stdout
    assert run("stats", "--tag", "nobody", **local).stdout.startswith("0 clicks from ")


def test_stats_draws_labels(clicked: str, local: dict[str, str]) -> None:
    """Under the name of their dimension, as they are; dimensions of which nothing is known are
    left out unless they are asked for."""
    drawn = run("stats", clicked, **local).stdout
    lines = [" ".join(line.split()) for line in drawn.splitlines()]
    assert lines[lines.index("referrer") + 1].startswith("t.co 2 ████")
    assert lines[lines.index("utm_source") + 2].startswith("none 1 ████")
    assert lines[lines.index("utm_source") + 1].startswith("[red]:x: [31m[/] 1 ████")
    assert "utm_medium" not in lines
    assert "\x1b" not in drawn
    asked = run("stats", clicked, "--by", "utm_medium,os", "--by", "device", **local).stdout
    assert [line for line in asked.splitlines() if line in NAMES] == ["utm_medium", "os", "device"]


def test_stats_as_csv(clicked: str, local: dict[str, str]) -> None:
    """The series, or one dimension."""
    series = run("stats", clicked, "--csv", "--interval", "month", **local).stdout.splitlines()
    assert series[0] == "start,clicks,visitors,bots"
    assert series[-1].endswith(",2,1,1")
    assert run("stats", clicked, "--csv", "--by", "referrer", **local).stdout == (
        "referrer,clicks\nt.co,2\n"
    )


NAMES = [dimension.name for dimension in TABLE]
WRONG_QUESTIONS = {
    "two columns": (["--csv", "--by", "os,device"], 1, "group_by: must be one dimension for CSV"),
    "no dimension": (["--by", "town"], 1, "group_by: must be one or more of country, referrer"),
    "a link and a tag": (["x", "--tag", "a"], 2, "CODE cannot be given together"),
    "a link and orphans": (["x", "--orphans"], 2, "CODE cannot be given together"),
    "two forms": (["--csv", "--json"], 2, "--json cannot be given together with --csv"),
}


@pytest.mark.parametrize(("given", "status", "said"), WRONG_QUESTIONS.values(), ids=WRONG_QUESTIONS)
def test_stats_says_what_it_cannot_show(
    local: dict[str, str], given: list[str], status: int, said: str
) -> None:
    """What the server refuses is a failure, what makes no sense is wrong usage."""
    answer = run("stats", *given, **local)
    assert (answer.returncode, said in answer.stderr) == (status, True), answer.stderr


def test_the_local_key_is_sent_to_no_other_server(local: dict[str, str]) -> None:
    """A server that is named gets the key that is named, and nothing otherwise."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        refused = run("expand", "x", "--server", address, **local)
        process = start("expand", "x", "--server", address, "--key", "sk_given", **local)
        with listener.accept()[0] as connection:
            asked.append(connection.recv(65536))
        process.communicate(timeout=20)
    assert refused.stderr.startswith(f"shortener: no API key for {address}")
    assert len(asked) == 1
    assert b"Bearer sk_given" in asked[0]


def test_a_remote_server_is_used_with_a_key(server: Server, local: dict[str, str]) -> None:
    """`--server` and `--key`, or `SHORTENER_SERVER` and `SHORTENER_KEY`."""
    code = server.make_link("https://example.com/far")["code"]
    given = run("expand", code, "--server", server.address, "--key", server.key)
    assert given.stdout == "https://example.com/far\n"
    assert run("expand", code, SERVER=server.address, KEY=server.key).stdout == given.stdout


def test_a_link_is_named_by_its_short_url(new_server: NewServer) -> None:
    """In any spelling that people have it in; the URL says the domain, and so does `--domain`."""
    server = new_server(BASE_URL="https://arab.news", DOMAINS="go.arab.news").start()
    local = {"DATA_DIR": str(server.data_dir)}
    server.make_link("https://example.com/1", code="عاجل")
    server.make_link("https://example.com/2", code="two", domain="go.arab.news")
    named = {
        ("عاجل",): "https://example.com/1",
        ("https://arab.news/%D8%B9%D8%A7%D8%AC%D9%84",): "https://example.com/1",
        ("https://arab.news/عاجل?utm_source=x#y",): "https://example.com/1",
        ("arab.news/عاجل",): "https://example.com/1",
        (f"{server.address}/عاجل",): "https://example.com/1",
        ("https://go.arab.news/two",): "https://example.com/2",
        ("GO.arab.news/two+",): "https://example.com/2",
        ("two", "--domain", "go.arab.news"): "https://example.com/2",
        ("https://go.arab.news/two", "--domain", "go.arab.news"): "https://example.com/2",
    }
    found = {arguments: run("expand", *arguments, **local).stdout for arguments in named}
    assert found == {arguments: f"{url}\n" for arguments, url in named.items()}
    assert run("stats", "go.arab.news/two", **local).stdout.startswith("0 clicks from ")
    edited = run("edit", "go.arab.news/two", "--title", "T", **local)
    assert edited.stdout == "https://go.arab.news/two\n"
    gone = run("delete", "--yes", "https://go.arab.news/two", **local)
    assert gone.returncode == 0, gone.stderr


NOBODY = ("--server", "http://127.0.0.1:1")
FAILURES = {
    "unknown code": (["expand", "nothere"], {}, 1, "There is no link with this code."),
    "bad URL": (["shorten", "javascript:alert(1)"], {}, 1, "url: must begin with http"),
    "wrong key": (["expand", "x", "--key", "sk_wrong"], {}, 1, "This API key is unknown"),
    "no server": (["expand", "x", *NOBODY, "--key", "sk_x"], {}, 1, "no answer from"),
    "no key for it": (["expand", "x", *NOBODY], {}, 1, "no API key for http://127.0.0.1:1: "),
    "another's link": (["expand", "https://bit.ly/x"], {}, 1, "domain: must be one of"),
    "no such key": (["keys", "revoke", "--yes", "x"], {}, 1, "There is no key with the id x"),
    "bad address": (["list", "--server", "arab.news"], {}, 1, "arab.news is no server"),
    "bad host": (["list", "--server", "http://[", "--key", "x"], {}, 1, "no answer from http://["),
    "bad time": (["shorten", "http://e.com", "--expires", "soon"], {}, 1, "expires_at: "),
    "wrong setting": (["serve"], {"NONSENSE": "1"}, 2, "SHORTENER_NONSENSE: there is no"),
}


@pytest.mark.parametrize(
    ("arguments", "settings", "status", "message"), FAILURES.values(), ids=FAILURES
)
def test_failures_are_one_line_on_stderr(
    local: dict[str, str], arguments: list[str], settings: dict[str, str], status: int, message: str
) -> None:
    """Exit status 1 for a failure, 2 for a wrong setting, nothing on stdout."""
    ended = run(*arguments, **(local | settings))
    assert (ended.returncode, ended.stdout) == (status, "")
    assert ended.stderr.startswith(f"shortener: {message}")
    assert len(ended.stderr.splitlines()) == 1


WRONG_USAGE = {
    "no URL": ["shorten"],
    "no such command": ["nonsense"],
    "nothing to change": ["edit", "x"],
    "set and cleared": ["edit", "x", "--title", "t", "--clear", "title"],
    "not a field": ["edit", "x", "--clear", "code"],
    "no code": ["expand", ""],
    "dots": ["delete", "--yes", ".."],
    "no short URL": ["expand", "https://arab.news/a/b"],
    "no URL at all": ["expand", "http://[/x"],
    "two domains": ["expand", "https://a.example/x", "--domain", "b.example"],
    "no text": ["shorten", "https://e.com/\udcff"],
    "no code text": ["expand", "\udcff"],
    "not a shell": ["completion", "csh"],
    "not a scope": ["keys", "create", "n", "--scope", "all"],
    "no scope": ["keys", "create", "n"],
    "bad number": ["list", "--limit", "0"],
    "bad order": ["list", "--sort", "size"],
    "too long a span": ["shorten", "http://e.com", "--expires", "999999w"],
}


@pytest.mark.parametrize("arguments", WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage_is_status_2(local: dict[str, str], arguments: list[str]) -> None:
    """As with every command; nothing was asked of the server."""
    ended = run(*arguments, **local)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Error: " in ended.stderr or "is not valid text" in ended.stderr


def test_check_says_that_all_is_well(server: Server, local: dict[str, str]) -> None:
    """Every check on a line of its own, exit status 0."""
    healthy = eventually(lambda: run("check", **local), lambda ended: ended.returncode == 0)
    assert healthy.returncode == 0, healthy.stdout
    names = ["configuration", "redis", "persistence", "memory", "salt", "clock", "disk", "journal"]
    names += ["aggregator", "proxies", "admin-key"]
    assert [line.split(":")[0] for line in healthy.stdout.splitlines()] == [
        f"ok {n}" for n in names
    ]


def test_check_says_what_is_wrong_and_how_to_mend_it(server: Server, local: dict[str, str]) -> None:
    """An unreachable Redis: what, and what to do, and exit status 1."""
    broken = run("check", **(local | {"REDIS_URL": "redis://127.0.0.1:1/0"}))
    assert broken.returncode == 1
    assert " redis: does not answer" in broken.stdout
    assert "mend SHORTENER_REDIS_URL" in broken.stdout
    listed = json.loads(
        run("check", "--json", **(local | {"REDIS_URL": "redis://127.0.0.1:1/0"})).stdout
    )
    found = {check["name"]: check["status"] for check in listed}
    assert found["redis"] in ("degraded", "failed")  # as far as links were served before
    assert found["disk"] == "ok"
