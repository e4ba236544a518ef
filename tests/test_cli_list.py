"""`shortener list`: as a table, as lines, as JSON."""

import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.harness import Server, environment, eventually, run
from tests.terminal import at_terminal

LINKS = 230  # more than the server gives in a call


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> "Server":
    """A server of its own, with many links and a few that filters find."""
    server = Server(tmp_path_factory.mktemp("list") / "data", BASE_URL="https://arab.news")
    server.start()
    plain = [{"url": f"https://example.com/{number}"} for number in range(LINKS - 3)]
    assert server.api("POST", "/links/bulk", json={"links": plain}).status_code == 200
    server.make_link("https://example.com/old", code="old-one", tags=["news", "gulf"])
    server.make_link("https://example.com/t", code="titled", title="[red]Title, «عنوان»")
    server.make_link("https://example.com/new", code="new-one", tags=["news"])
    for _ in range(2):
        server.follow("old-one")
    assert eventually(lambda: server.clicks("old-one"), lambda clicks: clicks == 2) == 2
    yield server
    server.stop()


@pytest.fixture
def listed(site: Server) -> Callable[..., list[str]]:
    """The codes that `shortener list` with some options prints in a pipe, in order."""

    def codes(*options: str) -> list[str]:
        ended = run("list", *options, DATA_DIR=str(site.data_dir))
        assert ended.returncode == 0, ended.stderr
        return [
            line.split("\t")[0].removeprefix("https://arab.news/")
            for line in ended.stdout.splitlines()
        ]

    return codes


def test_in_a_pipe_a_line_is_a_link(site: Server) -> None:
    """Short URL, URL, clicks, time, tags, title with tabs between: for `cut` and `awk`."""
    lines = run("list", "--limit", "3", DATA_DIR=str(site.data_dir)).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    assert [row[:3] for row in rows] == [
        ["https://arab.news/new-one", "https://example.com/new", "0"],
        ["https://arab.news/titled", "https://example.com/t", "0"],
        ["https://arab.news/old-one", "https://example.com/old", "2"],
    ]
    assert [row[4:] for row in rows] == [
        ["news", ""],
        ["", "[red]Title, «عنوان»"],
        ["news,gulf", ""],
    ]


def test_the_limit_may_be_more_than_a_page(listed: Callable[..., list[str]]) -> None:
    """50 links by default, `--limit` so many, `--all` all of them, each once."""
    assert len(listed()) == 50
    assert len(listed("--limit", "210")) == 210
    everything = listed("--all")
    assert len(everything) == len(set(everything)) == LINKS


FILTERS = {
    "tag": (["--tag", "news"], ["new-one", "old-one"]),
    "two tags": (["--tag", "news", "--tag", "gulf"], ["old-one"]),
    "search": (["--search", "عنوان"], ["titled"]),
    "domain": (["--domain", "arab.news", "--limit", "1"], ["new-one"]),
    "by clicks": (["--sort", "-clicks", "--limit", "1"], ["old-one"]),
    "before": (["--created-before", "2020-01-01T00:00:00Z"], []),
    "after": (["--created-after", "2020-01-01T00:00:00+03:00", "--limit", "1"], ["new-one"]),
}


@pytest.mark.parametrize(("options", "wanted"), FILTERS.values(), ids=FILTERS)
def test_filters_and_order_are_the_servers(
    listed: Callable[..., list[str]], options: list[str], wanted: list[str]
) -> None:
    """Every one of them has an option."""
    assert listed(*options) == wanted


def test_oldest_first(listed: Callable[..., list[str]]) -> None:
    """`--sort created` turns the list around, over all its pages."""
    assert listed("--sort", "created", "--all") == listed("--all")[::-1]


def test_json_is_one_document_of_the_apis_shape(site: Server) -> None:
    """Over several pages, too; with the fields of the API."""
    local = {"DATA_DIR": str(site.data_dir)}
    everything = json.loads(run("list", "--all", "--json", **local).stdout)
    assert (len(everything["links"]), everything["total"]) == (LINKS, LINKS)
    assert everything["next_cursor"] is None
    assert everything["links"][0] == site.api("GET", "/links/new-one").json()
    some = json.loads(run("list", "--limit", "201", "--json", **local).stdout)
    assert len(some["links"]) == 201
    assert some["next_cursor"] is not None
    none = json.loads(run("list", "--limit", "1", "--tag", "nosuch", "--json", **local).stdout)
    assert none == {"links": [], "next_cursor": None, "total": 0}


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_on_a_terminal_it_is_a_table(site: Server, columns: int) -> None:
    """A row a link, none wider than the terminal, brackets as they are, and what is left out."""
    shown = at_terminal("list", "--limit", "3", columns=columns, DATA_DIR=str(site.data_dir))
    lines = shown.replace("\r", "").splitlines()
    assert len(lines) == 5
    assert max(len(re.sub("\x1b[^m]*m", "", line)) for line in lines) <= columns
    assert "leads to" in lines[0]
    assert "arab.news/new-one" in lines[1]
    assert "[red]Title" in lines[2]
    assert lines[4].count(f"3 links of {LINKS}; --all shows the rest") == 1


def test_a_reader_that_has_enough_is_no_failure_to_tell(site: Server) -> None:
    """`shortener list --all | head -1` says nothing on stderr."""
    ended = subprocess.run(
        ["sh", "-c", '"$1" -m shortener list --all | head -1', "sh", sys.executable],
        env=environment(DATA_DIR=str(site.data_dir)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.startswith("https://arab.news/new-one\t")
    assert ended.stderr == ""
