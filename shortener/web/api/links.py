"""Links: make, find, list, change, delete."""

import time

from flask import Blueprint, Response, request

from shortener.errors import (
    Changed,
    CodesExhausted,
    CodeTaken,
    Invalid,
    LinkNotFound,
    Problem,
)
from shortener.links.catalogue import Catalogue
from shortener.links.link import Link, version
from shortener.links.mint import Mint, Repetition
from shortener.links.outcomes import Made
from shortener.links.repository import Links
from shortener.web.api import bodies, examples, listing
from shortener.web.api.access import Access, account, reply
from shortener.web.api.answers import (
    BulkResult,
    BulkResults,
    LinkAnswer,
    LinkAnswers,
    LinkPage,
    headers_of_made,
)
from shortener.web.api.described import Reply, described
from shortener.web.api.parameters import (
    DOMAIN,
    ETAG,
    IF_MATCH,
    LOCATION,
    MAX_REPETITION,
    RATE_LIMIT,
    REPETITION,
)
from shortener.web.api.wishes import Wishes
from shortener.web.domains import Domains
from shortener.web.shape import problem_body

MADE = (LOCATION, ETAG, *RATE_LIMIT)  # headers of the answer to a link that was made


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
    @described(
        Reply(201, "The new link.", LinkAnswer, examples.LINK, MADE),
        Reply(200, "The link, which is there already.", LinkAnswer, headers=MADE),
        headers=(REPETITION,),
        body=bodies.NewLink,
        example=examples.LINK_TO_MAKE,
        problems=(CodeTaken, CodesExhausted),
    )
    def create_link() -> Response:
        """Make a link.

        200 instead of 201 when the same `Idempotency-Key` came before, when the same API key
        repeats a request for a `code` with equal fields, or when `find_existing` found a link.
        """
        now = int(time.time())
        wish = wishes.read(bodies.read(request.get_data(), bodies.NewLink), now)
        outcome = mint.make([wish], account().id, now, _repetition())[0]
        if isinstance(outcome, Problem):
            raise outcome
        response = reply(shown.made([outcome])[0], 201 if outcome.is_new else 200)
        response.headers.update(headers_of_made(outcome.link))
        return response

    @views.post("/links/bulk")
    @access.needs("links:write")
    @access.limited
    @described(
        Reply(200, "What became of each link.", BulkResults, examples.BULK, RATE_LIMIT),
        headers=(REPETITION,),
        body=bodies.NewLinks,
        parts=(bodies.NewLink,),
        example=examples.LINKS_TO_MAKE,
    )
    def create_links() -> Response:
        """Make up to 1,000 links in one request.

        Each is made or fails by itself; at most 20 may have passwords. The request counts once
        towards the limit.
        """
        now = int(time.time())
        body = bodies.read(request.get_data(), bodies.NewLinks)
        read = wishes.read_all(body.links, now)
        good = [wish for wish in read if not isinstance(wish, Problem)]
        made = iter(mint.make(good, account().id, now, _repetition()))
        outcomes = [each if isinstance(each, Problem) else next(made) for each in read]
        answered = iter(shown.made([each for each in outcomes if isinstance(each, Made)]))
        return reply(
            BulkResults(
                [
                    BulkResult(status=each.status, error=problem_body(each))
                    if isinstance(each, Problem)
                    else BulkResult(status=201 if each.is_new else 200, link=next(answered))
                    for each in outcomes
                ]
            )
        )

    @views.get("/links")
    @access.needs("links:read")
    @described(Reply(200, "A page of links.", LinkPage, examples.PAGE), query=listing.PARAMETERS)
    def list_links() -> Response:
        """List links, or search them.

        All filters must match. A list that is paged through by `next_cursor` has every link
        exactly once, however many are made meanwhile.
        """
        question = listing.question(request.args, domains)
        page = catalogue.page(question)
        behind = page.following
        following = None if behind is None else listing.cursor(behind, question.sort)
        return reply(LinkPage(shown.of(page.links), following, page.total))

    @views.get("/links/<code>")
    @access.needs("links:read")
    @described(
        Reply(200, "The link.", LinkAnswer, examples.LINK, (ETAG,)),
        query=(DOMAIN,),
        problems=(LinkNotFound,),
    )
    def read_link(code: str) -> Response:
        """Read a link."""
        return _link(links.get(_name(code)))

    @views.patch("/links/<code>")
    @access.needs("links:write")
    @described(
        Reply(200, "The link as it is now.", LinkAnswer, examples.LINK, (ETAG,)),
        query=(DOMAIN,),
        headers=(IF_MATCH,),
        body=bodies.LinkChange,
        example=examples.CHANGE,
        problems=(LinkNotFound, Changed),
    )
    def change_link(code: str) -> Response:
        """Change a link.

        What is left out stays as it is; null sets a field back to its default.
        """
        changed = wishes.change(bodies.read(request.get_data(), bodies.LinkChange))
        expected = request.headers.get("If-Match", "*").strip().strip('"')
        return _link(
            links.change(
                _name(code), changed, int(time.time()), None if expected == "*" else expected
            )
        )

    @views.delete("/links/<code>")
    @access.needs("links:write")
    @described(Reply(204, "The link is gone."), query=(DOMAIN,), problems=(LinkNotFound,))
    def delete_link(code: str) -> Response:
        """Delete a link, with its statistics.

        Its code is free again.
        """
        links.delete(_name(code), int(time.time()))
        return Response(status=204)

    def _link(link: Link) -> Response:
        response = reply(shown.of([link])[0])
        response.set_etag(version(link))
        return response

    def _name(code: str) -> str:
        """The name of the link that a path and `?domain=` speak of."""
        return domains.link_name(code, request.args.get("domain"))

    return views


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
