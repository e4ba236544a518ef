"""One browser and one site for all tests here."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests import demo
from tests.browser.people import chromium
from tests.harness import Server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A site that looks lived in."""
    own = Server(tmp_path_factory.mktemp("site") / "data", WORKERS="1").start()
    demo.fill(own, clicks=1_500)
    yield own
    own.stop()
