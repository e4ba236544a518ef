"""The wiring of a worker: settings in, an ASGI application out.

Redirects are answered on the event loop; everything else by Flask, in a process beside the worker
(`office.py`).  A worker does not even import Flask.
"""

import functools

from shortener import connections, keys, kit, tracked
from shortener.config import Settings
from shortener.web.edge import Edge
from shortener.web.office import Begun, Office
from shortener.web.records import Records
from shortener.web.turn import plain_rest


def create_edge(settings: Settings, begun: Begun | None = None) -> Edge:
    """The ASGI application; what it has beside it is started by its event loop, or has `begun`."""
    meter = kit.meter(settings)
    connect = functools.partial(tracked.connect, settings.redis_url, keys.LINKS)
    return Edge(
        Office(settings, begun),
        Records(connect, plain_rest, settings.link_cache << 20, meter.counters),
        kit.journal(settings, meter.counters),
        kit.domains(settings),
        settings.case_sensitive,
        settings.trusted_proxies,
        meter,
        connections.sync(settings.redis_url),
        settings.believed_country_header,
    )
