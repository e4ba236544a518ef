"""`shortener serve`: it starts, stops and starts again, or says in one line why not."""

import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.harness import NO_TLS, Server, descendants, eventually, parent, run

NewServer = Callable[..., Server]


def test_the_first_start_says_all_that_a_newcomer_needs(new_server: NewServer) -> None:
    """Where it listens, the admin key, and a `curl` line that works when pasted."""
    server = new_server().start()
    said = "\n".join(server.said)
    assert f"listens on {server.address}" in said
    assert server.key in said
    assert stat.S_IMODE((server.data_dir / "admin-key").stat().st_mode) == 0o600
    (curl,) = [line.strip() for line in server.said if line.strip().startswith("curl ")]
    pasted = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True)
    assert '"short_url":"http://127.0.0.1:8000/' in pasted.stdout


def test_there_are_as_many_workers_as_processors(new_server: NewServer) -> None:
    """A server that may use one processor has one worker."""
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})
    try:
        server = new_server().start()
    finally:
        os.sched_setaffinity(0, usable)
    assert server.follow(server.make_link()["code"]).status_code == 302
    assert len(server.workers()) == 1


def test_everything_is_there_at_the_next_start(new_server: NewServer) -> None:
    """Links, clicks and the key outlive a stop with Ctrl-C; the key is not shown again."""
    server = new_server().start()
    key, code = server.key, server.make_link()["code"]
    for _ in range(5):
        assert server.follow(code).status_code == 302
    pids = descendants(server._process.pid)  # type: ignore[union-attr]
    assert server.stop(signal.SIGINT) == 0
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    server.start()
    assert key not in "\n".join(server.said)
    assert server.key == key
    assert server.clicks(code) == 5  # counted before the stop was over
    assert server.follow(code).status_code == 302


def test_two_servers_on_one_directory_are_refused(new_server: NewServer) -> None:
    """The second says so in one line and leaves the first alone."""
    server = new_server().start()
    second = run("serve", DATA_DIR=str(server.data_dir), BIND="127.0.0.1:0")
    assert second.returncode == 1
    assert second.stderr.splitlines() == [
        f"shortener: another server uses the data directory {server.data_dir}"
    ]
    assert server.make_link()["code"]


def test_a_second_aggregator_is_refused(new_server: NewServer) -> None:
    """One aggregator a host: the second says so in one line."""
    server = new_server().start()
    eventually(lambda: (server.data_dir / "aggregator.json").exists(), bool)
    url = f"unix://{server.data_dir}/redis/socket"
    second = run("aggregate", DATA_DIR=str(server.data_dir), REDIS_URL=url)
    assert second.returncode == 1
    assert second.stderr == f"shortener: an aggregator runs already on {server.data_dir}\n"


def busy_port() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


REFUSED = {
    "an unknown setting": ({"BINDD": "x"}, 2, "SHORTENER_BINDD: there is no such setting"),
    "a bad value": ({"WORKERS": "many"}, 2, "SHORTENER_WORKERS: must be a whole number from 0"),
    "a bad address": ({"BIND": "8000"}, 2, "SHORTENER_BIND: must be host:port"),
    "a foreign address": ({"BIND": "192.0.2.1:80"}, 1, "SHORTENER_BIND: cannot listen on"),
    "a bad zone": ({"TIMEZONE": "Mars"}, 2, "SHORTENER_TIMEZONE: must be an IANA time zone"),
    "a bad base": ({"BASE_URL": "arab.news"}, 2, "SHORTENER_BASE_URL: must be an http"),
    "Redis unreachable": ({"REDIS_URL": "redis://127.0.0.1:1/0"}, 1, "SHORTENER_REDIS_URL: cannot"),
    "no such Redis": ({"REDIS_SERVER": "/nowhere"}, 1, "SHORTENER_REDIS_SERVER: /nowhere is not"),
    "not a Redis": ({"REDIS_SERVER": "/bin/true"}, 1, "/bin/true is not a Redis or Valkey"),
    "a file for a directory": ({"DATA_DIR": "/dev/null"}, 2, "SHORTENER_DATA_DIR: cannot use"),
    "a short key": ({"ADMIN_KEY": "short"}, 2, "SHORTENER_ADMIN_KEY: must be 16 to 128"),
    "a missing file": ({"ADMIN_KEY_FILE": "/nowhere"}, 2, "SHORTENER_ADMIN_KEY_FILE: cannot read"),
}


@pytest.mark.parametrize(("settings", "status", "message"), REFUSED.values(), ids=REFUSED)
def test_a_start_that_cannot_work_says_so_in_one_line(
    tmp_path: Path, settings: dict[str, str], status: int, message: str
) -> None:
    """One line on stderr that names the setting, a status that is not 0, nothing left running."""
    given = {"DATA_DIR": str(tmp_path / "data"), "BIND": "127.0.0.1:0"} | settings
    ended = run("serve", **given)
    assert ended.returncode == status
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(f"shortener: {message}")
    assert ended.stdout == ""
    assert left_running(tmp_path) == []


def test_a_busy_port_is_said_in_one_line(tmp_path: Path) -> None:
    """And nothing is left running."""
    with busy_port() as busy:
        bind = f"127.0.0.1:{busy.getsockname()[1]}"
        ended = run("serve", DATA_DIR=str(tmp_path / "data"), BIND=bind)
    assert ended.returncode == 1
    assert (
        ended.stderr
        == f"shortener: SHORTENER_BIND: cannot listen on {bind}: Address already in use\n"
    )
    assert left_running(tmp_path) == []


