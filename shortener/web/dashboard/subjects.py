"""`/-/statistics`, `/-/orphans` and `/-/tags/{tag}`: statistics of what is no link."""

from flask import Blueprint, Response

from shortener.errors import TagNotFound
from shortener.links.tags import Tags
from shortener.statistics.stats import ORPHANS, SITE, Stats, tag_subject
from shortener.web.api import bodies
from shortener.web.dashboard.desk import Desk
from shortener.web.dashboard.reports import Reports

PAGE = "statistics.html"
UNKNOWN = (
    "Visits to addresses that are no links: mistyped, or of links that were deleted. Their codes "
    "are not kept, because strangers can make up any."
)


def site(desk: Desk, reports: Reports) -> Blueprint:
    """All clicks."""
    views = Blueprint("statistics", __name__)

    @views.get("/statistics")
    @desk.needs("stats:read")
    def statistics() -> Response:
        return reports.answer(SITE, PAGE, title="All links")

    return views


def orphans(desk: Desk, reports: Reports) -> Blueprint:
    """Visits to unknown codes."""
    views = Blueprint("orphans", __name__)

    @views.get("/orphans")
    @desk.needs("stats:read")
    def orphans() -> Response:
        return reports.answer(ORPHANS, PAGE, title="Unknown codes", explained=UNKNOWN)

    return views


def tag(desk: Desk, reports: Reports, tags: Tags, stats: Stats) -> Blueprint:
    """Clicks of links while they had a tag."""
    views = Blueprint("tag", __name__)

    @views.get("/tags/<path:tag>")
    @desk.needs("stats:read")
    def tag(tag: str) -> Response:
        name = bodies.tag(tag, "tag")
        subject = tag_subject(name)
        (totals,) = stats.totals([subject])
        if not totals.clicks and not totals.bots and not tags.links(name):
            raise TagNotFound
        return reports.answer(subject, PAGE, title=name, kind="Tag")

    return views
