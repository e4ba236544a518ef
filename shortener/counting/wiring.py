"""The counting of a host, wired: journals in, statistics out."""

import redis

from shortener.config import Settings
from shortener.counting.aggregator import Aggregator
from shortener.counting.columns import Reader
from shortener.counting.pieces import Pieces
from shortener.counting.pulse import Pulse
from shortener.counting.salts import Salts
from shortener.counting.tally import Tally
from shortener.statistics import places
from shortener.statistics.agents import Agents
from shortener.statistics.cells import Cells
from shortener.statistics.visits import Facts, Visits


def aggregator(settings: Settings, store: redis.Redis, host: str) -> Aggregator:
    """The aggregator of the host `host`.  Raises `ConfigError` for an unreadable GEOIP_DB."""
    visits = Visits(Facts(places.finder(settings.geoip_db), Agents()))
    cells = Cells.of(settings)
    salts = Salts(store, settings.timezone, host)
    return Aggregator(
        Tally(store),
        Pieces(Reader(cells, visits, salts.visitors), cells),
        salts,
        Pulse(store, visits),
        settings.data_dir,
        settings.journal_limit << 20,
    )
