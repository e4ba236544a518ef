"""What every page of the dashboard stands on: who is signed in, forms, messages.

The cookie holds the session's token, signed, so that what we have not made costs no look-up; it is
sent to `/-/` alone, never to short links.  A form carries a token that only its own session's
pages can show, and a browser that says which site a request comes from (`Sec-Fetch-Site`, else
`Origin`) is believed: nobody else's page can send one of ours (CSRF).  Pages tell us, and nobody
else, where a request comes from: under `no-referrer` the `Origin` of our own forms would be `null`,
and over plain HTTP, where `Sec-Fetch-Site` is not sent, nobody could sign in.
"""

import hmac
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, g, render_template, request, url_for
from itsdangerous import BadSignature, URLSafeSerializer

from shortener.errors import ForeignForm, Unauthorized
from shortener.sessions import LASTS, Sessions
from shortener.web.api.access import Access, account
from shortener.web.dashboard import places
from shortener.web.headers import POLICY

P = ParamSpec("P")
View = Callable[P, Response]
Secret = Callable[[], str]  # the key that signs cookies; asks the store the first time

COOKIE = "shortener-session"
MESSAGE = "shortener-message"
PATH = "/-/"  # cookies are sent to the dashboard alone


class Desk:
    """Lets in who is signed in."""

    def __init__(
        self, sessions: Sessions, access: Access, secret: Secret, *, is_secure: bool
    ) -> None:
        self._sessions, self._secret, self._is_secure = sessions, secret, is_secure
        self.access = access

    def needs(self, *scopes: str) -> Callable[[View[P]], View[P]]:
        """Let a view answer only to those whose key has all `scopes`; `account()` is theirs.

        Others are sent to sign in, or told what their key lacks.  What changes anything must come
        from a form of ours.
        """

        def decorate(view: View[P]) -> View[P]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
                try:
                    g.session, g.account = self._signed_in()
                except Unauthorized:
                    return self._to_sign_in()
                if request.method == "POST":
                    self._check_form()
                for scope in scopes:
                    account().require(scope)
                return view(*args, **kwargs)

            return guarded

        return decorate

    def dress(self, views: Blueprint) -> None:
        """Give the pages of `views` what they share: words for templates, headers."""

        @views.context_processor
        def share() -> dict[str, Any]:
            if "account" not in g:
                return {}
            return {
                "account": account(),
                "places": places.open_to(account()),
                "form_token": self._form_token(),
                **self._take_message(),
            }

        @views.after_request
        def protect(response: Response) -> Response:
            """The dashboard alone has scripts, its own ones, and nobody keeps its pages."""
            policy = f"{POLICY}; script-src 'self'; connect-src 'self'"
            response.headers.setdefault("Cache-Control", "private, no-store")
            if response.mimetype == "text/html":
                response.headers["Content-Security-Policy"] = policy
                response.headers["Referrer-Policy"] = "same-origin"
                if "shown" in g and response.status_code == 200:
                    response.delete_cookie(MESSAGE, g.shown)
            return response

    def sign_in(self, key: str, to: str) -> Response:
        """Begin a session and go to `to`.  Raises `Unauthorized`, `TooManyTries`."""
        self.check_origin()
        now = int(time.time())
        self.access.authenticate(key, now)
        response = see_other(to)
        token = self._sign(self._sessions.begin(key, now))
        self._set(response, COOKIE, token, LASTS)
        return response

    def sign_out(self) -> Response:
        """End the session; the browser forgets it."""
        self._sessions.end(g.session)
        response = see_other(url_for("dashboard.sign_in.sign_in"))
        response.delete_cookie(COOKIE, PATH)
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    def go(self, to: str, message: str, secret: str = "") -> Response:
        """Go on to a page that shows `message`, and a new key's `secret`, once: what a form answers
        when it has done it.  Pages elsewhere do not get the message, nor do other sessions."""
        response = see_other(to)
        if message:
            path = urlsplit(to).path
            shown = self._serializer(f"message.{g.session}").dumps([message, secret, path])
            self._set(response, MESSAGE, shown, 60, path)
        return response

    def check_origin(self) -> None:
        """Raises `ForeignForm` for what another site's page sends."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            if site not in ("same-origin", "none"):
                raise ForeignForm
            return
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise ForeignForm

    def _signed_in(self) -> tuple[str, Any]:
        try:
            token = self._serializer("session").loads(request.cookies.get(COOKIE, ""))
        except BadSignature:
            raise Unauthorized from None
        return token, self._sessions.account(token, int(time.time()))

    def _to_sign_in(self) -> Response:
        if request.method != "GET":
            raise Unauthorized("The session is over. Sign in again, and send the form once more.")
        address = request.full_path.rstrip("?")
        to = "" if address == "/-/" else f"?next={quote(address)}"
        return see_other(url_for("dashboard.sign_in.sign_in") + to)

    def _check_form(self) -> None:
        self.check_origin()
        given = request.form.get("form_token", request.headers.get("X-Form-Token", ""))
        if not hmac.compare_digest(given.encode(), self._form_token().encode()):
            raise ForeignForm

    def _form_token(self) -> str:
        """What a form of the running session carries."""
        token: str = self._serializer("form").dumps(g.session).rpartition(".")[2]
        return token

    def _take_message(self) -> dict[str, str]:
        """What is to be shown once, which is now."""
        cookie = request.cookies.get(MESSAGE, "")
        try:
            message, secret, g.shown = self._serializer(f"message.{g.session}").loads(cookie)
        except BadSignature:
            return {"message": "", "secret": ""}
        return {"message": message, "secret": secret}

    def _sign(self, token: str) -> str:
        return str(self._serializer("session").dumps(token))

    def _serializer(self, use: str) -> URLSafeSerializer:
        return URLSafeSerializer(self._secret(), salt=f"shortener.{use}")

    def _set(self, response: Response, name: str, value: str, age: int, path: str = PATH) -> None:
        response.set_cookie(
            name,
            value,
            max_age=age,
            path=path,
            secure=self._is_secure,
            httponly=True,
            samesite="Lax",
        )


def see_other(address: str) -> Response:
    """Go on to a page of ours."""
    return Response(status=303, headers={"Location": address})


def page(template: str, status: int = 200, **words: object) -> Response:
    """A page of the dashboard."""
    return Response(render_template(f"dashboard/{template}", **words), status)
