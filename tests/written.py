"""What tests write themselves: clicks into the journal of a running server, and a tiny database of
countries."""

import ipaddress
from collections.abc import Iterable

from shortener import connections, keys
from shortener.journal import Click, Journal
from shortener.links.link import Link, decode
from tests.harness import BROWSER, Server


def stored(server: Server, code: str) -> Link:
    """A link as the store has it."""
    embedded = f"unix://{server.data_dir}/redis/socket"
    store = connections.sync(server.settings.get("REDIS_URL", embedded))
    record = store.get(keys.link(code))
    store.close()
    assert isinstance(record, bytes)
    return decode(record)


def click(at: int, link: Link, address: str = "192.0.2.1", **more: object) -> Click:
    """A person's click at `at`, in milliseconds since 1970."""
    given = {"agent": BROWSER, "referrer": "", "language": ""} | more
    return Click(at, link.number, link.name, link.tags, address, **given)  # type: ignore[arg-type]


def write(server: Server, clicks: Iterable[Click]) -> None:
    """Into a journal beside those of the workers."""
    host = (server.data_dir / "host").read_text().strip()
    journal = Journal(server.data_dir / "journal", host, "never", 1 << 30)
    journal.append(list(clicks))
    journal.close()


def country_database(network: str, country: str) -> bytes:
    """A file in MaxMind's format (version 2) that knows one network of IPv4."""
    net = ipaddress.IPv4Network(network)
    bits = f"{int(net.network_address):032b}"[: net.prefixlen]
    nodes, tree = len(bits), b""
    for place, bit in enumerate(bits):
        following = place + 1 if place + 1 < nodes else nodes + 16  # the data section's first byte
        pair = (following, nodes) if bit == "0" else (nodes, following)
        tree += b"".join(record.to_bytes(3) for record in pair)
    data = _map({"country": _map({"iso_code": _text(country)})})
    metadata = _map(
        {
            "binary_format_major_version": _number(2, 2),
            "binary_format_minor_version": _number(0, 2),
            "build_epoch": b"\x04\x02\x00\x00\x00\x01",
            "database_type": _text("Test"),
            "description": _map({}),
            "ip_version": _number(4, 2),
            "languages": b"\x00\x04",
            "node_count": _number(nodes, 4),
            "record_size": _number(24, 2),
        }
    )
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + metadata


def _map(entries: dict[str, bytes]) -> bytes:
    parts = [_text(name) + value for name, value in entries.items()]
    return bytes([7 << 5 | len(entries)]) + b"".join(parts)


def _text(value: str) -> bytes:
    return bytes([2 << 5 | len(value)]) + value.encode()


def _number(value: int, size: int) -> bytes:
    """An unsigned number of two or four bytes."""
    return bytes([(5 if size == 2 else 6) << 5 | size]) + value.to_bytes(size)
