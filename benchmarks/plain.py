"""The plain contender: the shortener one writes in an afternoon, with good manners.

Flask, a pooled redis-py client, Hashids over a counter; threads of gunicorn in front.  It counts
the clicks of a link while the visitor waits, and does nothing else: no keys, no checks of the URL,
no statistics.  What it does not do, it does not pay for: the comparison errs in its favour.

    link:CODE    string   the destination
    clicks:CODE  string   how often it was followed
    links        string   the number of the newest link

Settings: PLAIN_SOCKET, the unix socket of its store, and PLAIN_BASE_URL.
"""

import os

import redis
from flask import Flask, abort, redirect, request
from hashids import Hashids
from werkzeug.wrappers import Response

MIN_LENGTH = 5  # characters of a code


def create_app() -> Flask:
    """The application, as gunicorn asks for it."""
    store = redis.Redis(unix_socket_path=os.environ["PLAIN_SOCKET"], decode_responses=True)
    base_url = os.environ["PLAIN_BASE_URL"]
    hashids = Hashids(salt="plain", min_length=MIN_LENGTH)
    app = Flask(__name__)

    @app.post("/api/v1/links")
    def create() -> tuple[dict[str, str], int]:
        url = request.get_json()["url"]
        code = hashids.encode(store.incr("links"))
        store.set(f"link:{code}", url)
        return {"code": code, "url": url, "short_url": f"{base_url}/{code}"}, 201

    @app.get("/<code>")
    def follow(code: str) -> Response:
        url = store.get(f"link:{code}")
        if url is None:
            abort(404)
        store.incr(f"clicks:{code}")
        return redirect(str(url), 302)

    return app
