"""`/-/links/{code}/qr`: the short URL as a QR code, as one wants it, to be downloaded."""

from urllib.parse import quote, urlencode

from flask import Blueprint, Response, request

from shortener import qr
from shortener.config import Settings
from shortener.errors import Invalid, NotFound
from shortener.links.link import Link
from shortener.links.repository import Links
from shortener.web.api.qr import FORMATS
from shortener.web.dashboard.desk import Desk, page
from shortener.web.domains import Domains

USUAL = {"size": "512", "border": "4", "dark": "#000000", "light": "#ffffff", "level": "M"}
LEVELS = {
    "L": "L: 7 % may be damaged",
    "M": "M: 15 %",
    "Q": "Q: 25 %",
    "H": "H: 30 %",
}


def blueprint(desk: Desk, links: Links, domains: Domains, settings: Settings) -> Blueprint:
    """QR codes."""
    views = Blueprint("pictures", __name__)

    @views.get("/links/<code>/qr")
    @desk.needs("links:read")
    def form(code: str) -> Response:
        link = _link(code)
        given = {name: request.args.get(name) or usual for name, usual in USUAL.items()}
        wrong: dict[str, str] = {}
        try:
            qr.style(given)
        except Invalid as problem:
            wrong = {one.field: one.message for one in problem.fields}
        domain = {} if link.domain is None else {"domain": link.domain}
        return page(
            "qr.html",
            422 if wrong else 200,
            short_url=settings.short_url(link.domain, link.code),
            link=link,
            given=given,
            wrong=wrong,
            levels=LEVELS,
            bounds=qr,
            query=urlencode((USUAL if wrong else given) | domain),
        )

    @views.get("/links/<code>/qr.<kind>")
    @desk.needs("links:read")
    def picture(code: str, kind: str) -> Response:
        if kind not in FORMATS:
            raise NotFound
        link = _link(code)
        draw, mimetype = FORMATS[kind]
        drawn = draw(settings.short_url(link.domain, link.code), qr.style(request.args))
        response = Response(drawn, mimetype=mimetype)
        if "download" in request.args:
            name = f"attachment; filename*=UTF-8''{quote(link.code)}.{kind}"
            response.headers["Content-Disposition"] = name
        return response

    def _link(code: str) -> Link:
        return links.get(domains.link_name(code, request.args.get("domain")))

    return views
