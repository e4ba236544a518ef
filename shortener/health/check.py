"""What a check finds."""

from typing import NamedTuple


class Check(NamedTuple):
    """One finding.  `mend` says what to do about it.

    `ok`, `degraded` (links work, something needs care) or `failed` (nothing can be served).
    """

    name: str
    status: str
    detail: str
    mend: str = ""
