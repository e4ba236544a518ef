"""`/-/sign-in` and `/-/sign-out`: a session for whoever has an API key.

Wrong keys are counted by address, together with those that the API is sent.
"""

import re

from flask import Blueprint, Response, request, url_for

from shortener.errors import Problem, TooManyTries, Unauthorized
from shortener.web.dashboard.desk import Desk, page


def blueprint(desk: Desk) -> Blueprint:
    """Sign in, sign out."""
    views = Blueprint("sign_in", __name__)

    @views.get("/sign-in")
    def sign_in() -> Response:
        return page("sign-in.html", to=_wanted())

    @views.post("/sign-in")
    def begin() -> Response:
        try:
            return desk.sign_in(request.form.get("key", "").strip(), _wanted())
        except (Unauthorized, TooManyTries) as problem:
            return _again(problem)

    @views.post("/sign-out")
    @desk.needs()
    def sign_out() -> Response:
        return desk.sign_out()

    return views


def _again(problem: Problem) -> Response:
    response = page("sign-in.html", problem.status, to=_wanted(), problem=problem)
    response.headers.update(problem.headers)
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    return response


def _wanted() -> str:
    """The page of ours that was asked for before; never anybody else's."""
    to = request.values.get("next", "")
    path = re.split("[?#]", to)[0].lower().replace("%2e", ".")
    climbs = not {".", ".."}.isdisjoint(path.split("/"))  # browsers would leave `/-/` by it
    if to.startswith("/-/") and not climbs and not any(c in to for c in "\\\r\n\t"):
        return to
    return url_for("dashboard.overview.overview")
