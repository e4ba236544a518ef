"""`/-/links/{code}/delete`: a link goes, with its statistics, after it was asked once more."""

import time

from flask import Blueprint, Response, request, url_for

from shortener.links.repository import Links
from shortener.web.api.answers import LinkAnswers
from shortener.web.dashboard.desk import Desk, page
from shortener.web.domains import Domains


def blueprint(desk: Desk, links: Links, shown: LinkAnswers, domains: Domains) -> Blueprint:
    """Delete a link."""
    views = Blueprint("removal", __name__)

    @views.get("/links/<code>/delete")
    @desk.needs("links:write")
    def ask(code: str) -> Response:
        link = links.get(domains.link_name(code, request.args.get("domain")))
        back = url_for("dashboard.link.link", code=link.code, domain=link.domain)
        return page("delete.html", links=shown.of([link]), names=[link.name], back=back)

    @views.post("/links/<code>/delete")
    @desk.needs("links:write")
    def delete(code: str) -> Response:
        links.delete(domains.link_name(code, request.args.get("domain")), int(time.time()))
        return desk.go(url_for("dashboard.links.links_"), "The link is deleted.")

    return views
