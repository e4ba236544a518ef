"""`/api/v1`: the HTTP interface for programs.  A view is parse, call, reply.

access   who asks, and whether they may; what every answer is made with
links    make, find, list, change and delete links
stats    statistics of links and the site
keys     API keys

queries  query strings, parsed
bodies   what requests may carry
answers  what answers look like
"""

from flask import Blueprint

from shortener.accounts import Accounts
from shortener.cells import Cells
from shortener.config import Settings
from shortener.limits import Limits
from shortener.links import Links
from shortener.stats import Stats
from shortener.web.api import keys
from shortener.web.api import links as link_views
from shortener.web.api import stats as stats_views
from shortener.web.api.access import Access
from shortener.web.api.answers import LinkAnswers
from shortener.web.domains import Domains


def blueprint(
    links: Links,
    stats: Stats,
    accounts: Accounts,
    limits: Limits,
    cells: Cells,
    domains: Domains,
    settings: Settings,
    reserved: set[str],
) -> Blueprint:
    """The API; `reserved` are names that no alias may have, and may still be added to."""
    access = Access(accounts, limits)
    shown = LinkAnswers(links, stats, domains, settings)
    views = Blueprint("api", __name__, url_prefix="/api/v1")
    views.register_blueprint(
        link_views.blueprint(access, links, shown, domains, settings, reserved)
    )
    views.register_blueprint(stats_views.blueprint(access, links, stats, cells, domains))
    views.register_blueprint(keys.blueprint(access, accounts))
    return views
