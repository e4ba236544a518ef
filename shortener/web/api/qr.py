"""QR codes of links, which lead to their short URLs."""

from typing import cast
from urllib.parse import quote

from flask import Blueprint, Response, request

from shortener import qr
from shortener.config import Settings
from shortener.errors import Invalid
from shortener.links import Links
from shortener.web.api import queries
from shortener.web.api.access import Access
from shortener.web.domains import Domains

FORMATS = {"svg": (qr.svg, "image/svg+xml"), "png": (qr.png, "image/png")}


def blueprint(access: Access, links: Links, domains: Domains, settings: Settings) -> Blueprint:
    """`/links/{code}/qr`."""
    views = Blueprint("qr", __name__)

    @views.get("/links/<code>/qr")
    @access.needs("links:read")
    def link_qr(code: str) -> Response:
        """A picture that is asked for again with its `ETag` is not sent again."""
        queries.known(request.args, ("domain", "format", *qr.Style._fields))
        kind = request.args.get("format", "svg")
        if kind not in FORMATS:
            raise Invalid.field("format", f"must be one of {', '.join(FORMATS)}")
        look = qr.style(request.args)
        link = links.get(domains.link_name(code, request.args.get("domain")))
        draw, mimetype = FORMATS[kind]
        picture = draw(settings.short_url(link.domain, link.code), look)
        response = Response(picture, mimetype=mimetype)
        response.headers["Cache-Control"] = "private, no-cache"
        response.headers["Content-Disposition"] = _file_name(link.code, kind)
        response.add_etag()
        return cast("Response", response.make_conditional(request))

    return views


def _file_name(code: str, kind: str) -> str:
    """What the picture is called when it is saved (RFC 6266)."""
    return f"inline; filename*=UTF-8''{quote(code)}.{kind}"
