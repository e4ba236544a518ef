"""`shortener export`: whole files or none, and what is in them makes the same site again."""

import csv
import json
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Server, environment, eventually, run, start
from tests.wire import Wire

NewServer = Callable[..., Server]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> "Server":
    """A server of its own with links of all kinds, and clicks."""
    server = Server(tmp_path_factory.mktemp("export") / "data", BASE_URL="https://arab.news")
    server.start()
    server.make_link(
        "https://example.com/full",
        code="full",
        title='A "title", عنوان',
        tags=["news", "a,b"],
        starts_at="2020-01-01T00:00:00Z",
        expires_at="2099-01-01T00:00:00Z",
        expired_url="https://example.com/over",
        max_clicks=100,
        redirect_status=307,
        forward_query=True,
    )
    server.make_link("https://example.com/secret", code="secret", password="tiger")
    for first in (0, 600):
        links = [
            {"url": f"https://example.com/{number}", "code": f"n-{number}"}
            for number in range(first, first + 600)
        ]
        assert server.api("POST", "/links/bulk", json={"links": links}).status_code == 200
    for _ in range(3):
        server.follow("full")
    assert eventually(lambda: server.clicks("full"), lambda clicks: clicks == 3) == 3
    yield server
    server.stop()


@pytest.fixture
def local(site: Server) -> dict[str, str]:
    return {"DATA_DIR": str(site.data_dir), "KEY": site.key}


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_json_lines_make_the_same_site_again(
    site: Server, local: dict[str, str], new_server: NewServer, tmp_path: Path
) -> None:
    """Links with all fields, passwords and statistics; a second import changes nothing."""
    file = tmp_path / "site.jsonl"
    ended = run("export", str(file), **local)
    assert (ended.returncode, ended.stdout) == (0, f"1,202 links written to {file}\n"), ended.stderr
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert records[0]["type"] == "export"
    links = [record for record in records if record["type"] == "link"]
    assert [link["code"] for link in links[:3]] == ["full", "secret", "n-0"]

    other = new_server(BASE_URL="https://arab.news").start()
    there = {"DATA_DIR": str(other.data_dir)}
    made = run("import", str(file), **there)
    assert made.returncode == 0, made.stderr
    both = [
        json.loads(run("list", "--all", "--json", "--sort", "created", **at).stdout)["links"]
        for at in (local, there)
    ]
    for links in both:
        for link in links:
            del link["created_by"], link["updated_at"]
    assert both[0] == both[1]
    stats = [
        json.loads(run("stats", "full", "--json", **at).stdout)["totals"] for at in (local, there)
    ]
    assert stats[0] == stats[1]
    assert stats[0]["clicks"] == 3
    answer = other.http.post("/secret", data={"password": "tiger"})
    assert answer.headers["location"] == "https://example.com/secret"

    again = run("import", str(file), **there)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("0 created, ")
    assert other.clicks("full") == 3


def test_csv_has_a_line_for_each_link(
    local: dict[str, str], new_server: NewServer, tmp_path: Path
) -> None:
    """Settable fields, short URL, creation and clicks, oldest first; it can be imported."""
    file = tmp_path / "links.csv"
    ended = run("export", str(file), **local)
    assert (ended.returncode, ended.stdout) == (0, f"1,202 links written to {file}\n"), ended.stderr
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 1202
    created_at = rows[0].pop("created_at")
    assert rows[0] == {
        "url": "https://example.com/full",
        "code": "full",
        "domain": "arab.news",
        "title": 'A "title", عنوان',
        "tags": "news|a,b",
        "starts_at": "2020-01-01T00:00:00Z",
        "expires_at": "2099-01-01T00:00:00Z",
        "expired_url": "https://example.com/over",
        "max_clicks": "100",
        "redirect_status": "307",
        "forward_query": "true",
        "short_url": "https://arab.news/full",
        "clicks": "3",
    }
    other = new_server(BASE_URL="https://arab.news").start()
    made = run("import", str(file), DATA_DIR=str(other.data_dir))
    assert made.stdout == "1,202 created, 0 there already, 0 failed\n", made.stderr
    found = other.api("GET", "/links/full").json()
    assert (found["tags"], found["created_at"]) == (["news", "a,b"], created_at)


