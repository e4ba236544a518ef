"""What requests and answers look like, by the example of one site.

What is sent is accepted by a server whose domain is `arab.news`, and what is answered is of the
types that are sent: tests hold both to it.
"""

from typing import Any

import msgspec

from shortener.errors import CodeTaken, Invalid
from shortener.web.api.answers import (
    BulkResult,
    BulkResults,
    ByRange,
    ClickCounts,
    ImportFault,
    ImportResult,
    IntervalCounts,
    KeyAnswer,
    KeyList,
    LabelCount,
    LinkAnswer,
    LinkPage,
    StatsAnswer,
    TagAnswer,
    TagList,
)
from shortener.web.api.carried import ExportedLink, ExportPage, ExportRecord, SiteRecord
from shortener.web.shape import problem_body

_URL = "https://www.arabnews.com/node/2584871/saudi-arabia"
_MADE = "2026-11-24T02:08:45Z"

LINK_TO_MAKE: dict[str, Any] = {
    "url": _URL,
    "code": "wdf98",
    "title": "Saudi Arabia",
    "tags": ["news"],
    "expires_at": "2099-01-01T00:00:00+03:00",
}
LINK = LinkAnswer(
    code="wdf98",
    domain="arab.news",
    short_url="https://arab.news/wdf98",
    url=_URL,
    title="Saudi Arabia",
    tags=("news",),
    redirect_status=302,
    forward_query=False,
    created_at=_MADE,
    updated_at=_MADE,
    created_by="95ec671c2864",
    starts_at=None,
    expires_at="2098-12-31T21:00:00Z",
    expired_url=None,
    max_clicks=None,
    remaining=None,
    has_password=False,
    clicks=0,
    bots=0,
    last_clicked_at=None,
)
PAGE = LinkPage([LINK], "bjE3MTg2MDEyNTY", 342)
CHANGE: dict[str, Any] = {"title": "Saudi Arabia: the live blog", "expires_at": None}

LINKS_TO_MAKE: dict[str, Any] = {
    "links": [
        {"url": _URL, "code": "wdf98"},
        {"url": "https://www.arabnews.com/sport", "max_clicks": 1000},
    ]
}
BULK = BulkResults(
    [
        BulkResult(status=409, error=problem_body(CodeTaken("Another link has the code wdf98."))),
        BulkResult(
            status=201,
            link=msgspec.structs.replace(
                LINK,
                code="mvg6e",
                short_url="https://arab.news/mvg6e",
                url="https://www.arabnews.com/sport",
                title=None,
                tags=(),
                expires_at=None,
                max_clicks=1000,
                remaining=1000,
            ),
        ),
    ]
)

STATS = StatsAnswer(
    start="2026-11-22T00:00:00Z",
    end="2026-11-24T00:00:00Z",
    interval="day",
    tz="UTC",
    totals=ClickCounts(31, 27, 4),
    series=[
        IntervalCounts("2026-11-22T00:00:00Z", 12, 11, 4),
        IntervalCounts("2026-11-23T00:00:00Z", 19, 16, 0),
    ],
    by={"country": [LabelCount("SA", 20), LabelCount(None, 11, True)]},
    by_range=ByRange("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z"),
)

TAG = TagAnswer("press", 12, 3401)
TAGS = TagList([TagAnswer("g20", 3, 812), TagAnswer("news", 12, 3401)])

KEY_TO_MAKE: dict[str, Any] = {"name": "newsroom", "scopes": ["links:write"]}
_KEY = KeyAnswer("95ec671c2864", "newsroom", ("links:write",), _MADE, None, None)
NEW_KEY = msgspec.structs.replace(_KEY, key="sk_WlIHO4ATI…")
KEYS = KeyList([msgspec.structs.replace(_KEY, last_used_at=_MADE)])

_EXPORT = ExportRecord(id="0f3a9c5b7d1e24680f3a9c5b7d1e2468", at=_MADE, timezone="UTC", links=1)
EXPORT = ExportPage(
    [
        _EXPORT,
        SiteRecord({"t": (0, {"c": 1})}),
        ExportedLink(
            code="wdf98",
            domain=None,
            url=_URL,
            title="Saudi Arabia",
            tags=("news",),
            redirect_status=302,
            forward_query=False,
            created_at=_MADE,
            updated_at=None,
            created_by="95ec671c2864",
            starts_at=None,
            expires_at=None,
            expired_url=None,
            max_clicks=None,
            uses=0,
            has_password=False,
            statistics={"t": (0, {"c": 1})},
        ),
    ],
    None,
)
IMPORT: dict[str, Any] = {
    "export": msgspec.to_builtins(_EXPORT),
    "records": [
        {"type": "link", "url": _URL, "code": "wdf98", "created_at": _MADE},
        {"type": "link", "url": "javascript:alert(1)"},
    ],
}
IMPORTED = ImportResult(
    created=1,
    existing=0,
    errors=[
        ImportFault(1, problem_body(Invalid.field("url", "must begin with http:// or https://")))
    ],
)
