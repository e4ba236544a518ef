"""A click -> its labels.  `DIMENSIONS` is the table that everything is driven by.

Recording, questions, CSV, the command line, the documentation and charts read it: a dimension more
is a line here.  What a label is worked out from is a *source*: the same user agent or referrer is
read once and remembered, so a click costs a few look-ups.  Labels come from strangers: each is cut,
its control characters are gone, and each dimension keeps so many in a month.
"""

import re
from collections.abc import Callable, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from shortener.journal import Click
from shortener.statistics import places
from shortener.statistics.agents import Agent, Agents, app_of

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


Who = tuple[str, str]  # address and user agent


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


class LabelSet(msgspec.Struct, eq=False, gc=False):
    """Labels that come from one source, each with its dimension's letter, but for those that are
    missing.  Clicks that have the same share one of these, so they are quickly counted."""

    all: tuple[str, ...]
    of_bot: bool = False


class Seen(NamedTuple):
    """What is counted of clicks, column by column."""

    are_bots: list[bool]
    labels: list[tuple[LabelSet, ...]]  # of each source; none for bots
    visitors: list[Who | None]  # None for bots and people who asked not to be tracked


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
_UNTOLD = (LabelSet(tuple(d.letter + UNKNOWN for d in DIMENSIONS if d.missing != UNKNOWN)),)
_WHO: Callable[[Click], Who] = attrgetter("address", "agent")
_IS_PRIVATE = attrgetter("private")


class _Column:
    """What is worked out from one part of clicks, and remembered."""

    def __init__(self, part: Callable[[Click], Any], make: Callable[[Any], LabelSet]) -> None:
        self._part, self._make = part, make
        self._known: dict[Any, LabelSet] = {}

    def of(self, clicks: Sequence[Click]) -> list[LabelSet]:
        """For each click."""
        found: list[Any] = list(map(self._known.get, map(self._part, clicks)))
        if None in found:
            for place, click in enumerate(clicks):
                if found[place] is None:
                    found[place] = self._find(self._part(click))
        return found

    def _find(self, part: Any) -> LabelSet:
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
        self._shared: dict[tuple[tuple[str, ...], bool], LabelSet] = {}
        self._columns = {
            source: _Column(source.part, self._reading(source))
            for source in dict.fromkeys(dimension.source for dimension in DIMENSIONS)
        }

    def of(self, clicks: Sequence[Click]) -> Seen:
        """What is counted of each click."""
        columns = {source: column.of(clicks) for source, column in self._columns.items()}
        are_bots = [told.of_bot for told in columns[_AGENT]]
        labels = list(zip(*columns.values(), strict=True))
        visitors: list[Who | None] = list(map(_WHO, clicks))
        for place in compress(range(len(clicks)), are_bots):
            labels[place], visitors[place] = (), None
        for place in compress(range(len(clicks)), map(_IS_PRIVATE, clicks)):
            are_bots[place], labels[place], visitors[place] = False, _UNTOLD, None
        return Seen(are_bots, labels, visitors)

    def _reading(self, source: Source) -> Callable[[Any], LabelSet]:
        dimensions = tuple(d for d in DIMENSIONS if d.source is source)

        def read(part: Any) -> LabelSet:
            known = source.read(part, self._facts)
            found = ((d, clean(d.label(known))) for d in dimensions)
            told = tuple(d.letter + label for d, label in found if label not in ("", d.missing))
            return self._share(told, isinstance(known, Agent) and known.is_bot)

        return read

    def _share(self, told: tuple[str, ...], of_bot: bool) -> LabelSet:
        found = self._shared.get((told, of_bot))
        if found is None:
            if len(self._shared) >= REMEMBERED:
                self._shared.clear()
            found = self._shared[told, of_bot] = LabelSet(told, of_bot)
        return found


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
