"""`/-/health`, `/-/ready`, `/-/metrics`: for whoever runs the service.  They need no key.

None of them names a link, a visitor or a path of this host.
"""

import time
from collections.abc import Callable

import msgspec
from flask import Blueprint, Response, request

from shortener.health import overall
from shortener.health.check import Check
from shortener.metrics import Metrics


def blueprint(checks: Callable[[], list[Check]], metrics: Metrics) -> Blueprint:
    """`checks` looks at everything anew."""
    views = Blueprint("operations", __name__)

    @views.get("/-/health")
    def alive() -> Response:
        return _json({"status": "ok"}, 200)

    @views.get("/-/ready")
    def ready() -> Response:
        found = checks()
        status = overall(found)
        body = {"status": status, "checks": {check.name: _shown(check) for check in found}}
        return _json(body, 503 if status == "failed" else 200)

    @views.get("/-/metrics")
    def tell() -> Response:
        text, media_type = metrics.render(request.headers.get("Accept", ""), time.time())
        response = Response(text, content_type=media_type)
        response.headers["Cache-Control"] = "no-store"
        return response

    return views


def _shown(check: Check) -> dict[str, str | None]:
    return {"status": check.status, "detail": check.detail, "mend": check.mend or None}


def _json(body: object, status: int) -> Response:
    response = Response(msgspec.json.encode(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
