"""A person in front of a real browser."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.harness import BROWSER, Server

NAMES = ("chromium", "chromium-browser", "google-chrome")
ELSEWHERE = "links.corp"  # a host that is not this machine's own, to a browser
WIDE, NARROW = 1280, 360  # pixels
PAGES = (  # of a site that `tests/demo.py` has filled
    "/-/",
    "/-/links",
    "/-/links?search=oil",
    "/-/links/new",
    "/-/links/bulk",
    "/-/links/wdf98",
    "/-/links/wdf98/edit",
    "/-/links/wdf98/qr",
    "/-/links/wdf98/delete",
    "/-/statistics",
    "/-/statistics?from=2026-01-01&interval=month&show=country",
    "/-/tags",
    "/-/tags/newsletter",
    "/-/tags/edit/newsletter",
    "/-/orphans",
    "/-/keys",
    "/-/status",
    "/-/nowhere",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium.  Raises `AssertionError` where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    assert path is not None, "there is no Chromium: apt-get install chromium"
    flags = [f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"]
    flags += ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


def room(browser: Browser, server: Server, **wishes: object) -> BrowserContext:
    """A window of its own, `wide` or `narrow`, `light` or `dark`, with scripts or without."""
    usual: dict[str, object] = {
        "viewport": {"width": WIDE, "height": 900},
        "timezone_id": "Asia/Riyadh",
        "user_agent": BROWSER,  # its own says that it is driven, which is a bot's
    }
    wishes = usual | wishes
    context: BrowserContext = browser.new_context(base_url=server.address, **wishes)  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    return context


def sign_in(context: BrowserContext, key: str) -> Page:
    """A page on the overview."""
    page = context.new_page()
    page.goto("/-/sign-in")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    return page
