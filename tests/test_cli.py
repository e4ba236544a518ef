"""The command line, against a running server."""

import json
from collections.abc import Callable

import pytest

from tests.harness import Server, eventually, run

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


def test_shorten_passes_every_option_on(local: dict[str, str]) -> None:
    """Alias, title, tags, expiry and status arrive; `--json` prints the whole link."""
    options = ["--title", "A title", "--tag", "News", "--tag", "two", "--redirect-status", "301"]
    expiry = ["--expires", "2099-01-01T03:00:00+03:00"]
    made = run("shorten", "https://example.com/", *options, *expiry, "--json", **local)
    link = json.loads(made.stdout)
    assert link["title"] == "A title"
    assert link["tags"] == ["news", "two"]
    assert link["redirect_status"] == 301
    assert link["expires_at"] == "2099-01-01T00:00:00Z"


def test_stats_draws_the_series(server: Server, local: dict[str, str]) -> None:
    """Totals in the first line, then a row with a bar for each day."""
    code = server.make_link()["code"]
    for _ in range(3):
        server.follow(code)
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 3) == 3
    drawn = run("stats", code, **local).stdout.splitlines()
    assert drawn[0].startswith("3 clicks from ")
    assert len(drawn) == 31
    assert "3  ████" in drawn[-1]
    answer = json.loads(run("stats", code, "--interval", "hour", "--json", **local).stdout)
    assert answer["interval"] == "hour"
    assert sum(row["clicks"] for row in answer["series"]) == 3
    assert "clicks from" in run("stats", **local).stdout


def test_a_remote_server_is_used_with_a_key(server: Server, local: dict[str, str]) -> None:
    """`--server` and `--key`, or `SHORTENER_SERVER` and `SHORTENER_KEY`."""
    code = server.make_link("https://example.com/far")["code"]
    given = run("expand", code, "--server", server.address, "--key", server.key)
    assert given.stdout == "https://example.com/far\n"
    assert run("expand", code, SERVER=server.address, KEY=server.key).stdout == given.stdout


FAILURES = {
    "unknown code": (["expand", "nothere"], {}, 1, "There is no link with this code."),
    "bad URL": (["shorten", "javascript:alert(1)"], {}, 1, "url: must begin with http"),
    "wrong key": (["expand", "x", "--key", "sk_wrong"], {}, 1, "This API key is unknown"),
    "no server": (["expand", "x", "--server", "http://127.0.0.1:1"], {}, 1, "no answer from"),
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


def test_wrong_usage_is_status_2(local: dict[str, str]) -> None:
    """As with every command."""
    assert run("shorten", **local).returncode == 2
    assert run("nonsense", **local).returncode == 2


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
