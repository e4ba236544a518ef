"""QR codes of links, which lead to their short URLs."""

from typing import cast
from urllib.parse import quote

from flask import Blueprint, Response, request

from shortener import qr
from shortener.config import Settings
from shortener.errors import Invalid, LinkNotFound
from shortener.links.repository import Links
from shortener.web.api.access import Access
from shortener.web.api.described import Reply, described
from shortener.web.api.parameters import DOMAIN, ETAG, IF_NONE_MATCH, Parameter, one_of, whole
from shortener.web.domains import Domains

FORMATS = {"svg": (qr.svg, "image/svg+xml"), "png": (qr.png, "image/png")}
_USUAL = qr.Style()
_COLOUR = {"type": "string", "pattern": f"^(#?([0-9A-Fa-f]{{3}}){{1,2}}|{qr.TRANSPARENT})$"}

PARAMETERS = (
    DOMAIN,
    Parameter("format", "The type of the picture.", one_of(FORMATS, "svg"), "png"),
    Parameter(
        "size",
        "Its side in pixels, margin included.",
        whole(qr.SIZES[0], qr.SIZES[-1], _USUAL.size),
        600,
    ),
    Parameter(
        "border",
        "The margin in modules; readers want 4.",
        whole(qr.BORDERS[0], qr.BORDERS[-1], _USUAL.border),
    ),
    Parameter(
        "dark",
        "The colour of the code: `#rgb`, `#rrggbb` (the `#` may be left out) or `transparent`.",
        {**_COLOUR, "default": "#000000"},
        "0f6d64",
    ),
    Parameter("light", "The colour of the ground, likewise.", {**_COLOUR, "default": "#ffffff"}),
    Parameter(
        "level",
        "At least so much error correction: about 7, 15, 25 or 30 per cent may be damaged.",
        one_of(qr.LEVELS, _USUAL.level),
    ),
)


def blueprint(access: Access, links: Links, domains: Domains, settings: Settings) -> Blueprint:
    """`/links/{code}/qr`."""
    views = Blueprint("qr", __name__)

    @views.get("/links/<code>/qr")
    @access.needs("links:read")
    @described(
        Reply(200, "The picture.", headers=(ETAG,), media=tuple(m for _, m in FORMATS.values())),
        Reply(304, "The picture is the same still.", headers=(ETAG,)),
        query=PARAMETERS,
        headers=(IF_NONE_MATCH,),
        problems=(LinkNotFound,),
    )
    def link_qr(code: str) -> Response:
        """Draw the short URL as a QR code.

        A picture that is asked for again with its `ETag` is not sent again. Two colours that a
        reader could not tell apart are refused.
        """
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
