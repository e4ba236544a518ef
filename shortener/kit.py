"""What each process that answers has for itself: a journal, a meter, the names of our domains, and
what makes codes.
"""

import functools
from collections.abc import Callable

import redis

from shortener import data_dir, gauges, site, targets
from shortener.access_log import AccessLog
from shortener.codes import Codes
from shortener.config import Settings
from shortener.gauges import Counters
from shortener.journal import Journal
from shortener.web.domains import Domains
from shortener.web.meter import Meter


def journal(settings: Settings, counters: Counters) -> Journal:
    """The click journal of this process."""
    host = data_dir.prepare(settings.data_dir)
    limit = settings.journal_limit << 20
    return Journal(settings.data_dir / "journal", host, settings.journal_sync, limit, counters)


def meter(settings: Settings) -> Meter:
    """What counts, and logs if that is wanted, the answers of this process."""
    counters = Counters(gauges.directory(settings.data_dir))
    log = AccessLog(settings.access_log) if settings.access_log else None
    return Meter(counters, log, settings.trusted_proxies)


def domains(settings: Settings) -> Domains:
    """The hosts of short links."""
    default, *others = map(targets.canonical_host, (settings.domain, *settings.domains))
    return Domains(default, frozenset(others) - {default}, settings.case_sensitive)


def settled(store: redis.Redis, settings: Settings) -> Callable[[], site.Site]:
    """Asks the store what is fixed, as soon as it can tell, and once."""
    return functools.cache(lambda: site.settle(store, settings))


def codes(settled: Callable[[], site.Site], settings: Settings) -> Callable[[], Codes]:
    """Makes the codes when they are first needed."""
    length, alphabet = settings.code_length, settings.code_alphabet
    return functools.cache(lambda: Codes(settled().salt, length, alphabet))
