"""The container files: docker-compose.yml, Dockerfile and .dockerignore.

Owns what can be said of them without a container engine: that the compose file is one, that it and
the program agree on commands, settings, port and data directory, that its health checks tell a
living service from a dead one, and that nothing in it gives away more than a service needs.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Context

from shortener.cli import main

ROOT = Path(__file__).resolve().parent.parent
COMPOSE_FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"

COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("web", "aggregator")


def instructions(word: str) -> list[str]:
    """The arguments of every `word` instruction in the Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text("utf-8"))
    return re.findall(rf"^{word} +(.+)$", text, re.MULTILINE)


def named_volumes(service: str) -> dict[str, str]:
    """Where a service mounts which volume: the path in the container, and the volume's name."""
    pairs = (volume.split(":") for volume in SERVICES[service]["volumes"])
    return {path: name for name, path, *_ in pairs}


def probe(service: str, *replacements: tuple[str, str], **environ: str) -> int:
    """Run a service's Python health check here, with parts of it replaced; its exit status."""
    kind, python, *arguments, code = SERVICES[service]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    for old, new in replacements:
        assert old in code
        code = code.replace(old, new)
    done = subprocess.run(
        [sys.executable, *arguments, code],
        env={**os.environ, **environ},
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=30,
    )
    return done.returncode


@contextmanager
def answering(status: int) -> Iterator[tuple[str, list[str]]]:
    """A server on the loopback that answers every GET with `status`: its address, paths asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_compose_file_follows_the_compose_specification() -> None:
    """The compose file is valid by the JSON schema of the compose specification."""
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [sys.executable, *command, str(COMPOSE_FILE)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_services_are_web_aggregator_and_redis() -> None:
    """Compose starts the two halves of the program and the store, and says no obsolete version."""
    assert set(SERVICES) == {"web", "aggregator", "redis"}
    assert "version" not in COMPOSE


@pytest.mark.parametrize("path", [COMPOSE_FILE, DOCKERFILE], ids=lambda path: path.name)
def test_every_setting_named_is_one_the_program_knows(path: Path) -> None:
    """No container file names a SHORTENER_ variable that the program would refuse at start."""
    from shortener.config import SETTINGS

    named = set(re.findall(r"\bSHORTENER_([A-Z0-9_]+)", path.read_text("utf-8")))
    assert named
    assert named <= {setting.name for setting in SETTINGS}


def test_every_setting_of_the_program_can_be_set() -> None:
    """Each setting in .env reaches the services; only the embedded server's, which is not used,
    reaches none, and the admin key only web.
    """
    from shortener.config import SETTINGS

    known = {f"SHORTENER_{setting.name}" for setting in SETTINGS} - {"SHORTENER_REDIS_SERVER"}
    assert set(SERVICES["web"]["environment"]) == known
    assert set(SERVICES["aggregator"]["environment"]) == known - {"SHORTENER_ADMIN_KEY"}


@pytest.mark.parametrize("service", OURS)
def test_only_four_settings_have_a_value(service: str) -> None:
    """Compose decides where things are; any other setting it passes on only when it is set, and
    never as an empty value.
    """
    environment = SERVICES[service]["environment"]
    assert {name: value for name, value in environment.items() if value is not None} == {
        "SHORTENER_REDIS_URL": "redis://redis:6379/0",
        "SHORTENER_BASE_URL": "${SHORTENER_BASE_URL:-http://127.0.0.1:8000}",
        "SHORTENER_BIND": "0.0.0.0:8000",
        "SHORTENER_DATA_DIR": "/data",
    }


@pytest.mark.parametrize("service", OURS)
def test_values_set_are_ones_the_program_accepts(service: str) -> None:
    """The program starts with the settings of the compose file when the user sets none."""
    from shortener.config import Settings

    environment = {name: value for name, value in SERVICES[service]["environment"].items() if value}
    environment["SHORTENER_BASE_URL"] = "http://127.0.0.1:8000"
    Settings.load(environment)


@pytest.mark.parametrize("service", OURS)
def test_command_is_one_the_command_line_has(service: str) -> None:
    """Each service runs a command of the program, with options that command has."""
    name, *options = SERVICES[service]["command"]
    command = main.get_command(Context(main), name)
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(options) <= known


def test_image_runs_a_command_the_command_line_has() -> None:
    """The image runs the program, and by default a command of it."""
    assert instructions("ENTRYPOINT") == ['["shortener"]']
    (command,) = (yaml.safe_load(text) for text in instructions("CMD"))
    assert command[0] in main.list_commands(Context(main))


def test_web_and_aggregator_run_different_halves_of_one_image() -> None:
    """Both run the image that web builds, web without an aggregator of its own."""
    web, aggregator = (SERVICES[name] for name in OURS)
    assert web["image"] == aggregator["image"]
    assert web["build"] == "."
    assert "build" not in aggregator
    assert web["command"] == ["serve", "--without-aggregator"]
    assert aggregator["command"] == ["aggregate"]


def test_web_and_aggregator_share_the_data_volume() -> None:
    """The journals that web writes are where the aggregator reads them, under the same uid; the
    store's files are elsewhere.
    """
    web, aggregator = (SERVICES[name] for name in OURS)
    assert named_volumes("web") == named_volumes("aggregator") == {"/data": "data"}
    assert web["user"] == aggregator["user"]
    assert named_volumes("redis") == {"/data": "redis"}
    assert set(COMPOSE["volumes"]) == {"data", "redis"}


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_confined(service: str) -> None:
    """Each service runs as a numbered user other than root, without capabilities, unable to gain
    any, on a read-only root with a bounded /tmp.
    """
    settings = SERVICES[service]
    uid, gid = settings["user"].split(":")
    assert int(uid) > 0
    assert int(gid) > 0
    assert settings["cap_drop"] == ["ALL"]
    assert "cap_add" not in settings
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["read_only"] is True
    assert [mount.split(":")[0] for mount in settings["tmpfs"]] == ["/tmp"]
    assert all("size=" in mount for mount in settings["tmpfs"])


@pytest.mark.parametrize("service", SERVICES)
def test_service_comes_back_and_stops_in_peace(service: str) -> None:
    """Each service is started again after a crash, and has time to finish before it is killed."""
    assert SERVICES[service]["restart"] == "unless-stopped"
    assert SERVICES[service]["stop_grace_period"] in ("30s", "1m")


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_a_health_check(service: str) -> None:
    """Each service says whether it works."""
    assert SERVICES[service]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("service", OURS)
def test_service_waits_for_the_store(service: str) -> None:
    """Web and the aggregator start when the store answers, not merely when it was started."""
    assert SERVICES[service]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_redis_keeps_what_it_was_told() -> None:
    """The store writes every change to an append-only file, and never evicts a link."""
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert all(isinstance(word, str) for word in command)
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "everysec"
    assert options["--maxmemory-policy"] == "noeviction"


def test_only_web_is_published_and_only_on_the_loopback() -> None:
    """From outside one reaches web alone, through a proxy on the same host; the store is on a
    network without a way out.
    """
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"web"}
    assert SERVICES["web"]["ports"] == ["127.0.0.1:8000:8000"]
    assert SERVICES["redis"]["networks"] == SERVICES["aggregator"]["networks"] == ["back"]
    assert COMPOSE["networks"]["back"] == {"internal": True}


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (404, False), (503, False)])
def test_web_is_healthy_when_it_is_ready(status: int, healthy: bool) -> None:
    """Web's health check passes when /-/ready answers 200 and fails when it answers an error."""
    with answering(status) as (address, asked):
        assert (probe("web", ("127.0.0.1:8000", address)) == 0) is healthy
    assert asked == ["/-/ready"]


