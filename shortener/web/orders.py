"""Orders: requests for one new link, most of them answered by the event loop.

A plain one (`links/express.py`) is read, checked and answered here, by the rules and in the words
that Flask's view has.  All others are Flask's, and so is everything that is wrong with a request,
and the first request with each key: what is plain is decided here, what is right is not.
"""

import time
from collections import OrderedDict

from shortener.accounts import fingerprint
from shortener.errors import Internal, Invalid, StoreAway
from shortener.links.express import Express
from shortener.links.link import Wish
from shortener.web.api import bodies
from shortener.web.api.access import key_in
from shortener.web.api.answers import Shown, headers_of_made
from shortener.web.api.wishes import Wishes
from shortener.web.bridge import Body, Bridge, Receive, Send, give, in_json, read_body, told
from shortener.web.handed import Answer, Scope

PATH = "/api/v1/links"
MAX_BODY = 16_384  # bytes; longer ones would hold up redirects
MAX_KEYS = 1_000  # that are known to make links
MADE = (200, 201)  # what Flask answers those who may make links
_OF_KEYS = (b"authorization", b"x-api-key")  # headers


class Orders:
    """The ASGI application for `POST /api/v1/links`."""

    def __init__(self, bridge: Bridge, express: Express, wishes: Wishes, shown: Shown) -> None:
        self._bridge, self._express, self._wishes, self._shown = bridge, express, wishes, shown
        self._keys: OrderedDict[str, None] = OrderedDict()  # digests of those that Flask let in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive)
        if body is None:
            return  # the client is gone
        began = time.perf_counter_ns()
        digest = _digest(scope)
        if digest in self._keys:
            answer = await self._make(digest, body)
            if answer is not None:
                self._bridge.stand_in(scope, answer, began)
                await give(answer, send)
                return
        answer = await self._bridge.hand_in(scope, body, send)
        if digest and answer.status in MADE and not _is_limited(answer):
            self._remember(digest)

    async def _make(self, digest: str, body: Body) -> Answer | None:
        """What a plain request is answered; None for any other."""
        now = int(time.time())
        wish = self._plain(body, now)
        if wish is None:
            return None
        try:
            link = await self._express.make(digest, wish, now)
        except (StoreAway, Internal) as problem:
            return told(problem)
        if link is None:
            self._keys.pop(digest, None)  # until Flask lets it in again
            return None
        return in_json(201, self._shown(link), headers_of_made(link))

    def _plain(self, body: Body, now: int) -> Wish | None:
        if body.problem is not None or len(body.content) > MAX_BODY:
            return None
        try:
            wish = self._wishes.read(bodies.read(body.content, bodies.NewLink), now)
        except Invalid:
            return None
        is_plain = wish.code is None and wish.password is None and not wish.find
        return wish if is_plain else None

    def _remember(self, digest: str) -> None:
        self._keys[digest] = None
        self._keys.move_to_end(digest)
        if len(self._keys) > MAX_KEYS:
            self._keys.popitem(last=False)


def _is_limited(answer: Answer) -> bool:
    """Whether links made with this key are counted, which is Flask's business."""
    return any(name == b"ratelimit" for name, _ in answer.headers)


def _digest(scope: Scope) -> str:
    """The SHA-256 of the key that a request came with; "" for one that may not be plain."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in found or name == b"idempotency-key":
            return ""
        if name in _OF_KEYS:
            found[name] = value.decode("latin-1")
    key = key_in(*(found.get(name, "") for name in _OF_KEYS))
    return "" if scope["query_string"] else fingerprint(key)
