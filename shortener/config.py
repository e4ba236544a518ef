"""Settings: read from the environment once, strictly, into one frozen value.

The fields of `Settings` are the table: each carries its default, its parser and a sentence for the
documentation, and everything else (reading, refusing unknown names, the README's table) is driven
by it.  A wrong setting stops the start; nothing is guessed, so a typo costs a restart, not a month.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from shortener import values

PREFIX = "SHORTENER_"
CLIENT_NAMES = frozenset({"SERVER", "KEY"})  # read by the command line, not by the server
# Kubernetes injects these for a service named `shortener`.
INJECTED = re.compile(r"PORT(_.*)?|SERVICE_.*")

DEFAULT_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1: they look alike


class ConfigError(Exception):
    """A setting that cannot be used; the message is one line and names it."""


class StartError(Exception):
    """Why a process cannot start although its settings are right; the message is one line."""


class Setting(NamedTuple):
    """One row of the table: `SHORTENER_{name}`."""

    name: str
    default: str
    meaning: str
    parse: Callable[[str], Any]


def _setting(default: str, meaning: str, parse: Callable[[str], Any] = values.plain) -> Any:
    return field(metadata={"default": default, "meaning": meaning, "parse": parse})


@dataclass(frozen=True)
class Settings:
    """Every setting, parsed.  Raises nothing; `Settings.load` is how one is made."""

    base_url: str = _setting(
        "http://127.0.0.1:8000",
        "what short links begin with; its host is the default domain",
        values.base_url,
    )
    domains: tuple[str, ...] = _setting(
        "", "further hosts of short links, comma separated; ports are ignored", values.hosts
    )
    bind: str = _setting(
        "127.0.0.1:8000", "host and port to listen on; port 0 takes any", values.bind
    )
    workers: int = _setting(
        "0",
        "gunicorn workers; 0 is one for each processor, from three on one less, at most 8",
        values.whole(0, 256),
    )
    data_dir: Path = _setting(
        "$XDG_DATA_HOME/shortener",
        "embedded Redis, click journals, `admin-key`; `~/.local/share/shortener` without XDG",
        values.directory,
    )
    redis_url: str = _setting(
        "", "`redis://`, `rediss://` or `unix://`; empty: the embedded server", values.redis_url
    )
    redis_server: str = _setting(
        "", "binary of the embedded server; empty: the bundled Valkey, else one on the PATH"
    )
    admin_key: str = _setting(
        "", "an API key with every scope; empty: one is made at the first start", values.secret
    )
    secret_key: str = _setting(
        "",
        "signs the cookies of the dashboard; empty: made at the first start and kept in Redis",
        values.secret,
    )
    code_length: int = _setting(
        "5", "least number of characters of a code; from 8 on codes are random", values.whole(5, 32)
    )
    code_alphabet: str = _setting(DEFAULT_ALPHABET, "characters codes are made of", values.alphabet)
    code_salt: str = _setting(
        "", "secret that orders the codes; empty: made at the first start and kept in Redis"
    )
    case_sensitive: bool = _setting(
        "false", "tell `Abc` from `abc`; fixed at the first start", values.flag
    )
    timezone: ZoneInfo = _setting(
        "UTC", "whose days statistics keep; fixed at the first start", values.timezone
    )
    redirect_status: int = _setting(
        "302", "default of new links: 301, 302, 307 or 308", values.status
    )
    keep_quarters: int = _setting(
        "35",
        "days that quarters of an hour are kept, of which hours are made",
        values.whole(1, 100),
    )
    keep_labels: int = _setting(
        "92",
        "days that countries, referrers and the like are kept by day",
        values.whole(1, 400),
    )
    keep_days: int = _setting(
        "800",
        "days that days are kept, at least as long as the others; months stay",
        values.whole(1, 3660),
    )
    trusted_proxies: int = _setting(
        "0",
        "how many proxies in front may be believed about the visitor's address, host and scheme",
        values.whole(0, 16),
    )
    rate_limit: str = _setting(
        "600/minute",
        "requests that make links, by key, a bulk request being one; `off`: any; `admin` is exempt",
        values.rate,
    )
    access_log: str = _setting(
        "",
        "where a line of JSON for each request goes: a file, or `-` for the output; empty: nowhere",
        values.log,
    )
    country_header: str = _setting(
        "",
        "header in which a trusted proxy says the visitor's country, such as `CF-IPCountry`",
        values.header,
    )
    geoip_db: str = _setting(
        "",
        "file in MaxMind's format with the countries of addresses; empty: the table built in",
        values.readable_file,
    )
    journal_sync: str = _setting(
        "second",
        "when clicks are forced to the disk: `never`, every `second`, or `always` before the "
        "answer",
        values.one_of("never", "second", "always"),
    )
    journal_limit: int = _setting(
        "4096",
        "most megabytes of click journals on disk; clicks beyond it are counted as dropped",
        values.whole(1, 1_048_576),
    )
    link_cache: int = _setting(
        "32", "most megabytes of links that a worker remembers", values.whole(1, 65_536)
    )
    home_url: str = _setting("", "where `/` leads; empty: a plain front page", values.page_url)
    not_found_url: str = _setting(
        "", "where unknown codes lead; empty: a 404 page", values.page_url
    )
    block_private: bool = _setting(
        "false", "refuse destinations with loopback, private or link-local addresses", values.flag
    )

    @property
    def domain(self) -> str:
        """The default domain: the host of `base_url`, without port."""
        host = urlsplit(self.base_url).hostname or ""
        return f"[{host}]" if ":" in host else host

    @property
    def believed_country_header(self) -> bytes:
        """The header that says countries, if there are proxies to be trusted with it."""
        return self.country_header.encode() if self.trusted_proxies else b""

    def base_of(self, domain: str | None) -> str:
        """What the short links of a domain begin with; None is the default domain."""
        return self.base_url if domain is None else f"{urlsplit(self.base_url).scheme}://{domain}"

    def short_url(self, domain: str | None, code: str) -> str:
        """Where a link is reached, in ASCII; None is the default domain."""
        return f"{self.base_of(domain)}/{quote(code)}"

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read `SHORTENER_…` (or `SHORTENER_…_FILE`) from `environ`.

        Raises `ConfigError` for an unknown name, a bad value, or a file that cannot be read.
        """
        given = _given(environ)
        _refuse_unknown(given)
        parsed: dict[str, Any] = {}
        for setting in SETTINGS:
            text = given.get(setting.name) or _default(setting, environ)
            try:
                parsed[setting.name.lower()] = setting.parse(text)
            except ValueError as error:
                raise ConfigError(f"{PREFIX}{setting.name}: {error}") from None
        if parsed["keep_days"] < max(parsed["keep_labels"], parsed["keep_quarters"]):
            raise ConfigError(f"{PREFIX}KEEP_DAYS: is less than KEEP_LABELS or KEEP_QUARTERS")
        return cls(**parsed)


SETTINGS: tuple[Setting, ...] = tuple(
    Setting(f.name.upper(), f.metadata["default"], f.metadata["meaning"], f.metadata["parse"])
    for f in fields(Settings)
)


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """Our part of the environment, without the prefix; `…_FILE` replaced by what is in the file."""
    given: dict[str, str] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX):
            continue
        short = name.removeprefix(PREFIX)
        if short.endswith("_FILE") and short.removesuffix("_FILE") in _names():
            short = short.removesuffix("_FILE")
            if PREFIX + short in environ:
                raise ConfigError(f"{PREFIX}{short}: given twice, also as {name}")
            try:
                value = Path(value).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{name}: cannot read {value}: {error}") from None
        given[short] = value
    return given


def _refuse_unknown(given: Iterable[str]) -> None:
    for name in given:
        if name not in _names() and name not in CLIENT_NAMES and not INJECTED.fullmatch(name):
            raise ConfigError(f"{PREFIX}{name}: there is no such setting")


def _names() -> frozenset[str]:
    return frozenset(setting.name for setting in SETTINGS)


def _default(setting: Setting, environ: Mapping[str, str]) -> str:
    if setting.name != "DATA_DIR":
        return setting.default
    base = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return f"{base}/shortener"
