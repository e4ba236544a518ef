"""Fixtures: a running server for each test process, and servers of a test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from shortener import gauges
from tests.harness import Server

settings.register_profile("house", deadline=None)  # how long an example takes is no behaviour
settings.load_profile("house")

WAIT_LONG = ("test_find_existing", "test_counting", "test_slow_clients", "test_live", "test_cache")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that mostly wait come first: the last ones shall not keep one processor waiting."""
    items.sort(key=lambda item: item.path.stem not in WAIT_LONG)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One `shortener serve` for all tests that harm nothing, with `https://arab.news` in front."""
    shared = Server(tmp_path_factory.mktemp("shared") / "data", BASE_URL="https://arab.news")
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers that the test may mistreat; what still runs afterwards is stopped."""
    made: list[Server] = []

    def make(*options: str, name: str = "data", **settings: str) -> Server:
        made.append(Server(tmp_path / name, *options, **settings))
        return made[-1]

    yield make
    for own in made:
        if own.is_running:
            own.kill_all()
        gauges.clear(gauges.directory(own.data_dir))
