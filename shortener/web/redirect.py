"""The redirect under Flask: for hosts without the event loop, and for its pages.

The same decision as on the edge.  When the edge was asked first, its finding comes along in the
WSGI environment under `LOOKUP`: the link, None for an unknown code, or the problem with the store.
"""

import time

from flask import Blueprint, Response, request

from shortener.codes import looks_like_code, normalise
from shortener.errors import LinkNotFound, StoreAway
from shortener.journal import Journal
from shortener.links import Link, Links
from shortener.redirects import decide
from shortener.web.domains import Domains
from shortener.web.visitor import click, is_counted

LOOKUP = "shortener.lookup"
CACHE_CONTROL = "private, no-store"  # a cached redirect is a click nobody sees


def blueprint(
    links: Links,
    journal: Journal,
    domains: Domains,
    case_sensitive: bool,
    trusted_proxies: int,
    not_found_url: str,
) -> Blueprint:
    """`GET /{code}`."""
    views = Blueprint("redirect", __name__)

    @views.get("/<code>")
    def follow(code: str) -> Response:
        at = time.time_ns() // 1_000_000
        try:
            link = _find(links, domains, normalise(code, case_sensitive))
            redirect = decide(link, at, request.query_string)
        except LinkNotFound:
            if not_found_url:
                return _answer(302, not_found_url)
            raise
        headers = _headers()
        if redirect.counted and is_counted(request.method, headers):
            query, peer = request.query_string, request.remote_addr or ""
            journal.append([click(link, at, headers, query, peer, trusted_proxies)])
        return _answer(redirect.status, redirect.location)

    return views


def _find(links: Links, domains: Domains, code: str) -> Link:
    """The link that the edge found, or the one with this normalised code on the asked domain."""
    if LOOKUP in request.environ:
        found: Link | StoreAway | None = request.environ[LOOKUP]
        if isinstance(found, StoreAway):
            raise found
        if found is not None:
            return found
    elif looks_like_code(code):
        name = domains.name(request.headers.get("Host", ""), code)
        if name is not None:
            return links.get(name)
    raise LinkNotFound


def _headers() -> dict[bytes, bytes]:
    """The request's headers as the edge sees them."""
    return {
        name.lower().encode("latin-1"): value.encode("latin-1", "replace")
        for name, value in request.headers.items()
    }


def _answer(status: int, location: str) -> Response:
    response = Response(status=status)
    response.headers.clear()
    response.headers["Location"] = location
    response.headers["Cache-Control"] = CACHE_CONTROL
    response.headers["Content-Length"] = "0"
    response.autocorrect_location_header = False
    return response