def test_what_is_fixed_at_the_first_start_cannot_change(new_server: NewServer) -> None:
    """Another zone or another rule for case than the data was made with is refused."""
    server = new_server(TIMEZONE="Asia/Riyadh").start()
    server.stop()
    for changed in ({"TIMEZONE": "UTC"}, {"TIMEZONE": "Asia/Riyadh", "CASE_SENSITIVE": "true"}):
        ended = run("serve", **(server.settings | changed))
        assert ended.returncode == 2
        assert "but the data was made with" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    server.start()


def test_the_lost_admin_key_is_registered_again(new_server: NewServer) -> None:
    """A store that was emptied accepts the key in `admin-key` after a start."""
    server = new_server().start()
    key = server.key
    server.stop()
    for path in sorted((server.data_dir / "redis").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    server.start()
    assert server.key == key
    assert server.make_link()["code"]


def test_a_key_of_ones_own(new_server: NewServer) -> None:
    """`ADMIN_KEY` is the admin key; a start with another one ends the first."""
    server = new_server(ADMIN_KEY="a key of my own choice").start()
    assert not (server.data_dir / "admin-key").exists()
    assert server.make_link()["code"]
    server.stop()
    server.settings["ADMIN_KEY"] = "another key of my choice"
    server.start()
    assert server.make_link()["code"]
    old = {"Authorization": "Bearer a key of my own choice"}
    assert server.http.get("/api/v1/links", headers=old).status_code == 401


def test_a_revoked_admin_key_stays_revoked(new_server: NewServer) -> None:
    """The key in `admin-key` is not let in again by a start when it was revoked."""
    server = new_server().start()
    old = server.key
    made = server.api("POST", "/keys", json={"name": "new", "scopes": ["admin"]}).json()
    (first,) = [k["id"] for k in server.api("GET", "/keys").json()["keys"] if k["name"] == "admin"]
    assert server.api("DELETE", f"/keys/{first}").status_code == 204
    server.stop()
    server.start()
    for key, status in ((old, 401), (made["key"], 200)):
        sent = {"Authorization": f"Bearer {key}"}
        assert server.http.get("/api/v1/keys", headers=sent).status_code == status


def test_a_proxy_for_others_does_not_matter(
    new_server: NewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`http_proxy` is for the world outside; the server still finds itself."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server = new_server()
    server.start()
    assert server.said


def test_a_redis_that_outlives_its_launcher_keeps_its_files(new_server: NewServer) -> None:
    """The launcher is killed while Redis hangs: no second Redis is started on the same files."""
    server = new_server().start()
    code = server.make_link()["code"]
    (redis,) = server.pids("valkey")
    os.kill(redis, signal.SIGSTOP)
    try:
        server._process.kill()  # type: ignore[union-attr]
        server._process.wait()  # type: ignore[union-attr]
        second = run("serve", **server.settings)
        assert (second.returncode, "another server uses" in second.stderr) == (1, True)
    finally:
        os.kill(redis, signal.SIGKILL)
    server._close()
    server.start()
    assert server.follow(code).status_code == 302


def test_a_long_directory_has_its_socket_elsewhere(new_server: NewServer) -> None:
    """A unix socket's path is short; the data directory's need not be."""
    server = new_server(name="d" * 120).start()
    assert server.follow(server.make_link()["code"]).status_code == 302
    server.stop()


def test_what_dies_is_started_again(new_server: NewServer) -> None:
    """gunicorn's master is killed: its workers go along, and new ones answer."""
    server = new_server(WORKERS="2").start()
    code = server.make_link()["code"]
    old = server.pids("gunicorn")
    master = next(pid for pid in old if pid not in server.workers())
    os.kill(master, signal.SIGKILL)
    eventually(lambda: [p for p in old if Path(f"/proc/{p}").exists()], lambda left: not left)
    server.http.close()
    server._clients.clear()
    assert server.follow(code).status_code == 302
    assert not set(server.pids("gunicorn")) & set(old)


def test_a_worker_that_has_just_begun_does_not_outlive_its_master(new_server: NewServer) -> None:
    """A worker dies, and gunicorn's master as soon as it has forked another one: that goes along,
    however little it had done yet."""
    server = new_server(WORKERS="1").start()
    for _ in range(3):
        (old,) = eventually(server.workers, lambda workers: len(workers) == 1)
        master = parent(old)
        forked = Path(f"/proc/{master}/task/{master}/children")
        os.kill(old, signal.SIGKILL)
        new, patience = set[str](), time.monotonic() + 10
        while not new and time.monotonic() < patience:  # without a pause: the moment would pass
            new = set(forked.read_text().split()) - {str(old)}
        os.kill(master, signal.SIGKILL)
        (newcomer,) = new
        assert eventually(Path(f"/proc/{newcomer}").exists, lambda there: not there) is False


def test_nobody_is_let_in_while_the_last_clicks_are_counted(new_server: NewServer) -> None:
    """The aggregator is held up as the service stops: whoever comes now is refused, not kept
    waiting by a socket that some process still has."""
    server = new_server(WORKERS="2").start()
    (aggregator,) = server.pids("shortener: aggregator")
    os.kill(aggregator, signal.SIGSTOP)
    server._process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
    assert eventually(lambda: server.pids("gunicorn"), lambda left: not left) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.address}/-/health", verify=NO_TLS)
    os.kill(aggregator, signal.SIGCONT)
    assert server.stop() == 0


def left_running(directory: Path) -> list[str]:
    """Command lines of processes that have to do with a directory."""
    time.sleep(0.1)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            files = {str(file.readlink()) for file in (entry / "fd").iterdir()}
        except OSError:
            continue
        environment += "\0".join(files).encode()
        if str(directory).encode() in environment and int(entry.name) != os.getpid():
            found.append((entry / "cmdline").read_text())
    return found
