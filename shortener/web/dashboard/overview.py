"""`/-/`: what one sees first."""

from flask import Blueprint
from werkzeug.wrappers import Response

from shortener.web.dashboard.desk import Desk, page


def blueprint(desk: Desk) -> Blueprint:
    """The overview."""
    views = Blueprint("overview", __name__)

    @views.get("/")
    @desk.needs("links:read")
    def overview() -> Response:
        return page("overview.html")

    return views
