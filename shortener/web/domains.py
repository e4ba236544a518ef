"""Which domain a request is for.

With one domain every `Host` is it.  With several, a `Host` that is none of them has no links: it
never sees another domain's.  Ports are ignored.
"""

from shortener import keys
from shortener.codes import normalise
from shortener.errors import Invalid


class Domains:
    """The default domain and the `others`."""

    def __init__(self, default: str, others: frozenset[str], case_sensitive: bool) -> None:
        self._default, self._others = default, others
        self._case_sensitive = case_sensitive
        self.only = not others
        self.all = others | {default}  # every host of short links

    def name(self, host: str, code: str) -> str | None:
        """The name of the link that `host` has under a normalised code; None for a strange host."""
        if self.only:
            return code
        host = _bare(host)
        if host == self._default:
            return code
        return keys.name(host, code) if host in self._others else None

    def asked(self, host: str) -> str | None:
        """The domain that `host` is, as links have it: the default one for a strange host."""
        return _bare(host) if _bare(host) in self._others else None

    def link_name(self, code: str, domain: str | None) -> str:
        """The name of the link that a client speaks of; None is the default domain.

        Raises `Invalid` for a domain that is none of ours.
        """
        return keys.name(self.stored(domain), normalise(code, self._case_sensitive))

    def stored(self, domain: str | None) -> str | None:
        """A domain as links have it: the default one is None.  Raises `Invalid`."""
        if domain is None or _bare(domain) == self._default:
            return None
        if _bare(domain) not in self._others:
            raise Invalid.field("domain", "must be one of the configured domains")
        return _bare(domain)

    def shown(self, domain: str | None) -> str:
        """A domain as clients see it."""
        return self._default if domain is None else domain


def _bare(host: str) -> str:
    """A host without port and final dot, in lower case."""
    name, colon, port = host.rpartition(":")
    bare = name if colon and port.isdecimal() else host
    return bare.lower().rstrip(".")