def test_standard_output_takes_it(local: dict[str, str]) -> None:
    """`-`: nothing but the records; JSON lines unless `--format csv`."""
    ended = run("export", "-", **local)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert all(json.loads(line) for line in ended.stdout.splitlines())
    ended = run("export", "-", "--format", "csv", **local)
    assert ended.stdout.startswith("url,code,")
    assert len(ended.stdout.splitlines()) == 1203


@pytest.mark.parametrize("name", ["links.csv", "links.jsonl"])
def test_a_file_is_not_overwritten_unless_asked(
    local: dict[str, str], tmp_path: Path, name: str
) -> None:
    """It stays as it is; with `--force` it is replaced, and a symbolic link stays one."""
    file = tmp_path / name
    file.write_text("precious")
    refused = run("export", str(file), **local)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"shortener: {file} exists; --force overwrites it\n"
    assert file.read_text() == "precious"
    way = tmp_path / f"way-to-{name}"
    way.symlink_to(file)
    forced = run("export", str(way), "--force", "--json", **local)
    assert json.loads(forced.stdout) == {"file": str(way), "links": 1202}
    assert way.is_symlink()
    assert len(file.read_text().splitlines()) >= 1202
    assert files(tmp_path) == [name, way.name]


def test_only_its_owner_can_read_it(local: dict[str, str], tmp_path: Path) -> None:
    """It may have password hashes in it."""
    run("export", str(tmp_path / "site.jsonl"), **local)
    assert stat.S_IMODE((tmp_path / "site.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
@pytest.mark.parametrize("name", ["links.csv", "links.jsonl"])
def test_an_interrupted_export_leaves_nothing(
    site: Server, local: dict[str, str], tmp_path: Path, how: signal.Signals, name: str
) -> None:
    """Not a half file, not a scratch file; what was there is there; repeated it is whole."""
    wire = Wire(site.address)
    wire.hold = b"cursor="  # the first page comes, the second one does not
    directory = tmp_path / "out"
    directory.mkdir()
    process = start("export", str(directory / name), **local, SERVER=wire.address)
    assert wire.held.wait(20)
    assert len(files(directory)) == 1  # the scratch file
    process.send_signal(how)
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert files(directory) == []
    wire.close()
    assert run("export", str(directory / name), **local).returncode == 0
    assert files(directory) == [name]


def test_a_lost_answer_is_asked_for_again(
    site: Server, local: dict[str, str], tmp_path: Path
) -> None:
    """The file has every link once."""
    wire = Wire(site.address)
    wire.lose = b"cursor="
    file = tmp_path / "links.jsonl"
    ended = run("export", str(file), SERVER=wire.address, **local)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert wire.lost == 1
    codes = [json.loads(line).get("code") for line in file.read_text().splitlines()]
    assert len([code for code in codes if code]) == len({code for code in codes if code}) == 1202
    wire.close()


REFUSALS = {
    "no directory": ("nowhere/links.csv", [], "No such file or directory"),
    "not a file": ("/dev/null", ["--format", "csv", "--force"], "is no regular file"),
    "a key that may not": ("x.jsonl", ["--key", "sk_wrong"], "This API key is unknown"),
    "no server": ("x.csv", ["--server", "http://127.0.0.1:1"], "no answer from"),
}


@pytest.mark.parametrize(("name", "options", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_what_goes_wrong_is_told_in_one_line(
    local: dict[str, str], tmp_path: Path, name: str, options: list[str], reason: str
) -> None:
    """Status 1, and no file."""
    ended = run("export", str(tmp_path / name), *options, **local)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert reason in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert files(tmp_path) == []


def test_a_full_disk_leaves_nothing(local: dict[str, str], tmp_path: Path) -> None:
    """What does not fit is told in one line; neither file nor scratch file stays."""
    file = str(tmp_path / "links.csv")
    ended = subprocess.run(
        ["sh", "-c", 'ulimit -f 40; exec "$0" -m shortener export "$1"', sys.executable, file],
        env=environment(**local),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"shortener: {file}: File too large\n"
    assert files(tmp_path) == []


def test_the_form_must_be_known(local: dict[str, str], tmp_path: Path) -> None:
    """By the name, or by `--format`: otherwise status 2."""
    assert run("export", str(tmp_path / "links"), **local).returncode == 2
    assert run("export", str(tmp_path / "links"), "--format", "csv", **local).returncode == 0
