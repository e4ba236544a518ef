"""People make links, follow them and see them counted, with scripts and without."""

import re
import uuid

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.people import ELSEWHERE, room, sign_in
from tests.harness import Server, eventually
from tests.pictures import read


def word() -> str:
    return f"w{uuid.uuid4().hex[:10]}"


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_a_link_is_made_followed_and_counted(browser: Browser, site: Server, scripts: bool) -> None:
    """Sign in, paste an address, follow the short link, and see the count rise."""
    mark = word()
    with room(browser, site, java_script_enabled=scripts) as context:
        page = sign_in(context, site.key)
        expect(page.get_by_label("Make a short link")).to_be_focused()
        target = f"http://localhost:{site.address.rpartition(':')[2]}/-/errors?{mark}"
        page.keyboard.type(target)
        page.get_by_label("Code").fill(mark)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Your link is ready")).to_be_visible()
        assert read(page.get_by_alt_text("QR code of the short link").screenshot()).endswith(mark)
        for _ in range(3):
            page.goto(f"/{mark}")
            assert page.url == target
        eventually(lambda: site.clicks(mark), lambda count: count == 3)
        page.goto(f"/-/links/{mark}")
        expect(page.locator(".tiles dd").first).to_contain_text("3")
        page.goto("/-/links?sort=-clicks")
        expect(page.get_by_role("row").filter(has_text=mark)).to_contain_text("3")


def test_the_short_link_is_copied(browser: Browser, site: Server) -> None:
    """A button puts it on the clipboard and says so."""
    with room(browser, site, permissions=["clipboard-read", "clipboard-write"]) as context:
        page = sign_in(context, site.key)
        page.goto("/-/links/wdf98")
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()").endswith("/wdf98")


def test_the_list_is_searched_as_one_types(browser: Browser, site: Server) -> None:
    """The list and the address follow what is typed, without a page being loaded."""
    with room(browser, site) as context:
        page = sign_in(context, site.key)
        page.goto("/-/links")
        page.evaluate("window.untouched = true")
        page.get_by_label("Search").press_sequentially("derby")
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody tr")).to_contain_text("The derby, live")
        assert "search=derby" in page.url
        assert page.evaluate("window.untouched")
        page.get_by_label("Search").fill("")
        expect(page.locator("tbody tr").nth(1)).to_be_visible()


def test_a_link_is_edited_and_deleted(browser: Browser, site: Server) -> None:
    """What was typed is there afterwards; what is deleted was asked for twice."""
    mark = word()
    site.make_link(code=mark)
    with room(browser, site) as context:
        page = sign_in(context, site.key)
        page.goto(f"/-/links/{mark}")
        page.get_by_role("link", name="Edit").click()
        page.get_by_label("Title").fill("عنوان من اليمين")
        page.get_by_text("When, for whom").click()
        page.get_by_label("Visitors at most").fill("many")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("must be a whole number")
        expect(page.get_by_label("Title")).to_have_value("عنوان من اليمين")
        page.get_by_label("Visitors at most").fill("3")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_contain_text("The link is changed.")
        expect(page.get_by_role("heading", name="عنوان من اليمين")).to_be_visible()
        page.get_by_role("link", name="Delete").click()
        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_role("status")).to_contain_text("The link is deleted.")
    assert site.api("GET", f"/links/{mark}").status_code == 404


