"""The checks of this host: its settings, disk, journals, aggregator, proxies and files."""

import ipaddress
import shutil
import stat
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from shortener.config import Settings
from shortener.health.check import Check
from shortener.journal import held_bytes
from shortener.segments import held_journals
from shortener.status import is_alive, read_status

MIN_FREE = 256 * 1024 * 1024  # bytes on the disk of the data directory
MAX_LAG = 192 * 1024 * 1024  # bytes of journals not applied; twice what may wait for processors
MAX_FULL = 0.8  # of JOURNAL_LIMIT
MIN_SEEN = 20  # requests before anything is said about proxies

_INSIDE = ("localhost", "local", "internal", "lan", "home", "corp", "test", "intranet")


def configuration(settings: Settings) -> Check:
    parts = urlsplit(settings.base_url)
    host, shown = parts.hostname or "", f"short links begin with {settings.base_url}"
    listens_for_others = not _is_loopback(settings.bind.rpartition(":")[0].strip("[]"))
    if _is_loopback(host) and (listens_for_others or settings.trusted_proxies):
        detail, mend = f"{shown}: nobody else can follow them", "Set SHORTENER_BASE_URL."
        return Check("configuration", "degraded", detail, mend)
    if parts.scheme == "http" and _is_public(host):
        return Check(
            "configuration",
            "degraded",
            f"{shown}: whoever is on the way can lead visitors elsewhere",
            "Put a proxy with TLS in front, and set SHORTENER_BASE_URL to https.",
        )
    return Check("configuration", "ok", shown)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_public(host: str) -> bool:
    """Whether a host looks like one of the internet."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and host.rpartition(".")[2] not in _INSIDE


def disk(settings: Settings) -> Check:
    free = shutil.disk_usage(settings.data_dir).free
    if free < MIN_FREE:
        mend = "Make room on that disk: when it is full, clicks are lost."
        return Check("disk", "degraded", f"{free >> 20} MiB free for DATA_DIR", mend)
    return Check("disk", "ok", f"{free >> 20} MiB free")


def journal(settings: Settings) -> Check:
    folder, limit = settings.data_dir / "journal", settings.journal_limit << 20
    dropped = sum(journal.dropped() for journal in held_journals(folder))
    if dropped:
        return Check(
            "journal",
            "degraded",
            f"{dropped} clicks could not be written down and are not counted",
            "Make room on the disk, or raise SHORTENER_JOURNAL_LIMIT.",
        )
    held = held_bytes(folder)
    if held > MAX_FULL * limit:
        return Check(
            "journal",
            "degraded",
            f"{held * 100 // limit} % of JOURNAL_LIMIT is used; at 100 % clicks are lost",
            "See that Redis and the aggregator run, or raise SHORTENER_JOURNAL_LIMIT.",
        )
    return Check("journal", "ok", "every click was written down")


def aggregator(settings: Settings) -> Check:
    status = read_status(settings.data_dir)
    if status is None or not is_alive(status, time.time()):
        return Check(
            "aggregator",
            "degraded",
            "does not run: clicks wait in the journal",
            "Start `shortener serve` or `shortener aggregate` on this host.",
        )
    if status.lag > MAX_LAG:
        detail = f"is {status.lag >> 20} MiB of clicks behind"
        return Check("aggregator", "degraded", detail, "It catches up when load or Redis allow.")
    lost = status.lost + status.refused + status.set_aside
    if lost or status.damaged:
        return Check(
            "aggregator",
            "degraded",
            f"{lost} clicks lost, {status.damaged} bytes of journals damaged since its start",
            "See its log; `set-aside` in the data directory has what could be kept.",
        )
    return Check("aggregator", "ok", f"{status.applied} clicks applied, {status.lag} bytes behind")


def proxies(trusted: int, counts: Mapping[str, int]) -> Check:
    """What most requests since the start say about TRUSTED_PROXIES.

    Only those that Flask answered are looked at; a few that came another way mean nothing.
    """
    missing = counts["forwarded_missing"]
    if not trusted:
        through = counts["forwarded_untrusted"]
        if through >= MIN_SEEN and through > 9 * missing:
            return Check(
                "proxies",
                "degraded",
                "requests come through a proxy, and TRUSTED_PROXIES is 0: all visitors have the "
                "proxy's address",
                "Set SHORTENER_TRUSTED_PROXIES to the number of proxies in front.",
            )
        return Check("proxies", "ok", "none in front")
    if missing >= MIN_SEEN and missing > counts["forwarded"]:
        return Check(
            "proxies",
            "degraded",
            f"most requests have fewer than {trusted} entries in X-Forwarded-For: visitors may say "
            "that they have any address",
            "Lower SHORTENER_TRUSTED_PROXIES to the number of proxies in front, and close the port "
            "to all but them.",
        )
    return Check("proxies", "ok", f"{trusted} in front")


def admin_key(settings: Settings) -> Check:
    try:
        mode = (settings.data_dir / "admin-key").stat().st_mode
    except FileNotFoundError:
        return Check("admin-key", "ok", "not in a file")
    if stat.S_IMODE(mode) & 0o077:
        mend = "`chmod 600 admin-key` in the data directory; revoke the key if it may be known."
        return Check("admin-key", "degraded", "others on this host can read admin-key", mend)
    return Check("admin-key", "ok", "in admin-key, which is ours alone")
