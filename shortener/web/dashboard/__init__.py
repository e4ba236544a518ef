"""`/-/`: the dashboard.  Pages made on the server, usable without JavaScript.

It asks the same modules as the API, and forms are read as the API's bodies are: what one may and
what is right is decided once.  Every view names the scope that it needs; what a key may not do, its
pages do not show.

desk     who is signed in; forms that nobody else can send; messages over a redirect
sign_in  `/-/sign-in`
overview `/-/`
places   the pages in the navigation, as a table
charts   pictures of clicks
countries names of countries, and where they lie on the map
"""

from flask import Blueprint

from shortener.sessions import Sessions
from shortener.web.api import Parts
from shortener.web.api.access import Access
from shortener.web.dashboard import overview, sign_in
from shortener.web.dashboard.desk import Desk, Secret


def blueprint(parts: Parts, sessions: Sessions, secret: Secret) -> Blueprint:
    """The dashboard."""
    access = Access(parts.accounts, parts.limits)
    desk = Desk(sessions, access, secret, is_secure=parts.settings.base_url.startswith("https:"))
    views = Blueprint("dashboard", __name__, url_prefix="/-")
    for part in (
        sign_in.blueprint(desk),
        overview.blueprint(desk),
    ):
        views.register_blueprint(part)
    desk.dress(views)
    return views
