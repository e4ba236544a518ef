"""The wiring: settings in, the Flask application out.

It serves the whole product under any WSGI host: `gunicorn 'shortener.app:create_app()'`.  Ours have
the event loop in front of it (`front.py`).
"""

from collections.abc import Callable

import redis
from flask import Flask

from shortener import connections, kit, site
from shortener.accounts import Accounts
from shortener.config import Settings
from shortener.health import Health
from shortener.journal import Journal
from shortener.limits import Limits
from shortener.links.catalogue import Catalogue
from shortener.links.mint import Mint
from shortener.links.repository import Links
from shortener.links.tags import Tags
from shortener.links.transfer import Transfer
from shortener.metrics import Metrics
from shortener.sessions import Sessions
from shortener.statistics.cells import Cells
from shortener.statistics.portions import Portions
from shortener.statistics.stats import Stats
from shortener.web import api, dashboard, docs, headers, operations, pages, preview, problems
from shortener.web import redirect as redirects
from shortener.web.domains import Domains
from shortener.web.lookup import Lookup
from shortener.web.meter import Meter
from shortener.web.passwords import Passwords
from shortener.web.visitor import behind_proxies


def create_app(
    settings: Settings | None = None, journal: Journal | None = None, meter: Meter | None = None
) -> Flask:
    """The Flask application; a store that is away is asked again at need.

    Raises `ConfigError` for settings that are wrong or contradict the stored data.
    """
    settings = settings or Settings.load()
    meter = meter or kit.meter(settings)
    counters = meter.counters
    journal = journal or kit.journal(settings, counters)
    store = connections.sync(settings.redis_url)
    links = Links(store)
    domains = kit.domains(settings)
    limits = Limits(store, counters, settings.rate_limit)
    health = Health(store, settings, counters)
    lookup = Lookup(links, domains, limits, settings.case_sensitive)
    reserved: set[str] = set()

    app = Flask("shortener.web", static_url_path="/-/static")
    app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
    app.config["MAX_FORM_MEMORY_SIZE"] = 1024 * 1024  # of a form's text: as much as any body
    app.url_map.merge_slashes = False
    problems.register(app, counters)
    headers.dress(app)
    pages.prepare(app, domains, settings)
    app.register_blueprint(pages.blueprint(settings))
    app.register_blueprint(
        operations.blueprint(
            health.checks,
            Metrics(counters, store, settings.data_dir, settings.journal_limit << 20),
        )
    )
    app.register_blueprint(preview.blueprint(links, lookup, settings))
    settled = _settled(store, settings)
    parts = _parts(store, limits, settings, domains, reserved, settled)
    app.register_blueprint(api.blueprint(parts))
    app.register_blueprint(
        dashboard.blueprint(
            parts, Sessions(store, parts.accounts), lambda: settled().secret, health.checks
        )
    )
    app.register_blueprint(
        redirects.blueprint(
            links,
            journal,
            lookup,
            Passwords(limits),
            settings.not_found_url,
            settings.believed_country_header,
        )
    )
    app.register_blueprint(docs.blueprint(app, settings.base_url))
    proxied = behind_proxies(app.wsgi_app, settings.trusted_proxies)
    app.wsgi_app = meter.around(proxied)  # type: ignore[assignment, method-assign]
    reserved.update(rule.rule.split("/")[1].casefold() for rule in app.url_map.iter_rules())
    return app


def _parts(
    store: redis.Redis,
    limits: Limits,
    settings: Settings,
    domains: Domains,
    reserved: set[str],
    settled: Callable[[], site.Site],
) -> api.Parts:
    """What the API is made of."""
    links, cells = Links(store), Cells.of(settings)
    stats, catalogue = Stats(store, cells), Catalogue(store, links)
    mint = Mint(store, links, kit.codes(settled, settings))
    tags = Tags(store, links, stats)
    transfer = Transfer(links, catalogue, mint, tags, Portions(store), lambda: site.identity(store))
    accounts = Accounts(store, settings.admin_key)
    return api.Parts(
        links,
        mint,
        catalogue,
        tags,
        transfer,
        stats,
        accounts,
        limits,
        cells,
        domains,
        settings,
        reserved,
    )


def _settled(store: redis.Redis, settings: Settings) -> Callable[[], site.Site]:
    """What is fixed, asked for once now, and when the store is away again at need."""
    settled = kit.settled(store, settings)
    try:
        settled()
    except connections.StoreError as error:
        if not connections.is_away(error):
            raise
    return settled
