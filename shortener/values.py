"""How the text of a setting is read: a function for each kind of value.

It raises `ValueError` with what the value must be: a phrase, which goes behind the setting's name.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

REDIRECT_STATUSES = (301, 302, 307, 308)


def plain(text: str) -> str:
    return text


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def status(text: str) -> int:
    return int(one_of(*map(str, REDIRECT_STATUSES))(text))


def base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https URL, such as https://arab.news")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be a scheme and a host alone, such as https://arab.news")
    _ = parts.port  # raises ValueError when it is out of range
    return f"{parts.scheme}://{parts.netloc.lower()}"


def hosts(text: str) -> tuple[str, ...]:
    hosts = [host.strip().lower() for host in text.split(",") if host.strip()]
    for host in hosts:
        if not re.fullmatch(r"[\w.-]{1,253}|\[[0-9a-f:.]+\]", host):
            raise ValueError(f"{host} is not a host, such as go.arab.news (without scheme or port)")
    return tuple(dict.fromkeys(hosts))


def page_url(text: str) -> str:
    if text and (urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname):
        raise ValueError("must be an http or https URL")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be written in printable ASCII")
    return text


def bind(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("must be host:port, such as 127.0.0.1:8000")
    return text


def redis_url(text: str) -> str:
    if text and urlsplit(text).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    _ = urlsplit(text).port  # raises ValueError when it is out of range
    return text


def timezone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be an IANA time zone, such as Asia/Riyadh") from None


def alphabet(text: str) -> str:
    if len(set(text)) != len(text) or len(text) < 16 or not (text.isascii() and text.isalnum()):
        raise ValueError("must be at least 16 different ASCII letters and digits")
    return text


def rate(text: str) -> str:
    if text != "off" and not re.fullmatch(r"[1-9][0-9]{0,8}/(second|minute|hour|day)", text):
        raise ValueError("must be off, or so many a second, minute, hour or day: 600/minute")
    return "" if text == "off" else text


def secret(text: str) -> str:
    if text and (len(text) < 16 or len(text) > 128 or not text.isascii() or not text.isprintable()):
        raise ValueError("must be 16 to 128 printable ASCII characters")
    return text


def directory(text: str) -> Path:
    return Path(text).expanduser().absolute()


def log(text: str) -> str:
    if text in ("", "-"):
        return text
    file = directory(text)
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise ValueError(f"cannot write {file}")
    return str(file)


def header(text: str) -> str:
    """The name of a header in lower case, or nothing."""
    if not re.fullmatch(r"[A-Za-z0-9-]{0,64}", text):
        raise ValueError("must be the name of a header")
    return text.lower()


def readable_file(text: str) -> str:
    """The name of a file that can be read, or nothing."""
    if text and not os.access(text, os.R_OK):
        raise ValueError(f"cannot read {text}")
    return text
