"""`/-/`: the dashboard.  Pages made on the server, usable without JavaScript.

It asks the same modules as the API, and forms are read as the API's bodies are: what one may and
what is right is decided once.  Every view names the scope that it needs; what a key may not do, its
pages do not show.

desk     who is signed in; forms that nobody else can send; messages over a redirect
sign_in  `/-/sign-in`
places   the pages in the navigation, as a table

overview `/-/`
links    `/-/links`
link     `/-/links/{code}`
forms    `/-/links/new`, `/-/links/{code}/edit`; fields: what they have
pictures `/-/links/{code}/qr`
removal  `/-/links/{code}/delete`
bulk     `/-/links/bulk`
tags     `/-/tags`
keys     `/-/keys`
state    `/-/status`
subjects `/-/statistics`, `/-/orphans`, `/-/tags/{tag}`
reports  statistics of any of these, as a page
charts   pictures of clicks
countries names of countries, and where they lie on the map
words    people's words for labels, times and changes
"""

from collections.abc import Callable

from flask import Blueprint

from shortener.health.check import Check
from shortener.sessions import Sessions
from shortener.web.api import Parts
from shortener.web.api.access import Access
from shortener.web.api.answers import LinkAnswers
from shortener.web.api.wishes import Wishes
from shortener.web.dashboard import (
    bulk,
    forms,
    keys,
    link,
    links,
    overview,
    pictures,
    removal,
    sign_in,
    state,
    subjects,
    tags,
)
from shortener.web.dashboard.desk import Desk, Secret
from shortener.web.dashboard.reports import Reports


def blueprint(
    parts: Parts, sessions: Sessions, secret: Secret, checks: Callable[[], list[Check]]
) -> Blueprint:
    """The dashboard.  `checks` looks at everything anew."""
    settings, kept, stats, domains = parts.settings, parts.links, parts.stats, parts.domains
    access = Access(parts.accounts, parts.limits)
    desk = Desk(sessions, access, secret, is_secure=settings.base_url.startswith("https:"))
    shown = LinkAnswers(kept, stats, domains, settings)
    wishes = Wishes(domains, settings, parts.reserved)
    reports = Reports(stats, parts.cells)
    mint, catalogue = parts.mint, parts.catalogue
    views = Blueprint("dashboard", __name__, url_prefix="/-")
    for part in (
        sign_in.blueprint(desk),
        overview.blueprint(desk, reports, kept, mint, catalogue, stats, shown, wishes, domains),
        link.blueprint(desk, reports, kept, shown, domains, parts.accounts),
        links.blueprint(desk, reports, kept, catalogue, stats, parts.tags, shown, domains),
        forms.blueprint(desk, reports, kept, mint, wishes, domains, settings),
        bulk.blueprint(desk, mint, wishes, settings),
        removal.blueprint(desk, kept, shown, domains),
        pictures.blueprint(desk, kept, domains, settings),
        subjects.site(desk, reports),
        subjects.orphans(desk, reports),
        subjects.tag(desk, reports, parts.tags, stats),
        tags.blueprint(desk, parts.tags),
        keys.blueprint(desk, reports, parts.accounts),
        state.blueprint(desk, checks),
    ):
        views.register_blueprint(part)
    desk.dress(views)
    return views
