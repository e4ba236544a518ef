"""Statistics of a link and of the site."""

from datetime import UTC, datetime

from flask import Blueprint, Response, request

from shortener.cells import Cells
from shortener.errors import LinkNotFound
from shortener.links import Links
from shortener.stats import SITE, Stats, Subject, link_subject
from shortener.web.api import answers, examples, queries
from shortener.web.api.access import Access, reply
from shortener.web.api.answers import StatsAnswer
from shortener.web.api.described import Reply, described
from shortener.web.api.parameters import DOMAIN
from shortener.web.domains import Domains


def blueprint(
    access: Access, links: Links, stats: Stats, cells: Cells, domains: Domains
) -> Blueprint:
    """`/links/{code}/stats` and `/stats`."""
    views = Blueprint("stats", __name__)

    @views.get("/links/<code>/stats")
    @access.needs("stats:read")
    @described(
        Reply(200, "Its clicks.", StatsAnswer, examples.STATS),
        query=(*queries.PARAMETERS, DOMAIN),
        problems=(LinkNotFound,),
    )
    def link_stats(code: str) -> Response:
        """Ask for the clicks of a link.

        Without parameters: the last 30 days with today, by day.
        """
        link = links.get(domains.link_name(code, request.args.get("domain")))
        return _answer(link_subject(link.name, link.number))

    @views.get("/stats")
    @access.needs("stats:read")
    @described(Reply(200, "Its clicks.", StatsAnswer, examples.STATS), query=queries.PARAMETERS)
    def site_stats() -> Response:
        """Ask for the clicks of the whole site.

        Without parameters: the last 30 days with today, by day.
        """
        return _answer(SITE)

    def _answer(subject: Subject) -> Response:
        now = datetime.now(UTC)
        question = queries.question(request.args, cells, now)
        return reply(answers.stats_answer(stats.ask(subject, question, now)))

    return views
