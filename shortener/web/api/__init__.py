"""`/api/v1`: the HTTP interface for programs.  A view is parse, call, reply.

access   who asks, and whether they may; what every answer is made with
links    make, find, list, change and delete links
qr       QR codes of links
stats    statistics of links, tags, the site     stats_forms  as asked and answered
live     who may listen to live events
tags     tags of links
transfer export and import
carried  the records of those
keys     API keys

described what each operation takes and answers: the source of the OpenAPI document
parameters parameters and headers, as tables
kinds    what fields of bodies and answers hold, with their bounds
examples what requests and answers look like

queries  query strings, parsed
listing  which links a list shows
bodies   what requests may carry
wishes   bodies as links-to-be
answers  what answers look like
"""

from typing import NamedTuple

from flask import Blueprint

from shortener.accounts import Accounts
from shortener.config import Settings
from shortener.limits import Limits
from shortener.links.catalogue import Catalogue
from shortener.links.mint import Mint
from shortener.links.repository import Links
from shortener.links.tags import Tags
from shortener.links.transfer import Transfer
from shortener.statistics.cells import Cells
from shortener.statistics.stats import Stats
from shortener.web.api import keys, live, transfer
from shortener.web.api import links as link_views
from shortener.web.api import qr as qr_views
from shortener.web.api import stats as stats_views
from shortener.web.api import tags as tag_views
from shortener.web.api.access import Access
from shortener.web.api.answers import LinkAnswers
from shortener.web.api.wishes import Wishes
from shortener.web.domains import Domains


class Parts(NamedTuple):
    """What the API is made of; `reserved` are names that no alias may have, and may still be
    added to."""

    links: Links
    mint: Mint
    catalogue: Catalogue
    tags: Tags
    transfer: Transfer
    stats: Stats
    accounts: Accounts
    limits: Limits
    cells: Cells
    domains: Domains
    settings: Settings
    reserved: set[str]


def blueprint(parts: Parts) -> Blueprint:
    """The API."""
    links, stats, domains, settings = parts.links, parts.stats, parts.domains, parts.settings
    access = Access(parts.accounts, parts.limits)
    shown = LinkAnswers(links, stats, domains, settings)
    wishes = Wishes(domains, settings, parts.reserved)
    views = Blueprint("api", __name__, url_prefix="/api/v1")
    for part in (
        link_views.blueprint(access, links, parts.mint, parts.catalogue, wishes, shown, domains),
        qr_views.blueprint(access, links, domains, settings),
        stats_views.blueprint(access, links, stats, parts.cells, domains),
        live.blueprint(access),
        tag_views.blueprint(access, parts.tags),
        transfer.blueprint(access, parts.transfer, wishes, settings),
        keys.blueprint(access, parts.accounts),
    ):
        views.register_blueprint(part)
    return views
