"""Labels: what a visitor sends is told in people's words, in the statistics of a link."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from shortener.statistics.visits import DIMENSIONS
from tests.harness import BROWSER, Server, eventually
from tests.written import click, country_database, stored, write

NewServer = Callable[..., Server]
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {WEBKIT}"
ANDROID = "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
AGENTS = {  # what browsers send: browser, system, device
    f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36": ("Chrome", "Windows", "desktop"),
    f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36 Edg/126.0": ("Edge", "Windows", "desktop"),
    f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 OPR/106.0.0.0": ("Opera", "Windows", "desktop"),
    BROWSER: ("Firefox", "Linux", "desktop"),
    f"{IPHONE} Version/17.5 Mobile/15E148 Safari/604.1": ("Safari", "iOS", "mobile"),
    f"{IPHONE} CriOS/120.0 Mobile/15E148 Safari/604.1": ("Chrome", "iOS", "mobile"),
    f"{IPHONE} FxiOS/120.0 Mobile/15E148 Safari/604.1": ("Firefox", "iOS", "mobile"),
    f"{IPHONE} Mobile/15E148 Instagram 330.0.0.0 (iPhone14,3; iOS 17_5)": (
        *("Instagram app", "iOS", "mobile"),
    ),
    f"{ANDROID} Chrome/125.0.0.0 Mobile Safari/537.36": ("Chrome", "Android", "mobile"),
    f"{ANDROID} Version/4.0 Chrome/125.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/460.0;]": (
        *("Facebook app", "Android", "mobile"),
    ),
    "Mozilla/5.0 (Linux; Android 13; SM-X900) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/125.0.0.0 Safari/537.36": ("Chrome", "Android", "tablet"),
    "Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/16.5 Mobile/15E148 Safari/604.1": ("Safari", "iOS", "tablet"),
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.4 Safari/605.1.15": ("Safari", "macOS", "desktop"),
    "Mozilla/5.0 (PlayStation; PlayStation 5/6.00) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/13.0 Safari/605.1.15": ("Safari", "unknown", "other"),
    f"{IPHONE} WhatsApp/2.24 Mobile": ("WhatsApp", "iOS", "mobile"),
    "Mozilla/5.0 (made up)": ("unknown", "unknown", "other"),
}
BOTS = [
    *(
        "",
        "curl/8.5.0",
        "Wget/1.21",
        "python-requests/2.31",
        "python-httpx/0.28",
        "Go-http-client/1.1",
    ),
    *("okhttp/4.9.3", "Java/17.0.1", "node-fetch", "PostmanRuntime/7.3", "Ruby", "undici"),
    "Dalvik/2.1.0 (Linux; U; Android 13)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "WhatsApp/2.23.20.0 A",
    "TelegramBot (like TwitterBot)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0 Safari/537.36",
]
REFERRERS = {
    "": "direct",
    "https://www.Example.ORG:8443/path?q=1": "example.org",
    "http://t.co/abc": "t.co",
    "https://news.example.org./": "news.example.org",
    "android-app://com.slack/": "Slack app",
    "android-app://org.example.reader/": "org.example.reader app",
    "ftp://files.example.org/": "direct",
    "not a url": "direct",
    "https://[broken/": "direct",
    "https://": "direct",
}
LANGUAGES = {
    "": "unknown",
    "ar-SA,ar;q=0.9,en;q=0.8": "ar",
    "en": "en",
    "FIL;q=0.5": "fil",
    "*": "unknown",
    "quite-long": "unknown",
}
CAMPAIGNS = {
    "": ("none", "none", "none"),
    "utm_source=news%20letter&utm_medium=mail&utm_campaign=spring": (
        "news letter",
        "mail",
        "spring",
    ),
    "utm_source=%20&utm_campaign=x%0Ay": ("none", "none", "x y"),
    "utm_source=a&utm_source=b": ("a", "none", "none"),
    "utm_source=" + "x" * 200: ("x" * 64, "none", "none"),
    "utm_source=%D8%B9&utm_medium=none": ("ع", "none", "none"),
}
ADDRESSES = {  # behind a trusted proxy; registered where they are for decades
    "8.8.8.8": "US",
    "2001:4860:4860::8888": "US",
    "::ffff:212.138.64.1": "SA",
    "192.0.2.1": "unknown",
    "10.0.0.1": "unknown",
    "::1": "unknown",
    "rubbish": "unknown",
}
COUNTRIES = {"SA": "SA", "de": "DE", "XX": "US", "T1": "US", "": "US", "Germany": "US"}


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server behind a proxy that says addresses and countries."""
    server = Server(
        tmp_path_factory.mktemp("proxied") / "data",
        WORKERS="1",
        TRUSTED_PROXIES="1",
        COUNTRY_HEADER="CF-IPCountry",
    ).start()
    yield server
    server.stop()


