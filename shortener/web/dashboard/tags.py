"""`/-/tags`: tags with their links and clicks; another name for one, or none at all."""

import time

from flask import Blueprint, Response, request, url_for

from shortener.errors import Invalid, TagNotFound, TagTaken
from shortener.links.tags import Tags
from shortener.web.api import bodies
from shortener.web.dashboard.desk import Desk, page


def blueprint(desk: Desk, tags: Tags) -> Blueprint:
    """Tags."""
    views = Blueprint("tags", __name__)

    @views.get("/tags")
    @desk.needs("links:read")
    def tags_() -> Response:
        return page("tags.html", tags=tags.list())

    @views.get("/tags/edit/<path:tag>")
    @desk.needs("links:write")
    def edit(tag: str) -> Response:
        return _form(_tag(tag), {})

    @views.post("/tags/edit/<path:tag>")
    @desk.needs("links:write")
    def change(tag: str) -> Response:
        name, now = _tag(tag), int(time.time())
        back = url_for("dashboard.tags.tags_")
        if request.form.get("action") == "remove":
            tags.remove(name, now)
            return desk.go(back, f"No link has the tag {name} any more.")
        try:
            new = bodies.tag(request.form.get("tag", ""), "tag")
            renamed = tags.rename(name, new, now)
        except (Invalid, TagTaken) as problem:
            fault = problem.fields[0].message if problem.fields else problem.detail
            return _form(name, {"tag": fault}, problem.status)
        return desk.go(back, f"{name} is called {renamed.tag} now.")

    def _form(name: str, wrong: dict[str, str], status: int = 200) -> Response:
        return page(
            "tag.html",
            status,
            tag=name,
            links=tags.links(name),
            given=request.form.get("tag", name),
            wrong=wrong,
        )

    def _tag(text: str) -> str:
        name = bodies.tag(text, "tag")
        if not tags.links(name):
            raise TagNotFound
        return name

    return views
