"""Pages and files that are not links: the front page, the table of errors."""

from flask import Blueprint, Flask, Response, render_template

from shortener.config import Settings
from shortener.errors import PROBLEMS

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def blueprint(settings: Settings) -> Blueprint:
    """`/`, `/-/errors`."""
    views = Blueprint("pages", __name__)

    @views.get("/")
    def front() -> Response:
        if settings.home_url:
            return Response(status=302, headers={"Location": settings.home_url})
        return Response(render_template("front.html", host=settings.base_url.partition("://")[2]))

    @views.get("/-/errors")
    def errors() -> Response:
        return Response(render_template("errors.html", errors=PROBLEMS))

    return views


def dress(app: Flask, version: str, case_sensitive: bool) -> None:
    """What all pages share: security headers, and the version that static files are asked with."""
    app.jinja_env.globals.update(asset_version=version, case_sensitive=case_sensitive)

    @app.after_request
    def protect(response: Response) -> Response:
        if "Location" not in response.headers or response.status_code == 201:
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
            response.headers.setdefault("Referrer-Policy", "no-referrer")
        if response.allow:
            response.headers["Allow"] = ", ".join(sorted(response.allow))
        if response.mimetype == "text/html":
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response
