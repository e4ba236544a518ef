"""Everybody can use every page: axe-core finds nothing, and nothing sticks out sideways."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.browser.people import NARROW, PAGES, WIDE, room, sign_in
from tests.harness import Server

AXE = Path(__file__).parent.parent.parent / ".browser" / "axe.min.js"
MAX_SIZE = 60_000  # bytes of a page with all that it loads, cold


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_axe_finds_nothing(browser: Browser, site: Server, scheme: str, width: int) -> None:
    """No violation of WCAG that a program can find, on any page; the console stays empty."""
    said: list[str] = []
    with room(
        browser, site, color_scheme=scheme, viewport={"width": width, "height": 900}
    ) as context:
        page = sign_in(context, site.key)
        page.on("console", lambda message: message.type == "error" and said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        for path in ("/-/sign-in", *PAGES):
            page.goto(path)
            for summary in page.locator("main summary").all():
                summary.click()
            page.evaluate(AXE.read_text())
            found = page.evaluate("axe.run()")["violations"]
            short = [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]
            assert not short, f"{path}: {short}"
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{path} sticks out by {wide} pixels"
    assert [text for text in said if "404" not in text] == []


def test_pages_are_light(browser: Browser, site: Server) -> None:
    """Each page with everything that it loads is under 60 kB, cold, also with many links."""
    for number in range(30):
        title = f"A headline of an ordinary length, such as number {number}"
        site.make_link(f"https://example.com/a/rather/long/{number}", title=title, tags=["many"])
    for path in (*PAGES, "/-/statistics?from=2025-12-01"):
        with room(browser, site) as context:
            page = sign_in(context, site.key)
            fresh = context.new_page()
            answers: list[Response] = []
            fresh.on("response", lambda answer, kept=answers: kept.append(answer))
            page.close()
            fresh.goto(path, wait_until="load")
            size = sum(len(one.body()) for one in answers if not one.url.endswith("/-/live"))
            assert 5_000 < size < MAX_SIZE, f"{path}: {size} bytes"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_forms_answer(
    browser: Browser, site: Server, scheme: str
) -> None:
    """Pages that only a form leads to: errors at fields, a preview, a new secret, a question."""

    def check(page: Page, seen: str) -> None:
        expect(page.locator("main")).to_contain_text(seen)
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")["violations"]
        assert not found, f"{seen}: {[one['id'] for one in found]}"

    with room(browser, site, color_scheme=scheme) as context:
        check(sign_in(context, "sk_wrong"), "unknown or has expired")
    with room(browser, site, color_scheme=scheme) as context:
        page = sign_in(context, site.key)
        page.goto("/-/links/new")
        page.get_by_role("textbox", name="Destination").fill("ftp://example.com")
        page.get_by_role("button", name="Make the link").click()
        check(page, "must begin with http:// or https://")
        page.goto("/-/links/bulk")
        page.get_by_label("Addresses").fill("https://example.com/\nnot a URL")
        page.get_by_role("button", name="Look at them").click()
        check(page, "1 of 2 links can be made")
        page.goto("/-/keys")
        page.get_by_label("Name", exact=True).fill("no scopes")
        page.get_by_label("see links links:read", exact=True).uncheck()
        page.get_by_role("button", name="Make the key").click()
        check(page, "must have at least one")
        page.get_by_label("see links links:read", exact=True).check()
        page.get_by_role("button", name="Make the key").click()
        check(page, "Your new key")
        page.get_by_role("link", name="Revoke").last.click()
        check(page, "let in no more")
        page.goto("/-/links")
        page.locator("[name=select]").first.check()
        page.get_by_role("button", name="Delete").click()
        check(page, "This cannot be undone")
