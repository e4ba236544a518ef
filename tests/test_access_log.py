"""The access log: a line of JSON for each answer, without secrets and without people."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Server, eventually, run

NewServer = Callable[..., Server]


def lines(file: Path) -> list[dict[str, Any]]:
    """What is in the log, in order."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def logged(file: Path, count: int) -> list[dict[str, Any]]:
    """The first so many lines, without those of the launcher's own look at the health.

    The event loop and Flask write theirs on their own, so they are put in the order of time.
    """

    def read() -> list[dict[str, Any]]:
        return [line for line in lines(file) if line["kind"] != "operations"]

    found = eventually(read, lambda found: len(found) >= count)
    return sorted(found, key=lambda line: line["time"])[:count]


def test_every_answer_is_a_line(new_server: NewServer, tmp_path: Path) -> None:
    """Redirects of the event loop and answers of Flask alike: time, kind, method, path, status,
    size, duration and network."""
    file = tmp_path / "access.log"
    server = new_server(ACCESS_LOG=str(file), WORKERS="1", TRUSTED_PROXIES="1").start()
    code = server.make_link()["code"]
    visit = {"X_Forwarded_For": "192.0.2.77"}
    assert server.follow(code, **visit).status_code == 302
    assert server.follow(code, "HEAD", **visit).status_code == 302
    size = len(server.follow("nöthere", **visit).content)
    found = logged(file, 4)
    assert [(line["kind"], line["method"], line["path"], line["status"]) for line in found] == [
        ("api", "POST", "/api/v1/links", 201),
        ("redirect", "GET", f"/{code}", 302),
        ("redirect", "HEAD", f"/{code}", 302),
        ("redirect", "GET", "/n%C3%B6there", 404),
    ]
    assert [line["network"] for line in found] == ["127.0.0.0/24", *["192.0.2.0/24"] * 3]
    assert (found[1]["bytes"], found[3]["bytes"]) == (0, size)
    for line in found:
        assert set(line) == {
            *("time", "kind", "method", "path", "status", "bytes", "ms", "network"),
        }
        assert line["time"].endswith("Z")
        assert line["ms"] > 0


PEOPLE = {  # headers, the network that is logged
    "IPv4": ({"X_Forwarded_For": "203.0.113.200"}, "203.0.113.0/24"),
    "IPv6": ({"X_Forwarded_For": "2001:db8:1:2:3:4:5:6"}, "2001:db8:1::/48"),
    "not to be tracked": ({"X_Forwarded_For": "203.0.113.200", "DNT": "1"}, None),
    "private by law": ({"X_Forwarded_For": "203.0.113.200", "Sec_GPC": "1"}, None),
}


@pytest.mark.parametrize("fields", [{}, {"max_clicks": 9}], ids=["on the edge", "under Flask"])
def test_nobody_can_be_told_by_the_address(
    new_server: NewServer, tmp_path: Path, fields: dict[str, int]
) -> None:
    """The network alone is logged, and not even that of who asks not to be tracked."""
    file = tmp_path / "access.log"
    server = new_server(ACCESS_LOG=str(file), WORKERS="1", TRUSTED_PROXIES="1").start()
    code = server.make_link(**fields)["code"]
    for headers, _ in PEOPLE.values():
        assert server.follow(code, **headers).status_code == 302
    found = logged(file, 1 + len(PEOPLE))[1:]
    assert {line["path"] for line in found} == {f"/{code}"}
    assert [line["network"] for line in found] == [network for _, network in PEOPLE.values()]


def test_no_secret_is_logged(new_server: NewServer, tmp_path: Path) -> None:
    """Keys, passwords, queries, referrers and user agents leave no trace, and no log is made of
    another line by what a visitor sends."""
    file = tmp_path / "access.log"
    server = new_server(ACCESS_LOG=str(file), WORKERS="1").start()
    code = server.make_link(password="a-secret-1")["code"]
    plain = server.make_link()["code"]
    headers = {"User-Agent": "a-secret-3", "Referer": "https://a-secret-4.example/"}
    server.http.post(f"/{code}?token=a-secret-2", data={"password": "a-secret-1"}, headers=headers)
    server.http.get(f"/{plain}?token=a-secret-2", headers=headers)
    server.http.get("/api/v1/links?key=a-secret-2", headers={"X-Api-Key": "a-secret-5"})
    server.http.get('/x%0A{"status": 200}%22', headers=headers)
    found = logged(file, 6)
    assert [line["status"] for line in found] == [201, 201, 303, 302, 401, 404]
    text = file.read_text()
    assert "a-secret" not in text
    assert server.key not in text
    assert found[-1]["path"] == "/x%0A%7B%22status%22%3A%20200%7D%22"


def test_a_stop_loses_no_line(new_server: NewServer, tmp_path: Path) -> None:
    """All lines of both workers are there, each whole."""
    file = tmp_path / "access.log"
    server = new_server(ACCESS_LOG=str(file), WORKERS="2").start()
    code = server.make_link()["code"]
    for _ in range(200):
        server.follow(code)
    server.stop()
    found = [line for line in lines(file) if line["path"] == f"/{code}"]
    assert len(found) == 200
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_reload_begins_a_file_that_was_moved_away(new_server: NewServer, tmp_path: Path) -> None:
    """As log rotation does it: rename, then SIGHUP."""
    file = tmp_path / "access.log"
    server = new_server(ACCESS_LOG=str(file), WORKERS="1").start()
    code = server.make_link()["code"]
    server.follow(code)
    logged(file, 2)
    file.rename(tmp_path / "access.log.1")
    assert server._process is not None
    server._process.send_signal(signal.SIGHUP)

    def follow() -> bool:
        server.follow(code)
        return file.exists()

    assert eventually(follow, bool)
    assert logged(file, 1)[0]["path"] == f"/{code}"


def test_a_hyphen_is_the_standard_output(new_server: NewServer) -> None:
    """Behind what the start says there."""
    server = new_server(ACCESS_LOG="-", WORKERS="1").start()
    code = server.make_link()["code"]
    server.follow(code)
    assert server._process is not None
    assert server._process.stdout is not None
    for line in server._process.stdout:
        if json.loads(line)["path"] == f"/{code}":
            break


def test_there_is_none_unless_it_is_wanted(new_server: NewServer) -> None:
    """Nothing is written on stdout, and no file is made."""
    server = new_server(WORKERS="1").start()
    server.follow(server.make_link()["code"])
    process = server._process
    assert process is not None
    assert process.stdout is not None
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == ""
    server.stop()
    assert not [path for path in server.data_dir.rglob("*") if "access" in path.name]


@pytest.mark.parametrize("target", ["{}", "{}/missing/access.log"], ids=["a directory", "nowhere"])
def test_a_log_that_cannot_be_written_stops_the_start(tmp_path: Path, target: str) -> None:
    """One line, exit status 2."""
    settings = {"DATA_DIR": str(tmp_path / "data"), "ACCESS_LOG": target.format(tmp_path)}
    ended = run("serve", **settings)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("shortener: SHORTENER_ACCESS_LOG: cannot write")