def test_web_is_unhealthy_when_nothing_listens() -> None:
    """Web's health check fails when the connection is refused."""
    with answering(200) as (address, _):
        pass
    assert probe("web", ("127.0.0.1:8000", address)) != 0


def test_web_health_check_ignores_a_configured_proxy() -> None:
    """An HTTP proxy in the container's environment does not stand between web and its check."""
    with answering(200) as (address, asked):
        dead_proxy = {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
        assert probe("web", ("127.0.0.1:8000", address), **dead_proxy) == 0
    assert asked == ["/-/ready"]


@pytest.mark.parametrize(("age", "healthy"), [(0, True), (20, True), (40, False)])
def test_aggregator_is_healthy_while_it_reports(tmp_path: Path, age: int, healthy: bool) -> None:
    """The aggregator's health check passes while its state file is younger than 30 seconds."""
    state = tmp_path / "aggregator.json"
    state.write_text("{}", "utf-8")
    written = time.time() - age
    os.utime(state, (written, written))
    assert (probe("aggregator", ("/data", str(tmp_path))) == 0) is healthy


def test_aggregator_is_unhealthy_before_its_first_report(tmp_path: Path) -> None:
    """The aggregator's health check fails when there is no state file."""
    assert probe("aggregator", ("/data", str(tmp_path))) != 0


def test_image_agrees_with_compose() -> None:
    """The image's user, port, data directory and settings are those the compose file counts on."""
    web = SERVICES["web"]
    assert instructions("USER") == [web["user"]]
    assert instructions("EXPOSE") == ["8000"]
    assert instructions("VOLUME") == ["/data"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    for line in instructions("ENV"):
        for name, value in re.findall(r"(SHORTENER_\w+)=(\S+)", line):
            assert web["environment"][name] == value


def test_image_installs_only_what_the_lock_names() -> None:
    """Every pip command either demands hashes or resolves and fetches nothing."""
    commands = re.findall(r"pip install ([^&\n]+)", "\n".join(instructions("RUN")))
    assert [command.strip() for command in commands] == [
        "--require-hashes -r requirements.lock",
        "--no-deps --no-build-isolation .",
    ]


def test_build_context_is_an_allow_list() -> None:
    """The build sees only named files, so no .env or key can get into a layer by accident."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {
        "!pyproject.toml",
        "!requirements.lock",
        "!README.md",
        "!LICENSE*",
        "!shortener",
    }
