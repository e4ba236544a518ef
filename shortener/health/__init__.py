"""Named checks, in words: what is wrong, and how to mend it.

Behind `/-/ready` and `shortener check`.  Everybody may ask, so the words name no path, no address
but that of the short links, and no secret.
"""

import time
from collections.abc import Iterator

import redis

from shortener.config import Settings
from shortener.gauges import Counters
from shortener.health import host, store
from shortener.health.check import Check

MAX_JUMP = 5.0  # seconds that the clock may be set by
JUMP_SHOWN = 900.0  # seconds that it is told


class Health:
    """The checks of one process on one host."""

    def __init__(self, client: redis.Redis, settings: Settings, counters: Counters) -> None:
        self._client, self._settings, self._counters = client, settings, counters
        self._offset = time.time() - time.monotonic()  # moves when the clock is set
        self._jump, self._jumped_at = 0.0, float("-inf")

    def checks(self) -> list[Check]:
        """Everything looked at anew, in the order an operator should read it."""
        counts, settings = self._counters.read(), self._settings
        return [
            host.configuration(settings),
            *store.checks(self._client, settings.code_salt, counts),
            *self._host_clock(),
            host.disk(settings),
            host.journal(settings),
            host.aggregator(settings),
            host.proxies(settings.trusted_proxies, counts),
            host.admin_key(settings),
        ]

    def _host_clock(self) -> Iterator[Check]:
        """Nothing, unless the clock of this host was set in the last quarter of an hour."""
        offset, now = time.time() - time.monotonic(), time.monotonic()
        if abs(offset - self._offset) > MAX_JUMP:
            self._jump, self._jumped_at = offset - self._offset, now
        self._offset = offset
        if now - self._jumped_at < JUMP_SHOWN:
            yield Check(
                "host-clock",
                "degraded",
                f"jumped by {self._jump:+.0f} seconds: clicks count at the time that it showed",
                "Let NTP move it slowly; this is told for a quarter of an hour.",
            )


def overall(checks: list[Check]) -> str:
    """The worst status of all."""
    found = {check.status for check in checks}
    return next((status for status in ("failed", "degraded") if status in found), "ok")
