"""Look-ups of codes for visitors, and a bound on trying codes that are none."""

import contextlib

from flask import request

from shortener.codes import looks_like_code, normalise
from shortener.errors import LinkNotFound, Problem, TooManyTries
from shortener.limits import Limits
from shortener.links.link import Link
from shortener.links.repository import Links
from shortener.web.domains import Domains
from shortener.web.handed import LOOKUP
from shortener.web.limited import refused
from shortener.web.visitor import network


class Lookup:
    """Finds the link that the running request asks for."""

    def __init__(
        self, links: Links, domains: Domains, limits: Limits, case_sensitive: bool
    ) -> None:
        self._links, self._domains, self._limits = links, domains, limits
        self._case_sensitive = case_sensitive

    def find(self, code: str) -> Link:
        """The link that the edge found, or the one with this code on the asked domain.

        Raises `LinkNotFound`, or `TooManyTries` for who has asked for too many codes that are
        none; codes that are, work for them as ever.
        """
        code = normalise(code, self._case_sensitive)
        if LOOKUP in request.environ:
            found: Link | Problem | None = request.environ[LOOKUP]
            if isinstance(found, Problem):
                raise found
            if found is not None:
                return found
        elif not looks_like_code(code):
            raise LinkNotFound
        else:
            name = self._domains.name(request.headers.get("Host", ""), code)
            if name is not None:
                with contextlib.suppress(LinkNotFound):
                    return self._links.get(name)
        visitor = network(request.remote_addr or "")
        if not self._limits.hit("unknown", visitor):
            raise refused(TooManyTries(), self._limits.refusal("unknown", visitor))
        raise LinkNotFound
