"""User agents: which program people come with, on which system and device; and which are no people.

The patterns are those of ua-parser and crawler-user-agents, matched by the Rust library of the
first.  It takes half a second to make them ready, so that waits for the first click, and some 150
microseconds to match one, so what was read is remembered.  Device classes are read off system
and agent by a few lines here: the library's tables of models are much larger than that is worth.
"""

import re
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

MAX_NAME = 40  # characters of a browser or system
REMEMBERED = 20_000  # user agents

# Programs behind an app's name, and what people call browsers and systems.
BROWSERS = {
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari",
    "Chrome Mobile": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "Chrome Mobile WebView": "Chrome",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "Edge Mobile": "Edge",
    "Opera Mobile": "Opera",
    "IE": "Internet Explorer",
    "IE Mobile": "Internet Explorer",
    "Android": "Android Browser",
}
SYSTEMS = {"Mac OS X": "macOS", "Mac OS": "macOS"}
DESKTOP = frozenset(
    ("Windows", "macOS", "Linux", "Chrome OS", "Ubuntu", "Fedora", "Debian", "FreeBSD", "OpenBSD")
)
MOBILE = frozenset(("iOS", "Windows Phone", "KaiOS", "BlackBerry OS", "Symbian OS", "Firefox OS"))
OTHER_DEVICE = re.compile(r"TV\b|PlayStation|Xbox|Nintendo|CrKey|Roku|Watch", re.ASCII)

# What an app shows pages in.  Such visitors often bring no referrer, though the app is one.
APPS = (
    ("Facebook", re.compile(r"\bFB(?:AN|AV|_IAB)\b|\bFBA[NV]/")),
    ("Instagram", re.compile(r"\bInstagram ")),
    ("TikTok", re.compile(r"musical_ly|BytedanceWebview|\bTikTok\b")),
    ("X", re.compile(r"\bTwitter for |\bTwitterAndroid\b")),
    ("LinkedIn", re.compile(r"\bLinkedInApp\b")),
    ("Snapchat", re.compile(r"\bSnapchat\b")),
    ("Pinterest", re.compile(r"\[Pinterest/|\bPinterest for ")),
    ("WeChat", re.compile(r"\bMicroMessenger/")),
    ("LINE", re.compile(r"\bLine/\d")),
    ("Google", re.compile(r"\bGSA/")),
)

# A browser says in brackets what it runs on.  What does not is a library or a script; of those that
# do, some are known by name.
BARE = re.compile(r"[^(]*|(?:Java|Dalvik|okhttp|CFNetwork|Dart|PHP|Ruby|Deno|Bun)\b.*", re.DOTALL)


class Agent(NamedTuple):
    """What a user agent says; "" for what it does not."""

    browser: str
    os: str
    device: str  # desktop, mobile, tablet, other
    is_bot: bool


NARROWED = {"WhatsApp": "^WhatsApp/"}  # its preview, not people who come from the app
NOBODY = Agent("", "", "", True)  # who sends no user agent is no browser

_FIELDS = attrgetter("regex", "family", "major", "minor", "patch", "patch_minor")


class Agents:
    """Reads user agents, and remembers what it read."""

    def __init__(self) -> None:
        self._known: dict[str, Agent] = {"": NOBODY}

    def read(self, text: str) -> Agent:
        """What `text` says; it is at most some hundred characters long."""
        found = self._known.get(text)
        if found is None:
            if len(self._known) > REMEMBERED:
                self._known = {"": NOBODY}
            found = self._known[text] = self._read(text)
        return found

    def _read(self, text: str) -> Agent:
        browsers, systems, crawlers = extractors()
        if BARE.fullmatch(text) or crawlers.extract(text) is not None:
            return Agent("", "", "other", True)
        browser, system = browsers.extract(text), systems.extract(text)
        name = _name(browser.family, BROWSERS) if browser is not None else ""
        os = _name(system.family, SYSTEMS) if system is not None else ""
        app = app_of(text)
        return Agent(f"{app} app" if app else name, os, _device(text, os), False)


@cache
def extractors() -> tuple[Any, Any, Any]:
    """Of browsers, systems and crawlers; the last finds no names, it finds any pattern.

    Made at the first call, for all who ask in this process.
    """
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA
    from ua_parser.loaders import load_lazy_builtins
    from ua_parser_rs import OSExtractor, UserAgentExtractor

    browsers, systems, _ = load_lazy_builtins()
    return (
        UserAgentExtractor(map(_FIELDS, browsers)),
        OSExtractor(map(_FIELDS, systems)),
        UserAgentExtractor(
            (NARROWED.get(entry["pattern"], entry["pattern"]), "bot", None, None, None, None)
            for entry in CRAWLER_USER_AGENTS_DATA
        ),
    )


def app_of(text: str) -> str:
    """The app whose built-in browser sent this user agent, or ""."""
    return next((name for name, pattern in APPS if pattern.search(text)), "")


def _name(family: str, names: dict[str, str]) -> str:
    return names.get(family, family)[:MAX_NAME].strip()


def _device(text: str, os: str) -> str:
    """The class of a device.  An iPad that asks for desktop pages calls itself a Mac: it is one."""
    if OTHER_DEVICE.search(text):
        return "other"
    if "iPad" in text or "Tablet" in text or "Kindle" in text:
        return "tablet"
    if os == "Android":
        return "mobile" if "Mobi" in text or "Opera Mini" in text else "tablet"
    if os in MOBILE:
        return "mobile"
    return "desktop" if os in DESKTOP else "other"
