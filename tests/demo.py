"""A site that looks lived in: links of a newsroom, and weeks of clicks, for pages to be looked at.

Links are made through the API; clicks of the past go through a journal beside the workers' own, as
the aggregator reads it.
"""

import random
import time
from typing import Any

from shortener import connections, data_dir, keys
from shortener.journal import Click, Journal
from shortener.links.link import decode
from tests.harness import BROWSER, Server, eventually

DAY = 86_400_000  # milliseconds
LINKS: tuple[dict[str, Any], ...] = (
    {
        "url": "https://www.arabnews.com/node/2584871/saudi-arabia",
        "code": "wdf98",
        "title": "Riyadh Season opens with record crowds",
        "tags": ["saudi-arabia", "culture"],
    },
    {
        "url": "https://www.example.com/business/oil-prices-steady-as-markets-wait",
        "code": "oil",
        "title": "Oil prices steady as markets wait for OPEC+",
        "tags": ["business"],
    },
    {
        "url": "https://www.example.com/ar/%D8%A3%D8%AE%D8%A8%D8%A7%D8%B1",
        "code": "akhbar",
        "title": "أخبار اليوم: الملخص الصباحي",
        "tags": ["arabic", "newsletter"],
    },
    {
        "url": "https://www.example.com/sport/derby-live",
        "code": "derby",
        "title": "The derby, live",
        "tags": ["sport", "live"],
        "expires_at": "2099-01-01T00:00:00Z",
    },
    {
        "url": "https://www.example.com/members/offer?plan=yearly",
        "code": "offer",
        "title": "Offer for members",
        "tags": ["newsletter"],
        "max_clicks": 500,
    },
    {"url": "https://www.example.com/internal/report.pdf", "code": "report", "password": "open"},
    {"url": "https://www.example.com/a-page-without-a-title-and-with-a-rather-long-address/2026"},
)
AGENTS = (
    (BROWSER, 4),
    (
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
        ),
        9,
    ),
    (
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/126.0.0.0 Mobile Safari/537.36"
        ),
        7,
    ),
    (
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/126.0.0.0 Safari/537.36"
        ),
        5,
    ),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 3),
)
COUNTRIES = (
    *(("SA", 30), ("AE", 14), ("EG", 11), ("US", 9), ("GB", 8), ("KW", 5), ("DE", 4), ("FR", 4)),
    *(("IN", 6), ("PK", 4), ("JO", 3), ("QA", 3), ("BH", 2), ("OM", 2), ("MA", 3), ("TR", 3)),
    *(("ID", 2), ("MY", 1), ("NG", 1), ("BR", 1), ("CA", 2), ("AU", 1), ("", 2)),
)
REFERRERS = (
    *(("https://t.co/x", 24), ("", 20), ("https://www.google.com/", 14)),
    *(("https://l.facebook.com/", 9), ("https://news.google.com/", 6)),
    *(("https://www.linkedin.com/", 4), ("https://out.reddit.com/", 3)),
    *(("https://lm.instagram.com/", 2), ("android-app://com.slack/", 3)),
)
LANGUAGES = (("ar-SA,ar", 40), ("en-US,en", 38), ("fr", 7), ("ur", 5), ("de", 4), ("tr", 3))
UTMS = ((("", "", ""), 70), (("newsletter", "email", "morning"), 20), (("x", "social", "live"), 10))


def fill(server: Server, clicks: int = 3_000, days: int = 70) -> list[str]:
    """Make the links and `clicks` clicks of the last `days`; the codes, most clicked first."""
    made = [server.api("POST", "/links", json=fields).json() for fields in LINKS]
    codes = [link["code"] for link in made]
    store = connections.sync(f"unix://{server.data_dir / 'redis' / 'socket'}")
    numbers = {code: decode(store.get(keys.link(code))).number for code in codes}  # type: ignore[arg-type]
    chance = random.Random(26)
    journal = Journal(
        server.data_dir / "journal", data_dir.prepare(server.data_dir), "never", 1 << 30
    )
    now = int(time.time() * 1000)
    for _ in range(clicks):
        code = chance.choices(codes, [40, 22, 15, 10, 5, 3, 2])[0]
        tags = next(tuple(link["tags"]) for link in made if link["code"] == code)
        age = chance.random() ** 1.4 * days * DAY
        address = f"198.51.{chance.randrange(100)}.{chance.randrange(256)}"
        picked = [
            chance.choices([value for value, _ in pairs], [weight for _, weight in pairs])[0]
            for pairs in (AGENTS, REFERRERS, LANGUAGES, UTMS, COUNTRIES)
        ]
        agent, referrer, language, utm, country = picked
        is_orphan = chance.random() < 0.03
        journal.append(
            [
                Click(
                    now - int(age),
                    0 if is_orphan else numbers[code],
                    "lost" if is_orphan else code,
                    () if is_orphan else tags,
                    address,
                    agent,
                    referrer,
                    language,
                    country,
                    utm=utm,
                )
            ]
        )
    journal.close()
    found = eventually(lambda: _counted(server), lambda count: count >= clicks)
    assert found == clicks
    return codes


def _counted(server: Server) -> int:
    """All visits, of people and bots, to links and unknown codes."""
    count = 0
    for subject in ("", "&orphans=true"):
        answer = server.api("GET", f"/stats?from=2020-01-01&interval=month{subject}")
        totals = answer.json()["totals"]
        count += totals["clicks"] + totals["bots"]
    return count
