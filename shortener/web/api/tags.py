"""Tags: list, rename, remove from all links."""

import time

from flask import Blueprint, Response, request

from shortener.errors import TagNotFound, TagTaken
from shortener.links.tags import Tags
from shortener.web.api import bodies, examples
from shortener.web.api.access import Access, reply
from shortener.web.api.answers import TagAnswer, TagList
from shortener.web.api.described import Reply, described


def blueprint(access: Access, tags: Tags) -> Blueprint:
    """`/tags`."""
    views = Blueprint("tags", __name__)

    @views.get("/tags")
    @access.needs("links:read")
    @described(Reply(200, "All tags that links have.", TagList, examples.TAGS))
    def list_tags() -> Response:
        """List the tags, with their links and clicks."""
        return reply(TagList([TagAnswer(*counts) for counts in tags.list()]))

    @views.patch("/tags/<path:tag>")
    @access.needs("links:write")
    @described(
        Reply(200, "The tag under its new name.", TagAnswer, examples.TAG),
        body=bodies.TagName,
        example={"tag": "press"},
        problems=(TagNotFound, TagTaken),
    )
    def rename_tag(tag: str) -> Response:
        """Rename a tag on all links.

        Its statistics go along. A call that was cut off is finished by repeating it.
        """
        new = bodies.tag(bodies.read(request.get_data(), bodies.TagName).tag, "tag")
        return reply(TagAnswer(*tags.rename(bodies.tag(tag, "tag"), new, int(time.time()))))

    @views.delete("/tags/<path:tag>")
    @access.needs("links:write")
    @described(Reply(204, "No link has the tag any more."), problems=(TagNotFound,))
    def remove_tag(tag: str) -> Response:
        """Remove a tag from all links.

        The links stay; the statistics of the tag go.
        """
        tags.remove(bodies.tag(tag, "tag"), int(time.time()))
        return Response(status=204)

    return views
