"""Statistics of a link, a tag, the site and unknown codes."""

import hashlib
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from shortener.errors import LinkNotFound
from shortener.links.repository import Links
from shortener.statistics.cells import Cells
from shortener.statistics.stats import Stats, Subject, link_subject
from shortener.web.api import examples, stats_forms
from shortener.web.api.access import Access, reply
from shortener.web.api.answers import StatsAnswer
from shortener.web.api.described import Reply, described
from shortener.web.api.parameters import DOMAIN, ETAG, IF_NONE_MATCH
from shortener.web.domains import Domains

_ANSWERS = (
    Reply(200, "The clicks.", StatsAnswer, examples.STATS, headers=(ETAG,), media=("text/csv",)),
    Reply(304, "They are what `If-None-Match` says.", headers=(ETAG,)),
)


def blueprint(
    access: Access, links: Links, stats: Stats, cells: Cells, domains: Domains
) -> Blueprint:
    """`/links/{code}/stats` and `/stats`."""
    views = Blueprint("stats", __name__)

    @views.get("/links/<code>/stats")
    @access.needs("stats:read")
    @described(
        *_ANSWERS,
        query=(*stats_forms.PARAMETERS, DOMAIN),
        headers=(IF_NONE_MATCH,),
        problems=(LinkNotFound,),
    )
    def link_stats(code: str) -> Response:
        """Ask for the clicks of a link.

        Without parameters: the last 30 days with today, by day, and every dimension.
        """
        link = links.get(domains.link_name(code, request.args.get("domain")))
        return _answer(link_subject(link.name, link.number))

    @views.get("/stats")
    @access.needs("stats:read")
    @described(
        *_ANSWERS,
        query=(*stats_forms.PARAMETERS, *stats_forms.SUBJECTS),
        headers=(IF_NONE_MATCH,),
    )
    def site_stats() -> Response:
        """Ask for the clicks of the whole site, of a tag, or of unknown codes.

        Without parameters: the last 30 days with today, by day, and every dimension.
        """
        return _answer(stats_forms.subject(request.args))

    def _answer(subject: Subject) -> Response:
        now = datetime.now(UTC)
        wanted = stats_forms.asked(request.args, request.accept_mimetypes, cells, now)
        found = stats.ask(subject, wanted.question, now)
        if wanted.as_csv:
            response = Response(stats_forms.csv(found, wanted), mimetype="text/csv")
        else:
            response = reply(stats_forms.answer(found, wanted.limit))
        return _revalidated(response)

    return views


def _revalidated(response: Response) -> Response:
    """The response, or 304 to whoever has it already."""
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("Accept")
    response.set_etag(hashlib.blake2b(response.get_data(), digest_size=8).hexdigest())
    response.make_conditional(request)
    return response
