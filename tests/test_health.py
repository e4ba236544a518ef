"""Health: each check finds the fault it is for, says how to mend it, and is content afterwards."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from shortener import connections
from shortener.embedded import Embedded, find_binary
from tests.harness import Server, environment, eventually, private_redis, run

NewServer = Callable[..., Server]
Found = dict[str, dict[str, Any]]


def checks(server: Server) -> Found:
    """What `/-/ready` says, by check."""
    found: Found = server.http.get("/-/ready").json()["checks"]
    return found


def wrong(server: Server) -> dict[str, str]:
    """The checks that are not ok, each with its detail; all of them say how to mend it."""
    found = {name: check for name, check in checks(server).items() if check["status"] != "ok"}
    assert all(check["mend"] for check in found.values())
    return {name: check["detail"] for name, check in found.items()}


def wrong_soon(server: Server, wanted: set[str]) -> dict[str, str]:
    """As above, when they are the ones that are wanted, or after patience."""
    return eventually(lambda: wrong(server), lambda found: set(found) == wanted)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Embedded]:
    """A Redis that the test may spoil."""
    embedded = private_redis(tmp_path / "redis")
    yield embedded
    embedded.kill()


@pytest.fixture
def store(own_redis: Embedded) -> Iterator["redis.Redis"]:
    """A client of it."""
    client = connections.sync(own_redis.url)
    yield client
    client.close()


@pytest.fixture
def server(new_server: NewServer, own_redis: Embedded) -> Server:
    """A server that uses it, with nothing wrong."""
    running = new_server(REDIS_URL=own_redis.url, WORKERS="1").start()
    assert wrong_soon(running, set()) == {}
    return running


def redis_process(folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    """A Redis of the test's own with options that the product does not use."""
    fixed = ["--port", "0", "--unixsocket", str(folder / "socket"), "--dir", str(folder)]
    command = [str(find_binary("")), *fixed, "--appendonly", "yes", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def pings(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


SPOILT = {  # CONFIG SET, how it was, which check tells, in which words, how to mend it
    "the append-only file is off": (
        *("appendonly", "no", "yes"),
        *("persistence", "the append-only file is off", "`appendonly yes`"),
    ),
    "keys may be evicted": (
        *("maxmemory-policy", "allkeys-lru", "noeviction"),
        *("memory", "maxmemory-policy is allkeys-lru", "`maxmemory-policy noeviction`"),
    ),
    "memory runs out": (
        *("maxmemory", "1mb", "0"),
        *("memory", "more than 90 % of maxmemory", "Raise `maxmemory`"),
    ),
    "it is a replica": (
        *("replicaof", "127.0.0.1 1", "no one"),
        *("redis", "is a replica", "Name its master"),
    ),
}


@pytest.mark.parametrize(
    ("setting", "bad", "good", "name", "words", "mend"), SPOILT.values(), ids=SPOILT
)
def test_a_spoilt_redis_is_named(
    server: Server,
    store: "redis.Redis",
    setting: str,
    bad: str,
    good: str,
    name: str,
    words: str,
    mend: str,
) -> None:
    """Degraded while it lasts, with 200, by that check alone."""

    def configure(value: str) -> None:
        if setting == "replicaof":
            store.execute_command("REPLICAOF", *value.split())
        else:
            store.config_set(setting, value)

    configure(bad)
    answer = server.http.get("/-/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    found = answer.json()["checks"][name]
    assert found["status"] == "degraded"
    assert words in found["detail"]
    assert mend in found["mend"]
    assert set(wrong(server)) == {name}
    configure(good)
    assert wrong_soon(server, set()) == {}


def test_evictions_are_told_when_they_are_over(server: Server, store: "redis.Redis") -> None:
    """A policy that was mended does not bring back the links that went."""
    store.config_set("maxmemory-policy", "allkeys-random")
    for n in range(300):
        store.set(f"filler{n}", "x" * 10_000)
    store.config_set("maxmemory", "3mb")
    eventually(lambda: int(store.info()["evicted_keys"]), bool)
    store.config_set("maxmemory", "0")
    store.config_set("maxmemory-policy", "noeviction")
    assert "keys were evicted: links may vanish" in wrong(server)["memory"]


def test_an_append_only_file_that_cannot_be_written_is_named(new_server: NewServer) -> None:
    """Redis cannot rewrite its file: degraded until it can."""
    server = new_server(WORKERS="1").start()
    folder = server.data_dir / "redis" / "appendonlydir"
    client = connections.sync(f"unix://{server.data_dir}/redis/socket")
    moved = folder.with_name("moved")
    folder.rename(moved)
    folder.touch()
    with contextlib.suppress(redis.ResponseError):
        client.bgrewriteaof()
    found = wrong_soon(server, {"persistence"})
    assert found == {"persistence": "Redis could not write its append-only file"}
    folder.unlink()
    moved.rename(folder)
    client.bgrewriteaof()
    client.close()
    assert wrong_soon(server, set()) == {}


@pytest.mark.parametrize("has_served", [False, True], ids=["nothing served", "links served"])
def test_without_redis_what_was_served_decides(
    server: Server, own_redis: Embedded, has_served: bool
) -> None:
    """Links that were served go on: degraded, 200.  When none was, nothing works: failed, 503."""
    code = server.make_link()["code"]
    if has_served:
        assert server.follow(code).status_code == 302
    own_redis.kill()
    answer = server.http.get("/-/ready")
    expected = (200, "degraded") if has_served else (503, "failed")
    assert (answer.status_code, answer.json()["status"]) == expected
    assert "does not answer" in answer.json()["checks"]["redis"]["detail"]
    assert "SHORTENER_REDIS_URL" in answer.json()["checks"]["redis"]["mend"]
    assert server.http.get("/-/health").status_code == 200
    own_redis.start()
    assert wrong_soon(server, set()) == {}


def test_a_redis_that_loads_its_data_is_waited_for(new_server: NewServer, tmp_path: Path) -> None:
    """While it loads and nothing was served: failed, in these words; afterwards ok by itself."""
    folder = tmp_path / "redis"
    folder.mkdir()
    url = f"unix://{folder}/socket"
    process = redis_process(folder)
    client = connections.sync(url)
    assert eventually(lambda: pings(client), bool)
    server = new_server(REDIS_URL=url, WORKERS="1").start()
    filler = client.pipeline(transaction=False)
    for n in range(16_000):
        filler.set(f"filler{n}", "x")
    filler.execute()
    process.kill()
    process.wait()
    process = redis_process(folder, "--key-load-delay", "500")  # microseconds a key
    try:
        answer = eventually(
            lambda: server.http.get("/-/ready"), lambda found: "is loading" in found.text
        )
        assert (answer.status_code, answer.json()["status"]) == (503, "failed")
        found = answer.json()["checks"]["redis"]
        assert found["detail"] == "is loading its data, and no link was served before"
        assert found["mend"]
        assert wrong_soon(server, set()) == {}
    finally:
        server.stop()
        process.kill()
        process.wait()
        client.close()


def test_a_wrong_password_is_named(
    new_server: NewServer, own_redis: Embedded, store: "redis.Redis"
) -> None:
    """A Redis that asks for a password: the words say so, and do not say the password."""
    server = new_server(REDIS_URL=own_redis.url, WORKERS="1").start()
    store.config_set("requirepass", "not-told-to-anyone")
    store.client_kill_filter(_type="normal", skipme=False)
    found = wrong_soon(server, {"redis"})
    assert "refuses our password" in found["redis"]
    assert "not-told" not in server.http.get("/-/ready").text


CONFIGURATIONS = {  # settings, whether it is well, what is said
    "as it comes": ({}, True, "short links begin with http://127.0.0.1:8000"),
    "TLS": ({"BASE_URL": "https://arab.news"}, True, "https://arab.news"),
    "no TLS in the open": ({"BASE_URL": "http://arab.news"}, False, "lead visitors elsewhere"),
    "no TLS on an address": ({"BASE_URL": "http://8.8.8.8"}, False, "lead visitors elsewhere"),
    "no TLS in the house": ({"BASE_URL": "http://go.corp"}, True, "http://go.corp"),
    "no TLS on one word": ({"BASE_URL": "http://go"}, True, "http://go"),
    "no TLS on a private address": ({"BASE_URL": "http://10.1.2.3"}, True, "http://10.1.2.3"),
    "open to others without a name": ({"BIND": "0.0.0.0:80"}, False, "nobody else can follow"),
    "the same over IPv6": ({"BIND": "[::]:80"}, False, "nobody else can follow"),
    "behind a proxy without a name": ({"TRUSTED_PROXIES": "1"}, False, "nobody else can follow"),
    "open to others": (
        {"BIND": "0.0.0.0:80", "BASE_URL": "https://arab.news"},
        True,
        "https://arab.news",
    ),
}


@pytest.mark.parametrize(
    ("settings", "is_well", "words"), CONFIGURATIONS.values(), ids=CONFIGURATIONS
)
def test_an_address_that_nobody_should_give_out_is_named(
    tmp_path: Path, settings: dict[str, str], is_well: bool, words: str
) -> None:
    """What short links begin with is looked at, as far as it can be wrong by itself."""
    ended = run("check", "--json", DATA_DIR=str(tmp_path / "data"), **settings)
    found = {check["name"]: check for check in json.loads(ended.stdout)}["configuration"]
    assert found["status"] == ("ok" if is_well else "degraded")
    assert words in found["detail"]
    assert bool(found["mend"]) is not is_well


def test_another_salt_is_named(new_server: NewServer) -> None:
    """CODE_SALT that is not the one of the first start: links work, and it is said."""
    server = new_server(WORKERS="1", CODE_SALT="the first salt of all").start()
    assert wrong_soon(server, set()) == {}
    server.stop()
    server.settings["CODE_SALT"] = "another salt"
    server.start()
    found = wrong_soon(server, {"salt"})
    assert "CODE_SALT is another" in found["salt"]
    assert "salt" not in found["salt"].replace("CODE_SALT", "")
    assert server.follow(server.make_link()["code"]).status_code == 302


def test_an_admin_key_that_others_can_read_is_named(new_server: NewServer) -> None:
    """The file's mode is looked at, and never what is in it told."""
    server = new_server(WORKERS="1").start()
    file = server.data_dir / "admin-key"
    file.chmod(0o640)
    assert "others on this host" in wrong_soon(server, {"admin-key"})["admin-key"]
    assert server.key not in server.http.get("/-/ready").text
    file.chmod(0o600)
    assert wrong_soon(server, set()) == {}


PROXIES = {  # trusted, lines of X-Forwarded-For in most requests and in a few, what is wrong
    "a proxy that is not trusted": ("0", "192.0.2.1", None, "TRUSTED_PROXIES is 0"),
    "a header made up now and then": ("0", None, "192.0.2.1", ""),
    "no proxy where one is trusted": ("1", None, None, "fewer than 1 entries"),
    "one proxy where two are trusted": ("2", "192.0.2.1", None, "fewer than 2 entries"),
    "a proxy as it is said": ("1", "192.0.2.1", None, ""),
    "a look past the proxy": ("1", "192.0.2.1", "", ""),
}


@pytest.mark.parametrize(("trusted", "most", "few", "words"), PROXIES.values(), ids=PROXIES)
def test_proxies_that_are_not_as_said_are_named(
    new_server: NewServer, trusted: str, most: str | None, few: str | None, words: str
) -> None:
    """By what most requests say, so no single visitor can raise the alarm."""
    server = new_server(WORKERS="1", TRUSTED_PROXIES=trusted, BASE_URL="https://arab.news").start()
    for n in range(24):
        value = few if few is not None and n % 8 == 0 else most
        server.http.get("/", headers={"X-Forwarded-For": value} if value else {})
    found = wrong_soon(server, {"proxies"} if words else set())
    assert set(found) == ({"proxies"} if words else set())
    assert words in found.get("proxies", "")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """A data directory on a disk with little room, in a mount that only the check sees."""
    script = f"""
        mount -t tmpfs -o size=16m none {tmp_path} || exit 77
        exec {sys.executable} -m shortener check --json
    """
    ended = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        env=environment(DATA_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode == 77 or "unshare" in ended.stderr:
        pytest.skip("this kernel lets nobody but root mount a disk")
    found = {check["name"]: check for check in json.loads(ended.stdout)}["disk"]
    assert found["status"] == "degraded"
    assert found["detail"].endswith("MiB free for DATA_DIR")
    assert "Make room" in found["mend"]


def test_journals_near_their_limit_are_named_before_clicks_are_lost(new_server: NewServer) -> None:
    """At 80 % of JOURNAL_LIMIT, with how much is used."""
    server = new_server("--without-aggregator", WORKERS="1", JOURNAL_LIMIT="1").start()
    code = server.make_link()["code"]
    agent = {"User_Agent": "x" * 500, "Referer": "y" * 500}

    def told() -> str:
        for _ in range(20):
            server.follow(code, **agent)
        return str(checks(server)["journal"]["detail"])

    said = eventually(told, lambda detail: detail != "every click was written down")
    assert re.fullmatch(r"(8|9)\d % of JOURNAL_LIMIT is used; at 100 % clicks are lost", said)
    lost = eventually(told, lambda detail: "JOURNAL_LIMIT" not in detail)
    assert "clicks could not be written down" in lost


SHIFT = """
import time
from pathlib import Path
true_time = time.time
def shifted():
    try:
        return true_time() + float(Path({file!r}).read_text())
    except (OSError, ValueError):
        return true_time()
time.time = shifted
"""


def test_a_clock_that_jumps_is_named(
    new_server: NewServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour forth and back: that it is not Redis's, and afterwards still that it jumped."""
    (tmp_path / "path").mkdir()
    shift = tmp_path / "shift"
    (tmp_path / "path" / "sitecustomize.py").write_text(SHIFT.format(file=str(shift)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    server = new_server(WORKERS="1").start()
    assert wrong_soon(server, set()) == {}
    shift.write_text("3600")
    found = wrong(server)
    assert "3600 seconds ahead of Redis" in found["clock"]
    assert "jumped by +3600 seconds" in found["host-clock"]
    shift.write_text("0")
    found = wrong_soon(server, {"host-clock"})
    assert "jumped by -3600 seconds" in found["host-clock"]
