"""The URLs that benchmarks shorten: 96 bytes, all different, as a browser would spell them."""

LENGTH = 96  # bytes; what the address of an article with a campaign in its query is long
_DIGITS = 12  # of a number in a URL

_HEAD = "https://www.example.com/business/2026/11/a-headline-of-a-few-words-"
_TAIL = "?utm_source=app"
_PAD = "-" * (LENGTH - len(_HEAD) - _DIGITS - len(_TAIL))


def destination(number: int) -> str:
    """The URL with this number (0 to 10**12 - 1)."""
    return f"{_HEAD}{_PAD}{number:0{_DIGITS}d}{_TAIL}"
