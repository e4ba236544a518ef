"""The wiring of a worker: settings in, an ASGI application out.

Redirects and plain new links are answered on the event loop; everything else by Flask, in a process
beside the worker (`office.py`).
"""

import asyncio
import functools

import redis

from shortener import connections, keys, kit, pipes, tracked
from shortener.config import Settings
from shortener.gauges import Counters
from shortener.links.express import Express
from shortener.web.api.answers import Shown
from shortener.web.api.wishes import Wishes
from shortener.web.bridge import Bridge
from shortener.web.edge import Edge
from shortener.web.office import Begun, Office
from shortener.web.orders import PATH, Orders
from shortener.web.records import Records
from shortener.web.turn import plain_rest


def create_edge(settings: Settings, begun: Begun | None = None) -> Edge:
    """The ASGI application; what it has beside it is started by its event loop, or has `begun`."""
    meter = kit.meter(settings)
    connect = functools.partial(tracked.connect, settings.redis_url, keys.LINKS)
    store = connections.sync(settings.redis_url)
    edge = Edge(
        Office(settings, begun),
        Records(connect, plain_rest, settings.link_cache << 20, meter.counters),
        kit.journal(settings, meter.counters),
        kit.domains(settings),
        settings.case_sensitive,
        settings.trusted_proxies,
        meter,
        store,
        settings.believed_country_header,
    )
    edge.own["POST", PATH] = _orders(settings, store, edge.bridge, meter.counters)
    return edge


def _orders(settings: Settings, store: redis.Redis, bridge: Bridge, counters: Counters) -> Orders:
    """What makes plain links."""
    codes = kit.codes(kit.settled(store, settings), settings)
    express = Express(
        lambda lost: pipes.connect(settings.redis_url, pipes.Pipe(lost)),
        lambda: asyncio.to_thread(codes),
        lambda account: account.may("admin" if settings.rate_limit else "links:write"),
        counters,
    )
    domains = kit.domains(settings)
    return Orders(bridge, express, Wishes(domains, settings, ()), Shown(domains, settings))
