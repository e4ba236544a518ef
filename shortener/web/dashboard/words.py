"""People's words for what the statistics and links have in ours."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from shortener.links.link import Link
from shortener.statistics.visits import DIRECT, NONE, UNKNOWN
from shortener.web.dashboard import countries

PLURALS = {  # of dimensions; of others, their name
    "country": "Countries",
    "referrer": "Referrers",
    "browser": "Browsers",
    "os": "Operating systems",
    "device": "Devices",
    "language": "Languages",
    "utm_source": "Campaign sources",
    "utm_medium": "Campaign media",
    "utm_campaign": "Campaigns",
}
LANGUAGES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian",
    "bg": "Bulgarian", "bn": "Bengali", "bs": "Bosnian", "ca": "Catalan", "cs": "Czech",
    "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fil": "Filipino",
    "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati", "ha": "Hausa",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ka": "Georgian",
    "kk": "Kazakh", "km": "Khmer", "kn": "Kannada", "ko": "Korean", "ku": "Kurdish",
    "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam",
    "mn": "Mongolian", "mr": "Marathi", "ms": "Malay", "my": "Burmese", "nb": "Norwegian",
    "ne": "Nepali", "nl": "Dutch", "nn": "Norwegian", "no": "Norwegian", "pa": "Punjabi",
    "pl": "Polish", "ps": "Pashto", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "so": "Somali", "sq": "Albanian",
    "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu",
    "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu",
    "uz": "Uzbek", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def plural(dimension: str) -> str:
    """The heading over the labels of a dimension."""
    return PLURALS.get(dimension, dimension.replace("_", " ").capitalize())


def spoken(dimension: str, label: str | None) -> str:
    """A label as people say it; None is all that are not listed."""
    if label is None:
        return "Other"
    if label in (UNKNOWN, DIRECT, NONE):
        return label.capitalize()
    if dimension == "country":
        return countries.name(label)
    if dimension == "language":
        return LANGUAGES.get(label, label)
    return label.capitalize() if dimension == "device" else label


def moment(seconds: float, zone: ZoneInfo) -> str:
    """A time, to the minute."""
    at = datetime.fromtimestamp(seconds, zone)
    return f"{at.day} {at:%B %Y, %H:%M}"


def day(of: date) -> str:
    return f"{of.day} {of:%b %Y}"


def interval(start: datetime, kind: str) -> str:
    """What an interval of a series is called; `start` is in the clocks of its zone."""
    if kind == "hour":
        return f"{start.day} {start:%b, %H:%M}"
    if kind == "month":
        return f"{start:%B %Y}"
    return f"week of {day(start)}" if kind == "week" else f"{start:%a} {day(start)}"


def span(start: datetime, end: datetime) -> str:
    """A range of time; `end` is not in it."""
    last = end - timedelta(seconds=1)
    if start.date() == last.date():
        return day(start)
    return f"{day(start)} to {day(last)}"


def change(now: int, before: int) -> str:
    """How a number went, against the one of the previous period."""
    if not before:
        return "none before" if now else "as before"
    percent = round(100 * (now - before) / before)
    if not percent:
        return "as before"
    return f"{abs(percent):,} % {'more' if percent > 0 else 'fewer'} than before"


def state(link: Link, remaining: int | None, now: int) -> str:
    """Whether a link leads anywhere, as one word or two; `remaining` are those `max_clicks` lets
    through still."""
    if link.is_over(now):
        return "expired"
    if remaining == 0:
        return "used up"
    return "not begun" if link.starts is not None and now < link.starts else "live"