def visited(server: Server, query: str = "", **headers: str) -> dict[str, Any]:
    """Statistics of a new link after one visit."""
    code = server.make_link()["code"]
    assert server.follow(f"{code}?{query}", **headers).status_code == 302
    assert eventually(lambda: server.clicks(code), lambda clicks: clicks == 1) == 1
    answer: dict[str, Any] = server.api("GET", f"/links/{code}/stats").json()
    return answer


def labels(answer: dict[str, Any]) -> dict[str, str]:
    """The only label of each dimension."""
    found: dict[str, Any] = answer["by"]
    assert all(len(entries) == 1 and entries[0]["clicks"] == 1 for entries in found.values()), found
    return {name: entries[0]["value"] for name, entries in found.items()}


@pytest.mark.parametrize(("agent", "wanted"), AGENTS.items(), ids=[a[-40:] for a in AGENTS])
def test_browsers_systems_and_devices(proxied: Server, agent: str, wanted: tuple[str, ...]) -> None:
    """A person's user agent is told in people's words."""
    found = labels(visited(proxied, User_Agent=agent))
    assert (found["browser"], found["os"], found["device"]) == wanted


@pytest.mark.parametrize("agent", BOTS, ids=lambda agent: agent[:30])
def test_bots_are_counted_apart(proxied: Server, agent: str) -> None:
    """Crawlers, libraries and those without user agent are bots, no clicks, and have no labels."""
    answer = visited(proxied, User_Agent=agent)
    assert answer["totals"] == {"clicks": 0, "visitors": 0, "bots": 1}
    assert all(entries == [] for entries in answer["by"].values())


@pytest.mark.parametrize(("referrer", "wanted"), REFERRERS.items(), ids=REFERRERS)
def test_referrers(proxied: Server, referrer: str, wanted: str) -> None:
    """The host in lower case without `www.`, or the app; `direct` for what is none."""
    assert labels(visited(proxied, Referer=referrer))["referrer"] == wanted


def test_an_app_that_shows_pages_is_the_referrer(proxied: Server) -> None:
    """Visitors in an app's own browser bring no referrer: the app is it."""
    agent = next(agent for agent, words in AGENTS.items() if words[0] == "Instagram app")
    assert labels(visited(proxied, User_Agent=agent))["referrer"] == "Instagram app"
    found = labels(visited(proxied, User_Agent=agent, Referer="https://l.instagram.com/"))
    assert found["referrer"] == "l.instagram.com"


@pytest.mark.parametrize(("header", "wanted"), LANGUAGES.items(), ids=LANGUAGES)
def test_languages(proxied: Server, header: str, wanted: str) -> None:
    """The first language, without its country."""
    assert labels(visited(proxied, Accept_Language=header))["language"] == wanted


@pytest.mark.parametrize(("query", "wanted"), CAMPAIGNS.items(), ids=[q[:30] for q in CAMPAIGNS])
def test_campaigns(proxied: Server, query: str, wanted: tuple[str, ...]) -> None:
    """The values in the short link's own query: the first of each, on one line, cut."""
    found = labels(visited(proxied, query))
    assert tuple(found[f"utm_{name}"] for name in ("source", "medium", "campaign")) == wanted


