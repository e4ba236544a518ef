"""A click -> its labels.  `DIMENSIONS` is the table that everything is driven by.

Recording, questions, CSV, the command line, the documentation and charts read it: a dimension more
is a line here.  What a label is worked out from is a *source*: the same user agent or referrer is
read once and remembered, so a click costs a few look-ups.  Labels come from strangers: each is cut,
its control characters are gone, and each dimension keeps so many in a month.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from shortener.journal import Click
from shortener.statistics import places
from shortener.statistics.agents import Agents, app_of

MAX_LABEL = 64  # characters
REMEMBERED = 20_000  # values of each source
UNKNOWN, DIRECT, NONE = "unknown", "direct", "none"

APPS = {  # referrers of Android apps
    "com.google.android.googlequicksearchbox": "Google app",
    "com.google.android.gm": "Gmail app",
    "com.google.android.youtube": "YouTube app",
    "com.google.android.apps.messaging": "Messages app",
    "com.facebook.katana": "Facebook app",
    "com.facebook.orca": "Messenger app",
    "com.instagram.android": "Instagram app",
    "com.twitter.android": "X app",
    "com.whatsapp": "WhatsApp app",
    "com.linkedin.android": "LinkedIn app",
    "com.reddit.frontpage": "Reddit app",
    "com.pinterest": "Pinterest app",
    "com.snapchat.android": "Snapchat app",
    "com.zhiliaoapp.musically": "TikTok app",
    "com.slack": "Slack app",
    "com.discord": "Discord app",
    "com.microsoft.teams": "Teams app",
    "org.telegram.messenger": "Telegram app",
    "org.thoughtcrime.securesms": "Signal app",
}
LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)


class Facts(NamedTuple):
    """Where visits are read with: what takes files and tables."""

    country: Callable[[str], str]  # of an address
    agents: Agents


class Source(NamedTuple):
    """What labels are worked out from: a part of the click, and what is read in it."""

    part: Callable[[Click], Any]  # hashable
    read: Callable[[Any, Facts], Any]


class Dimension(NamedTuple):
    """By what clicks are told apart."""

    name: str
    letter: str  # in front of its labels in the store
    source: Source
    label: Callable[[Any], str]  # of what was read; "" when there is none
    missing: str  # what is said then
    kept: int  # labels of a subject and month; the rest is *other*
    meaning: str


class Visit(msgspec.Struct, frozen=True, gc=False):
    """What is counted of a click.  Labels are told for people, but for those that are missing."""

    labels: tuple[tuple[str, ...], ...]  # by source, each with its dimension's letter
    is_bot: bool
    visitor: str  # who came, to be hashed; "" for bots and people who asked not to be tracked


_PLACE = Source(
    attrgetter("country", "address"),
    lambda part, facts: places.country(part[0], part[1], facts.country),
)
_REFERRER = Source(
    lambda click: click.referrer or f"\0{click.agent}", lambda part, _: referrer_label(part)
)
_AGENT = Source(attrgetter("agent"), lambda part, facts: facts.agents.read(part))
_LANGUAGE = Source(attrgetter("language"), lambda part, _: language_label(part))
_UTM = Source(attrgetter("utm"), lambda part, _: part)


def _itself(text: str) -> str:
    return text


DIMENSIONS = (
    Dimension("country", "c", _PLACE, _itself, UNKNOWN, 300, "where, as ISO 3166 code"),
    Dimension("referrer", "r", _REFERRER, _itself, DIRECT, 1000, "host or app that led here"),
    Dimension("browser", "b", _AGENT, lambda a: a.browser, UNKNOWN, 200, "browser or app"),
    Dimension("os", "o", _AGENT, lambda a: a.os, UNKNOWN, 100, "operating system"),
    Dimension(
        "device", "d", _AGENT, lambda a: a.device, UNKNOWN, 8, "desktop, mobile, tablet, other"
    ),
    Dimension("language", "l", _LANGUAGE, _itself, UNKNOWN, 200, "first language asked for"),
    Dimension("utm_source", "s", _UTM, lambda u: u[0], NONE, 500, "of the short link's query"),
    Dimension("utm_medium", "m", _UTM, lambda u: u[1], NONE, 500, "of the short link's query"),
    Dimension("utm_campaign", "n", _UTM, lambda u: u[2], NONE, 500, "of the short link's query"),
)
# Who asks not to be tracked has none of it, so it is not what is missing: said where that differs.
_UNTOLD = tuple(d.letter + UNKNOWN for d in DIMENSIONS if d.missing != UNKNOWN)
_PRIVATE = Visit((_UNTOLD,), False, "")
_BOT = Visit((), True, "")


class _Column:
    """What is worked out from one part of clicks, and remembered."""

    def __init__(self, part: Callable[[Click], Any], make: Callable[[Any], Any]) -> None:
        self._part, self._make = part, make
        self._known: dict[Any, Any] = {}

    def of(self, clicks: Iterable[Click]) -> list[Any]:
        """For each click."""
        parts = list(map(self._part, clicks))
        found = list(map(self._known.get, parts))
        if None in found:
            for place, part in enumerate(parts):
                if found[place] is None:
                    found[place] = self._find(part)
        return found

    def _find(self, part: Any) -> Any:
        found = self._known.get(part)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[part] = self._make(part)
        return found


class Visits:
    """Reads clicks, many at once: column by column, a click costs some look-ups."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._is_bot = _Column(attrgetter("agent"), lambda agent: facts.agents.read(agent).is_bot)
        self._columns = [
            _Column(source.part, self._reading(source))
            for source in dict.fromkeys(dimension.source for dimension in DIMENSIONS)
        ]

    def of(self, clicks: Sequence[Click]) -> list[Visit]:
        """What is counted of each click."""
        labels = zip(*(column.of(clicks) for column in self._columns), strict=True)
        return [
            _PRIVATE
            if click.private
            else _BOT
            if is_bot
            else Visit(told, False, f"{click.address} {click.agent}")
            for click, is_bot, told in zip(clicks, self._is_bot.of(clicks), labels, strict=True)
        ]

    def _reading(self, source: Source) -> Callable[[Any], tuple[str, ...]]:
        dimensions = tuple(d for d in DIMENSIONS if d.source is source)

        def read(part: Any) -> tuple[str, ...]:
            known = source.read(part, self._facts)
            found = ((d, clean(d.label(known))) for d in dimensions)
            return tuple(d.letter + label for d, label in found if label not in ("", d.missing))

        return read


def clean(label: str) -> str:
    """A label as it is kept: one line, cut."""
    return "".join(c if c.isprintable() else " " for c in label[:MAX_LABEL]).strip()


def referrer_label(text: str) -> str:
    """The host of a referrer, or the app that is one; "" when nobody led here.

    A text that begins with a zero byte is the user agent of a visitor without referrer.
    """
    if text.startswith("\0"):
        app = app_of(text)
        return f"{app} app" if app else ""
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").rstrip(".").removeprefix("www.")
    except ValueError:
        return ""
    if parts.scheme == "android-app":
        return APPS.get(host, f"{host} app") if host else ""
    return host if parts.scheme in ("http", "https") else ""


def language_label(text: str) -> str:
    """The language that `Accept-Language` names first, without its country."""
    first = text.partition(",")[0].partition(";")[0].partition("-")[0].strip().lower()
    return first if LANGUAGE.fullmatch(first) else ""
