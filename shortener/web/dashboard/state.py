"""`/-/status`: what `/-/ready` knows, in words."""

from collections.abc import Callable

from flask import Blueprint, Response

from shortener import __version__
from shortener.health import overall
from shortener.health.check import Check
from shortener.web.dashboard.desk import Desk, page

WORDS = {"ok": "good", "degraded": "needs a look", "failed": "does not work"}


def blueprint(desk: Desk, checks: Callable[[], list[Check]]) -> Blueprint:
    """The state of the service."""
    views = Blueprint("status", __name__)

    @views.get("/status")
    @desk.needs("links:read")
    def status() -> Response:
        found = checks()
        how = overall(found)
        return page("status.html", checks=found, how=how, words=WORDS, version=__version__)

    return views
