"""Live events: who may listen.  The stream itself is the event loop's (`web/live.py`)."""

from flask import Blueprint, Response, request

from shortener.errors import NoStream, TooManyListeners
from shortener.web.api.access import Access
from shortener.web.live import ROOM


def blueprint(access: Access) -> Blueprint:
    """`/live`."""
    views = Blueprint("live", __name__)

    @views.get("/live")
    @access.needs("stats:read")
    def listen() -> Response:
        """204 tells the event loop to begin."""
        if ROOM not in request.environ:
            raise NoStream
        if not request.environ[ROOM]:
            raise TooManyListeners
        return Response(status=204)

    return views
