"""Tags: list, rename, remove from all links."""

import time

from flask import Blueprint, Response, request

from shortener.tags import Tags
from shortener.web.api import bodies, queries
from shortener.web.api.access import Access, reply


def blueprint(access: Access, tags: Tags) -> Blueprint:
    """`/tags`."""
    views = Blueprint("tags", __name__)

    @views.get("/tags")
    @access.needs("links:read")
    def list_tags() -> Response:
        queries.known(request.args, ())
        return reply({"tags": [counts._asdict() for counts in tags.list()]})

    @views.patch("/tags/<path:tag>")
    @access.needs("links:write")
    def rename_tag(tag: str) -> Response:
        queries.known(request.args, ())
        new = bodies.tag(bodies.read(request.get_data(), bodies.TagName).tag, "tag")
        return reply(tags.rename(bodies.tag(tag, "tag"), new, int(time.time()))._asdict())

    @views.delete("/tags/<path:tag>")
    @access.needs("links:write")
    def remove_tag(tag: str) -> Response:
        queries.known(request.args, ())
        tags.remove(bodies.tag(tag, "tag"), int(time.time()))
        return Response(status=204)

    return views
