"""Pages and files that are not links: the front page, the table of errors."""

import hashlib
from pathlib import Path

from flask import Blueprint, Flask, Response, render_template, request
from werkzeug.routing import BaseConverter

from shortener.config import Settings
from shortener.errors import PROBLEMS
from shortener.web.domains import Domains

YEAR = 365 * 24 * 3600  # seconds
DAY = 24 * 3600  # seconds
# Fetch a link because a person has just posted it somewhere, to show what it leads to.
ON_BEHALF_OF_PEOPLE = (
    "Discordbot",
    "facebookexternalhit",
    "LinkedInBot",
    "Slackbot-LinkExpanding",
    "TelegramBot",
    "Twitterbot",
    "WhatsApp",
)


def blueprint(settings: Settings) -> Blueprint:
    """`/`, `/robots.txt`, `/-/errors`."""
    views = Blueprint("pages", __name__)

    @views.get("/")
    def front() -> Response:
        if settings.home_url:
            return Response(status=302, headers={"Location": settings.home_url})
        return Response(render_template("front.html"))

    @views.get("/robots.txt")
    def robots() -> Response:
        """Nobody is to crawl here, but a posted link shows its card."""
        let_in = "".join(f"User-agent: {name}\n" for name in ON_BEHALF_OF_PEOPLE)
        rules = f"User-agent: *\nDisallow: /\n\n{let_in}Disallow: /-/\nDisallow: /api/\n"
        response = Response(rules, mimetype="text/plain")
        response.headers["Cache-Control"] = f"public, max-age={DAY}"
        return response

    @views.get("/-/errors")
    def errors() -> Response:
        return Response(render_template("errors.html", errors=PROBLEMS))

    return views


class PlainName(BaseConverter):
    """The name of a link in a path.  One with a plus behind it is the address of its preview."""

    regex = r"[^/]*[^/+]"
    part_isolating = True


def prepare(app: Flask, domains: Domains, settings: Settings) -> None:
    """What pages need of `app`: words for templates, the shape of addresses, files kept well."""
    version = _version(Path(str(app.static_folder)))
    app.jinja_env.globals.update(asset_version=version, case_sensitive=settings.case_sensitive)
    app.url_map.converters["plain"] = PlainName

    @app.context_processor
    def name_site() -> dict[str, str]:
        """Each domain has its own name on its pages."""
        domain = domains.asked(request.headers.get("Host", ""))
        return {"site": settings.base_of(domain).partition("://")[2]}

    @app.after_request
    def keep(response: Response) -> Response:
        """A file that was asked for with this version never changes."""
        is_file = request.endpoint == "static" and response.status_code in (200, 304)
        if is_file and request.args.get("v") == version:
            response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
        return response


def _version(static: Path) -> str:
    """Changes when a static file does."""
    digest = hashlib.sha256()
    for path in sorted(static.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
