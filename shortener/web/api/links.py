"""Links: make, find, list, change, delete."""

import time
from urllib.parse import quote

from flask import Blueprint, Response, request

from shortener.catalogue import Catalogue
from shortener.errors import Invalid, Problem
from shortener.link import Link, version
from shortener.links import Links
from shortener.mint import Made, Mint, Repetition
from shortener.web.api import bodies, listing, queries
from shortener.web.api.access import Access, account, reply
from shortener.web.api.answers import LinkAnswers
from shortener.web.api.wishes import Wishes
from shortener.web.domains import Domains
from shortener.web.problems import problem_body

MAX_REPETITION = 255  # characters of an Idempotency-Key


def blueprint(
    access: Access,
    links: Links,
    mint: Mint,
    catalogue: Catalogue,
    wishes: Wishes,
    shown: LinkAnswers,
    domains: Domains,
) -> Blueprint:
    """`/links`."""
    views = Blueprint("links", __name__)

    @views.post("/links")
    @access.needs("links:write")
    @access.limited
    def create_link() -> Response:
        queries.known(request.args, ())
        now = int(time.time())
        wish = wishes.read(bodies.read(request.get_data(), bodies.NewLink), now)
        outcome = mint.make([wish], account().id, now, _repetition())[0]
        if isinstance(outcome, Problem):
            raise outcome
        response = _link(outcome.link, 201 if outcome.is_new else 200)
        response.headers["Location"] = _address(outcome.link)
        return response

    @views.post("/links/bulk")
    @access.needs("links:write")
    @access.limited
    def create_links() -> Response:
        queries.known(request.args, ())
        now = int(time.time())
        body = bodies.read(request.get_data(), bodies.NewLinks)
        read = wishes.read_all(body.links, now)
        good = [wish for wish in read if not isinstance(wish, Problem)]
        made = iter(mint.make(good, account().id, now, _repetition()))
        outcomes = [each if isinstance(each, Problem) else next(made) for each in read]
        answered = iter(shown.of([each.link for each in outcomes if isinstance(each, Made)]))
        return reply(
            {
                "results": [
                    {"status": each.status, "error": problem_body(each)}
                    if isinstance(each, Problem)
                    else {"status": 201 if each.is_new else 200, "link": next(answered)}
                    for each in outcomes
                ]
            }
        )

    @views.get("/links")
    @access.needs("links:read")
    def list_links() -> Response:
        question = listing.question(request.args, domains)
        page = catalogue.page(question)
        following = page.following and listing.cursor(page.following, question.sort)
        found = shown.of(page.links)
        return reply({"links": found, "next_cursor": following, "total": page.total})

    @views.get("/links/<code>")
    @access.needs("links:read")
    def read_link(code: str) -> Response:
        return _link(links.get(_name(code)))

    @views.patch("/links/<code>")
    @access.needs("links:write")
    def change_link(code: str) -> Response:
        changed = wishes.change(bodies.read(request.get_data(), bodies.LinkChange))
        expected = request.headers.get("If-Match", "*").strip().strip('"')
        return _link(
            links.change(
                _name(code), changed, int(time.time()), None if expected == "*" else expected
            )
        )

    @views.delete("/links/<code>")
    @access.needs("links:write")
    def delete_link(code: str) -> Response:
        links.delete(_name(code), int(time.time()))
        return Response(status=204)

    def _link(link: Link, status: int = 200) -> Response:
        response = reply(shown.of([link])[0], status)
        response.set_etag(version(link))
        return response

    def _name(code: str) -> str:
        """The name of the link that a path and `?domain=` speak of."""
        queries.known(request.args, ("domain",))
        return domains.link_name(code, request.args.get("domain"))

    return views


def _address(link: Link) -> str:
    """Where the API has a link."""
    domain = "" if link.domain is None else f"?domain={link.domain}"
    return f"/api/v1/links/{quote(link.code)}{domain}"


def _repetition() -> Repetition | None:
    """What tells a request that is sent again.  Raises `Invalid`, naming the header."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_REPETITION or not key.isascii() or not key.isprintable():
        raise Invalid.field(
            "Idempotency-Key", f"must be 1 to {MAX_REPETITION} printable ASCII characters"
        )
    return Repetition(key, request.path.encode() + b"\n" + request.get_data())
