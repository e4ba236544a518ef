"""Headers that protect people and keep crawlers off.

All that is ours to show carries them: pages, files, answers of the API.  A redirect is not, and has
only what it needs (`FOR_REDIRECTS`).  HTTPS is ended by the proxy in front, and so are its rules
(HSTS).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask, Response

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FOR_PAGES = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
FOR_ALL = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    "X-Robots-Tag": "noindex, nofollow",
}
FOR_REDIRECTS = {  # beside where it leads
    "Cache-Control": "private, no-store",  # a cached redirect is a click nobody sees
    "X-Robots-Tag": "noindex",  # what it leads to is for search engines, not the way there
    "Content-Length": "0",
}


def dress(app: "Flask") -> None:
    """Put them on every answer of `app`; what a view has set itself stays."""

    @app.after_request
    def protect(response: "Response") -> "Response":
        if response.allow:
            response.headers["Allow"] = ", ".join(sorted(response.allow))
        response.headers.pop("Date", None)  # the server in front says it, once
        if not 300 <= response.status_code < 400 or response.status_code == 304:
            added = FOR_ALL | FOR_PAGES if response.mimetype == "text/html" else FOR_ALL
            own = {name.title() for name, _ in response.headers}
            response.headers.extend({k: v for k, v in added.items() if k.title() not in own})
        return response
