"""The country of a visitor: what a trusted proxy says, else a table of addresses.

The table that comes with us says where an address is registered, for IPv4 and IPv6; a file in
MaxMind's format (`GEOIP_DB`) knows better.  It is read into memory, so replacing it on the disk
harms nobody; a restart of the aggregator reads the new one.
"""

import re
from collections.abc import Callable
from typing import Any

from shortener.config import ConfigError

CODE = re.compile(r"[A-Z]{2}", re.ASCII)  # ISO 3166-1 alpha-2
NOWHERE = ("XX", "ZZ", "EU", "AP")  # what proxies and tables say when they do not know


def finder(file: str) -> Callable[[str], str]:
    """Answers the country of an address, "" if it has none; asked of `file` when there is one.

    Raises `ConfigError` for a file that cannot be read.
    """
    return _from_file(file) if file else _from_table()


def country(said: str, address: str, find: Callable[[str], str]) -> str:
    """The country that a header said, or that of the address; "" if neither is known."""
    said = said.strip().upper()
    if CODE.fullmatch(said) and said not in NOWHERE:
        return said
    found = find(address.removeprefix("::ffff:").partition("%")[0]) if address else ""
    return found if CODE.fullmatch(found) and found not in NOWHERE else ""


def _from_table() -> Callable[[str], str]:
    from iptocc import country_code

    def find(address: str) -> str:
        return country_code(address) or ""

    return find


def _from_file(file: str) -> Callable[[str], str]:
    import maxminddb

    try:
        reader = maxminddb.open_database(file, maxminddb.MODE_MEMORY)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise ConfigError(f"SHORTENER_GEOIP_DB: cannot read {file}: {error}") from None

    def find(address: str) -> str:
        try:
            record: Any = reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return ""
        for part in ("country", "registered_country"):
            try:
                return str(record[part]["iso_code"])
            except (KeyError, TypeError):
                continue
        return ""

    return find
