"""The pages in the navigation, in its order, each with the scope that its key must have."""

from typing import NamedTuple

from shortener.accounts import Account


class Place(NamedTuple):
    """One entry: its view, what it is called, and the scope that it needs, if any."""

    endpoint: str
    label: str
    scope: str


PLACES: tuple[Place, ...] = (
    Place("dashboard.overview.overview", "Overview", ""),
    Place("dashboard.links.links_", "Links", "links:read"),
    Place("dashboard.statistics.statistics", "Statistics", "stats:read"),
    Place("dashboard.tags.tags_", "Tags", "links:read"),
    Place("dashboard.orphans.orphans", "Unknown codes", "stats:read"),
    Place("dashboard.keys.keys", "Keys", "admin"),
    Place("dashboard.status.status", "Status", "links:read"),
)


def open_to(account: Account) -> list[Place]:
    """The places that `account` may go to."""
    return [place for place in PLACES if not place.scope or account.may(place.scope)]
