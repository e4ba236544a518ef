"""`/api/v1`: the HTTP interface for programs.  A view is parse, call, reply.

access   who asks, and whether they may; what every answer is made with
links    make, find, list, change and delete links
stats    statistics of links, tags, the site     stats_forms  as asked and answered
keys     API keys

queries  query strings, parsed
listing  which links a list shows
bodies   what requests may carry
wishes   bodies as links-to-be
answers  what answers look like
"""

from flask import Blueprint

from shortener.accounts import Accounts
from shortener.catalogue import Catalogue
from shortener.cells import Cells
from shortener.config import Settings
from shortener.links import Links
from shortener.mint import Mint
from shortener.stats import Stats
from shortener.web.api import keys
from shortener.web.api import links as link_views
from shortener.web.api import stats as stats_views
from shortener.web.api.access import Access
from shortener.web.api.answers import LinkAnswers
from shortener.web.api.wishes import Wishes
from shortener.web.domains import Domains


def blueprint(
    links: Links,
    mint: Mint,
    catalogue: Catalogue,
    stats: Stats,
    accounts: Accounts,
    cells: Cells,
    domains: Domains,
    settings: Settings,
    reserved: set[str],
) -> Blueprint:
    """The API; `reserved` are names that no alias may have, and may still be added to."""
    access = Access(accounts)
    shown = LinkAnswers(links, stats, domains, settings)
    views = Blueprint("api", __name__, url_prefix="/api/v1")
    wishes = Wishes(domains, settings, reserved)
    views.register_blueprint(
        link_views.blueprint(access, links, mint, catalogue, wishes, shown, domains)
    )
    views.register_blueprint(stats_views.blueprint(access, links, stats, cells, domains))
    views.register_blueprint(keys.blueprint(access, accounts))
    return views
