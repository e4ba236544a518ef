"""Statistics of a link, a tag, the site and unknown codes."""

import hashlib
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from shortener.cells import Cells
from shortener.links import Links
from shortener.stats import Stats, Subject, link_subject
from shortener.web.api import stats_forms
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
        return _answer(stats_forms.subject(request.args), "tag", "orphans")

    def _answer(subject: Subject, *also: str) -> Response:
        now = datetime.now(UTC)
        wanted = stats_forms.asked(request.args, request.accept_mimetypes, cells, now, also)
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
