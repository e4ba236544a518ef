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
        self._take_in()

    def see(self, path: str, status: int = 200) -> str:
        """A page."""
        answer = self.http.get(path)
        self._take_in()
        assert answer.status_code == status, answer.text
        return answer.text

    def send(self, path: str, page: str | None = None, **fields: object) -> httpx.Response:
        """Send a form to `path`, with the token that `page` (by default the overview) shows."""
        return self.post(path, self.see(page or "/-/"), **fields)

    def post(self, path: str, shown: str, **fields: object) -> httpx.Response:
        """Send a form to `path`, with the token in a page that is shown already."""
        found = re.search(r'name="form_token" value="([^"]+)"', shown)
        assert found is not None
        token = {"form_token": html.unescape(found[1])}
        answer = self.http.post(path, data=token | fields)
        self._take_in()
        return answer

    def _take_in(self) -> None:
        """Cookies for HTTPS, as a proxy that ends it leaves them to us."""
        for cookie in self.http.cookies.jar:
            cookie.secure = False