@pytest.mark.parametrize(("address", "wanted"), ADDRESSES.items(), ids=ADDRESSES)
def test_countries_of_addresses(proxied: Server, address: str, wanted: str) -> None:
    """From the table that comes with us, for IPv4 and IPv6; what has none is unknown."""
    assert labels(visited(proxied, X_Forwarded_For=address))["country"] == wanted


@pytest.mark.parametrize(("said", "wanted"), COUNTRIES.items(), ids=COUNTRIES)
def test_a_trusted_proxy_says_the_country(proxied: Server, said: str, wanted: str) -> None:
    """Its header goes before the address, when it says a country."""
    answer = visited(proxied, X_Forwarded_For="8.8.8.8", CF_IPCountry=said)
    assert labels(answer)["country"] == wanted


def test_nobody_else_says_the_country(new_server: NewServer) -> None:
    """Without trusted proxies the header is the visitor's own invention."""
    server = new_server(WORKERS="1", COUNTRY_HEADER="CF-IPCountry").start()
    assert labels(visited(server, CF_IPCountry="SA"))["country"] == "unknown"


@pytest.mark.parametrize("header", [{"DNT": "1"}, {"Sec_GPC": "1"}], ids=str)
def test_who_asks_not_to_be_tracked_is_counted_and_that_is_all(
    proxied: Server, header: dict[str, str]
) -> None:
    """A click with every label unknown and no visitor."""
    sent = {"Referer": "https://t.co/", "Accept_Language": "ar", "X_Forwarded_For": "8.8.8.8"}
    answer = visited(proxied, "utm_source=news", **sent, **header)
    assert answer["totals"] == {"clicks": 1, "visitors": 0, "bots": 0}
    assert set(labels(answer).values()) == {"unknown"}


def test_a_database_of_countries_is_used(new_server: NewServer, tmp_path: Any) -> None:
    """GEOIP_DB, a file in MaxMind's format, says the country of an address."""
    file = tmp_path / "countries.mmdb"
    file.write_bytes(country_database("8.8.8.0/24", "NO"))
    server = new_server(WORKERS="1", TRUSTED_PROXIES="1", GEOIP_DB=str(file)).start()
    assert labels(visited(server, X_Forwarded_For="8.8.8.8"))["country"] == "NO"
    assert labels(visited(server, X_Forwarded_For="9.9.9.9"))["country"] == "unknown"


def test_a_broken_database_of_countries_stops_the_start(
    new_server: NewServer, tmp_path: Any
) -> None:
    """One line that names it, and exit status 2."""
    file = tmp_path / "broken.mmdb"
    file.write_bytes(b"nothing of the kind")
    server = new_server(GEOIP_DB=str(file))
    with pytest.raises(AssertionError, match="SHORTENER_GEOIP_DB: cannot read"):
        server.start()


def test_a_flood_of_labels_pushes_nobody_out(new_server: NewServer) -> None:
    """Labels beyond a dimension's bound are *other*; those seen before are counted on, and all
    add up."""
    server = new_server(WORKERS="1").start()
    code = server.make_link(code="flooded")["code"]
    kept = next(d.kept for d in DIMENSIONS if d.name == "utm_source")
    sources = ["early", *(f"flood-{n}" for n in range(kept + 50)), "early", "late"]
    link, at = stored(server, code), time.time_ns() // 1_000_000
    write(server, (click(at, link, utm=(source, "", "")) for source in sources))
    assert eventually(lambda: server.clicks(code), len(sources).__eq__) == len(sources)
    answer = server.api("GET", f"/links/{code}/stats?group_by=utm_source&limit=1000").json()
    found = {entry["value"]: entry["clicks"] for entry in answer["by"]["utm_source"]}
    assert found.pop(None) == 52
    assert found.pop("early") == 2
    assert found == {f"flood-{n}": 1 for n in range(kept - 1)}
    assert answer["totals"]["clicks"] == len(sources)
