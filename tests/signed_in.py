"""A person in front of the dashboard: cookies, and forms sent as a browser sends them."""

import html
import re

import httpx

from tests.harness import Server


class Person:
    """Signed in at `server` with `key`, by default the admin's; `answer` is what that got."""

    def __init__(self, server: Server, key: str | None = None) -> None:
        self.http = server.client(Accept="text/html")
        self.answer = self.http.post("/-/sign-in", data={"key": key or server.key})
        for cookie in self.http.cookies.jar:
            cookie.secure = False  # what a proxy that ends TLS leaves of it

    def see(self, path: str, status: int = 200) -> str:
        """A page."""
        answer = self.http.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    def send(self, path: str, page: str | None = None, **fields: object) -> httpx.Response:
        """Send a form to `path`, with the token that `page` (by default the overview) shows."""
        found = re.search(r'name="form_token" value="([^"]+)"', self.see(page or "/-/"))
        assert found is not None
        return self.http.post(path, data={"form_token": html.unescape(found[1])} | fields)
