"""Every error of Flask's is rendered here: problem+json (`web/shape.py`) for clients, a page for
people.
"""

import logging

import msgspec
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from shortener import connections, errors
from shortener.errors import Problem
from shortener.gauges import REDIS_ERRORS, Counters
from shortener.web.handed import PROBLEM
from shortener.web.shape import ProblemBody, problem_body

log = logging.getLogger(__name__)


_BY_STATUS: dict[int, type[Problem]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
}


def register(app: Flask, counters: Counters) -> None:
    """Render every error of `app` here; count those of the store."""

    def _store(error: Exception) -> Response:
        counters.add(REDIS_ERRORS)
        return render(errors.StoreAway()) if connections.is_away(error) else _internal(error)

    app.register_error_handler(Problem, render)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(connections.StoreError, _store)
    app.register_error_handler(Exception, _internal)
    app.before_request(_raise_earlier)


def _raise_earlier() -> None:
    """A problem that was met before Flask was asked, such as a body that is too large."""
    problem = request.environ.get(PROBLEM)
    if problem is not None:
        raise problem


def render(problem: Problem) -> Response:
    """The answer to a problem, in the form that the client prefers."""
    response = _page(problem) if _wants_page() else _json(problem_body(problem))
    response.status_code = problem.status
    response.headers["Cache-Control"] = "no-store"
    response.vary.add("Accept")
    response.headers.update(problem.headers)
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    if isinstance(problem, errors.Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _wants_page() -> bool:
    """A browser says that it takes HTML; `*/*` alone is a program."""
    if request.path.startswith("/api/"):
        return False
    offered = ["application/problem+json", "application/json", "text/html"]
    return request.accept_mimetypes.best_match(offered) == "text/html"


def _json(body: ProblemBody) -> Response:
    return Response(msgspec.json.encode(body), mimetype="application/problem+json")


def _page(problem: Problem) -> Response:
    code = (request.view_args or {}).get("code")
    return Response(render_template("problem.html", problem=problem, code=code))


def _http(error: HTTPException) -> Response:
    """Errors of the framework, in our words."""
    status = error.code or 500
    if status < 400:
        return Response(status=status, headers=error.get_headers())
    fallback = errors.BadRequest if status < 500 else errors.Internal
    response = render(_BY_STATUS.get(status, fallback)())
    allowed = dict(error.get_headers()).get("Allow")
    if allowed is not None:
        response.headers["Allow"] = allowed
    return response


def _internal(error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return render(errors.Internal())
