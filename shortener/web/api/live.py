"""Live events: who may listen.  The stream itself is the event loop's (`web/live.py`)."""

from flask import Blueprint, Response, request

from shortener.errors import NoStream, TooManyListeners
from shortener.web.api.access import Access
from shortener.web.api.described import Reply, described
from shortener.web.handed import ROOM


def blueprint(access: Access) -> Blueprint:
    """`/live`."""
    views = Blueprint("live", __name__)

    @views.get("/live")
    @access.needs("stats:read")
    @described(
        Reply(200, "A stream of server-sent events.", media=("text/event-stream",)),
        problems=(NoStream, TooManyListeners),
    )
    def listen() -> Response:
        """Listen to what is being clicked.

        A stream of server-sent events, at most one a second: how many clicks of people there were,
        of which links, from which countries and referrers. It ends after ten minutes: connect anew.
        """
        return admit()

    return views


def admit() -> Response:
    """Tell the event loop to begin.  Raises `NoStream`, `TooManyListeners`."""
    if ROOM not in request.environ:
        raise NoStream
    if not request.environ[ROOM]:
        raise TooManyListeners
    return Response(status=204)