def test_many_links_are_made_with_progress(browser: Browser, site: Server) -> None:
    """Portions are sent, the bar goes on, and the result is there as a file."""
    mark = word()
    text = "\n".join(f"https://example.com/{mark}/{n}" for n in range(250))
    with room(browser, site) as context:
        page = sign_in(context, site.key)
        page.goto("/-/links/bulk")
        page.get_by_label("Addresses").fill(f"{text}\nnot a URL")
        page.get_by_role("button", name="Look at them").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("250 of 251")
        page.get_by_role("button", name="Make 250 links").click()
        expect(page.get_by_text("250 links are made, 1 could not be.")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as CSV").click()
        lines = download.value.path().read_text().splitlines()
        assert len(lines) == 252
    assert site.api("GET", f"/links?search={mark}").json()["total"] == 250


def test_making_many_links_is_stopped_and_taken_up(browser: Browser, site: Server) -> None:
    """However often Stop is pressed meanwhile, each row is sent and told once."""
    mark = word()
    text = "\n".join(f"https://example.com/{mark}/{n}" for n in range(450))
    with room(browser, site) as context:
        page = sign_in(context, site.key)
        page.goto("/-/links/bulk")
        page.get_by_label("Addresses").fill(text)
        page.get_by_role("button", name="Look at them").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("450 of 450")
        page.route("**/-/links/bulk", lambda _: None)
        page.get_by_role("button", name="Make 450 links").click()
        stop = page.get_by_role("button", name="Stop")
        for _ in range(3):
            stop.click()
        page.wait_for_timeout(200)  # for whoever would send a portion twice
        page.unroute("**/-/links/bulk")  # those that were held go on
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_text("450 links are made, 0 could not be.")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as CSV").click()
        rows = download.value.path().read_text().splitlines()[1:]
        assert [row.split(",")[0] for row in rows] == [f'"{n}"' for n in range(1, 451)]
    assert site.api("GET", f"/links?search={mark}").json()["total"] == 450


def test_the_qr_code_is_drawn_anew(browser: Browser, site: Server) -> None:
    """Choosing a colour draws it at once, and what is seen can be read."""
    with room(browser, site) as context:
        page = sign_in(context, site.key)
        page.goto("/-/links/wdf98/qr")
        picture = page.get_by_alt_text("QR code of")
        page.get_by_label("Colour").fill("#aa2200")
        expect(picture).to_have_attribute("src", re.compile("dark=%23aa2200"))
        assert read(picture.screenshot()).endswith("/wdf98")


def test_clicks_show_as_they_happen(browser: Browser, site: Server) -> None:
    """The counter on the overview rises while one looks at it."""
    with room(browser, site) as context:
        page = sign_in(context, site.key)
        counter = page.locator("[data-live] b")
        expect(counter).to_be_visible()
        for _ in range(40):
            site.follow("oil")
            page.wait_for_timeout(300)
            if counter.text_content() != "0":
                break
        expect(counter).not_to_have_text("0")


def test_what_strangers_send_is_text(browser: Browser, site: Server) -> None:
    """A hostile title and a hostile referrer run nothing."""
    mark = word()
    evil = "<img src=x onerror=document.title='taken'>"
    site.make_link(code=mark, title=evil)
    site.follow(mark, Referer=f"https://{evil}/")
    eventually(lambda: site.clicks(mark), lambda count: count == 1)
    with room(browser, site) as context:
        page = sign_in(context, site.key)
        for path in (f"/-/links/{mark}", f"/-/links?search={mark}", f"/-/links/{mark}/edit"):
            page.goto(path)
            assert "taken" not in page.title()
            assert page.locator("main img[src=x]").count() == 0
        page.goto(f"/-/links/{mark}")
        expect(page.get_by_text(evil).first).to_be_visible()


def test_who_is_not_let_in_is_told(browser: Browser, site: Server) -> None:
    """A wrong key, a session that is over, a form of nobody's."""
    with room(browser, site) as context:
        page = sign_in(context, "sk_wrong")
        expect(page.get_by_role("alert")).to_contain_text("unknown or has expired")
    key = site.api("POST", "/keys", json={"name": "short", "scopes": ["links:read"]}).json()
    with room(browser, site) as context:
        page = sign_in(context, key["key"])
        site.api("DELETE", f"/keys/{key['id']}")
        page.goto("/-/links")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.get_by_label("API key").fill(site.key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Links", exact=True)).to_be_visible()
        page.evaluate("document.querySelector('[name=form_token]').value = 'made-up'")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Not from a page of ours")


def test_one_signs_in_over_plain_http(browser: Browser, site: Server) -> None:
    """On another host than this one, without TLS, browsers tell less of a form's origin."""
    with room(browser, site) as context:
        page = context.new_page()
        page.goto(f"{site.address.replace('127.0.0.1', ELSEWHERE)}/-/sign-in")
        page.get_by_label("API key").fill(site.key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
