"""The redirect under Flask: for hosts without the event loop, for its pages, and for its gates.

The same decision as on the edge.  When the edge was asked first, its finding comes along: the link,
None for an unknown code, or the problem it met.
"""

import time
from threading import Lock

import msgspec
from flask import Blueprint, Response, make_response, render_template, request
from werkzeug.exceptions import MethodNotAllowed

from shortener.codes import looks_like_code, normalise
from shortener.errors import (
    LinkNotFound,
    LinkUsedUp,
    StoreAway,
    TooManyTries,
    WrongPassword,
)
from shortener.journal import Journal
from shortener.links.link import Link
from shortener.links.redirects import Gated, Redirect, decide, lead, over
from shortener.links.repository import Links
from shortener.web.headers import FOR_REDIRECTS, POLICY
from shortener.web.lookup import Lookup
from shortener.web.passwords import Passwords
from shortener.web.visitor import Headers, address, click, counted, is_ahead, is_counted, said

MAX_ORPHANS = 100  # visits to unknown codes counted a second


def blueprint(
    links: Links,
    journal: Journal,
    lookup: Lookup,
    passwords: Passwords,
    not_found_url: str,
    country_header: bytes = b"",
) -> Blueprint:
    """`GET /{code}`, and `POST` where a link asks for a password."""
    views = Blueprint("redirect", __name__)
    orphans = Orphans()

    @views.get("/<plain:code>")
    def follow(code: str) -> Response:
        at, headers = time.time_ns() // 1_000_000, _headers()
        try:
            link = lookup.find(code)
        except LinkNotFound:
            if is_counted(request.method, headers) and orphans.admit(code, at):
                _note(None, at, headers)
            return _lead_nowhere()
        try:
            redirect = decide(link, at, request.query_string)
        except LinkNotFound:
            return _lead_nowhere()
        except Gated:
            if link.password is not None:
                return _ask(code)
            return _pass_limit(link, lead(link, at, request.query_string), at, headers)
        if redirect.counted and is_counted(request.method, headers):
            _note(link, at, headers)
        return _answer(redirect)

    @views.post("/<plain:code>")
    def enter(code: str) -> Response:
        """The password form comes back: 303, so that the password goes no further."""
        at, headers = time.time_ns() // 1_000_000, _headers()
        link = lookup.find(code)
        redirect = lead(link, at, request.query_string)
        if link.password is None:
            raise MethodNotAllowed(["GET", "HEAD", "OPTIONS"])
        if redirect.counted:
            visitor = request.remote_addr or ""
            try:
                passwords.check(request.form.get("password", ""), link, visitor)
            except (WrongPassword, TooManyTries) as problem:
                return _ask(code, problem)
        redirect = redirect._replace(status=303)
        return _pass_limit(link, redirect, at, headers)

    def _lead_nowhere() -> Response:
        if not not_found_url:
            raise LinkNotFound
        return _answer(Redirect(302, not_found_url))

    def _pass_limit(link: Link, redirect: Redirect, at: int, headers: Headers) -> Response:
        """Through a link with `max_clicks`, or none.  Who only looks ahead uses nothing up."""
        if not redirect.counted:
            return _answer(redirect)
        if link.max_clicks is not None:
            if is_ahead(headers):
                raise StoreAway("This link is not to be fetched ahead.")
            if request.method == "HEAD":
                return _answer(redirect, with_location=False)
            if not links.take(link):
                return _answer(over(link, LinkUsedUp))
        if is_counted(request.method, headers):
            _note(link, at, headers, used=link.max_clicks is not None)
        return _answer(redirect)

    def _note(link: Link | None, at: int, headers: Headers, used: bool = False) -> None:
        who = address({}, request.remote_addr or "", 0)  # the visitor's by now
        visit = click(counted(link), at, said(headers, country_header), request.query_string, who)
        journal.append([msgspec.structs.replace(visit, used=used) if used else visit])

    return views


class Orphans:
    """Bounds what visits to unknown codes cost: so many a second in each process are counted.

    Whoever tries out codes sends thousands; the journal is for clicks that were redirected.
    """

    def __init__(self) -> None:
        self._second = self._admitted = 0
        self._lock = Lock()

    def admit(self, code: str, at: int) -> bool:
        """Whether a visit to an unknown code, at a time in milliseconds since 1970, is counted.

        What cannot be a code is none.
        """
        if not looks_like_code(normalise(code, True)):
            return False
        with self._lock:
            if at // 1000 != self._second:
                self._second, self._admitted = at // 1000, 0
            self._admitted += 1
            return self._admitted <= MAX_ORPHANS


def _headers() -> dict[bytes, bytes]:
    """The request's headers as the edge sees them."""
    return {
        name.lower().encode("latin-1"): value.encode("latin-1", "replace")
        for name, value in request.headers.items()
    }


def _ask(code: str, problem: WrongPassword | TooManyTries | None = None) -> Response:
    """The page that asks for a link's password, again after a wrong one."""
    response = make_response(render_template("password.html", code=code, problem=problem))
    response.headers["Cache-Control"] = "no-store"
    # Browsers hold the redirect behind a form to the form's policy: it may lead anywhere.
    response.headers["Content-Security-Policy"] = POLICY.replace(
        "form-action 'self'", "form-action 'self' http: https:"
    )
    if problem is not None:
        response.status_code = problem.status
        if problem.retry_after is not None:
            response.headers["Retry-After"] = str(problem.retry_after)
    return response


def _answer(redirect: Redirect, with_location: bool = True) -> Response:
    response = Response(status=redirect.status)
    response.headers.clear()
    if with_location:
        response.headers["Location"] = redirect.location
    response.headers.update(FOR_REDIRECTS)
    response.autocorrect_location_header = False
    return response
