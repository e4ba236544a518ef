"""Visitors as they come: 2,000 user agents, 2,000 addresses, 2,000 pages that led here.

The pages are of some 500 hosts, many of a few and few of many; browsers are those that are in use,
each in versions of its own.  What a visitor has of each is drawn independently.
"""

import random
from typing import NamedTuple

MIX = 2_000  # user agents, referrers and addresses
LANGUAGES = ("en-US,en;q=0.9", "ar-SA,ar;q=0.9,en;q=0.8", "de-DE,de;q=0.9", "fr", "en-GB,en;q=0.5")
PAGES = (
    "https://site{host}.example/path/{page}",
    "https://www.news{host}.example/world/a-headline-of-some-words-{page}",
    "https://blog.example{host}.org/2026/11/{page}",
    "android-app://com.example.app{host}/",
)
_WINDOWS, _MAC = "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7"
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.{minor}.0"
_APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.{version}"
_FIREFOX = "rv:{version}.{minor}) Gecko/20100101 Firefox/{version}.{minor}"
BROWSERS = tuple(
    f"Mozilla/5.0 ({rest}"
    for rest in (
        f"{_WINDOWS}) {_CHROME} Safari/537.36",
        f"{_WINDOWS}) {_CHROME} Safari/537.36 Edg/{{version}}.0.0.0",
        f"{_MAC}) {_CHROME} Safari/537.36",
        f"Linux; Android 14; SM-S918B) {_CHROME} Mobile Safari/537.36",
        f"Linux; Android 15; Pixel 9) SamsungBrowser/27.0 {_CHROME} Mobile Safari/537.36",
        f"Windows NT 10.0; {_FIREFOX}",
        f"X11; Linux x86_64; {_FIREFOX}",
        f"iPhone; CPU iPhone OS 18_{{minor}} like Mac OS X) {_APPLE} Mobile/15E148 Safari/604.1",
        f"iPad; CPU OS 17_{{minor}} like Mac OS X) {_APPLE} Mobile/15E148 Safari/604.1",
        f"{_MAC}) {_APPLE}.{{minor}} Safari/605.1.15",
    )
)


class Visitor(NamedTuple):
    """What a visitor sends."""

    address: str
    agent: str
    referrer: str
    language: str


def visitors(number: int, seed: int) -> list[Visitor]:
    """So many visitors, drawn from the mix."""
    chance = random.Random(seed)
    return [
        Visitor(
            _address(chance.randrange(MIX)),
            _agent(chance.randrange(MIX)),
            _referrer(chance.randrange(MIX)),
            chance.choice(LANGUAGES),
        )
        for _ in range(number)
    ]


def _address(number: int) -> str:
    return f"{80 + number % 100}.{number // 256}.{number % 256}.{1 + number % 250}"


def _agent(number: int) -> str:
    rest, kind = divmod(number, len(BROWSERS))
    return BROWSERS[kind].format(version=120 + rest % 20, minor=rest // 20)


def _referrer(number: int) -> str:
    return PAGES[number % len(PAGES)].format(host=int(number**0.7), page=number)
