"""Statistics of a link and of the site."""

from datetime import UTC, datetime

from flask import Blueprint, Response, request

from shortener.cells import Cells
from shortener.links import Links
from shortener.stats import SITE, Stats, Subject, link_subject
from shortener.web.api import answers, queries
from shortener.web.api.access import Access, reply
from shortener.web.domains import Domains


def blueprint(
    access: Access, links: Links, stats: Stats, cells: Cells, domains: Domains
) -> Blueprint:
    """`/links/{code}/stats` and `/stats`."""
    views = Blueprint("stats", __name__)

    @views.get("/links/<code>/stats")
    @access.needs("stats:read")
    def link_stats(code: str) -> Response:
        link = links.get(domains.link_name(code, request.args.get("domain")))
        return _answer(link_subject(link.name, link.number), "domain")

    @views.get("/stats")
    @access.needs("stats:read")
    def site_stats() -> Response:
        return _answer(SITE)

    def _answer(subject: Subject, *also: str) -> Response:
        now = datetime.now(UTC)
        question = queries.question(request.args, cells, now, also)
        return reply(answers.stats_answer(stats.ask(subject, question, now)))

    return views
