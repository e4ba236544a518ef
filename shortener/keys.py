"""Every key in Redis is spelled here and nowhere else, but for the last, which a library spells.

    key                    type    written by  holds                              expires
    site                   hash    site        what is fixed at the first start   never
    number                 string  links       the number of the newest link      never
    keys                   hash    accounts    SHA-256 of an API key -> its JSON  never
    keys:used              hash    accounts    the same -> last use, in seconds   with the key
    signed-in:DIGEST       string  sessions    SHA-256 of the API key signed in with  a week
    l:{b}:NAME             string  links       a link: its record, JSON           never
    i:{b}                  zset    links       names, scored by their place       never
    r:{b}                  zset    tally       place and name, scored by clicks   with the link
    g:{b}:TAG              zset    links       names with a tag, scored by place  with its links
    tags:{b}               hash    links       tag -> number of its links         never
    x:{b}:GROUP            zset    url_index   digest of a URL and a name         with the link
    c:{b}:OWNER:DIGEST     string  claims      what a request makes               a day
    c:{b}:OWNER:DIGEST:... string  claims      number of an item's further try    a day
    c:{b}:find:DIGEST      string  wanted      number and code of an equal link   a minute
    o:{b}                  hash    transfer    statistics that were added once    never
    retags                 hash    tags        a tag being renamed -> its new one when done
    marks:{b}              hash    tally       journal -> mark: applied so far    with journal
    u:{b}:NUMBER           string  links       uses of a link with max_clicks     with the link
    t:{b}:SUBJECT          hash    tally       totals: c, b, r; at; every month   with the link
    q:{b}:SUBJECT:WEEK     hash    tally       quarters of an hour                KEEP_QUARTERS
    d:{b}:SUBJECT:YEAR     hash    tally       days of the site's zone            KEEP_DAYS
    m:{b}:SUBJECT:MONTH    hash    tally       label -> clicks of a month         with the link
    b:{b}:SUBJECT:MONTH-N  hash    tally       clicks by label and day            KEEP_LABELS
    v:{b}:SUBJECT:DATE     string  tally       the day's visitors, HyperLogLog    with the salt
    w:{b}:DATE             hash    tally       subject -> visitors counted then   with the salt
    salts                  hash    salts       date -> salt of its visitors       when applied
    held                   hash    salts       host -> oldest date it may count   never
    LIMITS:{…}             string  limits      wrong passwords by link, calls     two windows
                                               that make links by key

A link's place says where it stands among all links by age (`Link.place`).  NAME is its code, on
another than the default domain with the domain and a slash in front.  `b` is the bucket, one of
sixteen hash tags whose slots lie in the middle of the sixteen equal parts of a cluster's 16,384.
Everything that belongs to a link lies in the bucket of its name, so one script may touch the link,
its statistics and the marks together.  A subject is what clicks are counted for: a link (its
number), a tag (`#tag`), the site (`*`) or unknown codes (`?`); all but links lie in the bucket of
their own name.  What the fields of statistics are, `statistics/cells.py` says.  A DATE is 20261125,
a MONTH 202611; N counts the stretches of four days in it.
"""

import zlib

BUCKETS = (
    "18", "5x", "dj", "3r", "d2", "pv", "uh", "iy", "ly", "h9", "uv", "q6", "9s", "5f", "dt", "ha",
)  # fmt: skip

LINKS = "l:"  # what all keys of links begin with, and no others
SITE = "site"
NUMBER = "number"
KEYS = "keys"
RETAGS = "retags"
SALTS = "salts"
HELD = "held"
PULSE = "pulse"  # a channel, not a key
KEY_USES = "keys:used"
SITE_SUBJECT = "*"
ORPHANS_SUBJECT = "?"


def bucket(name: str) -> str:
    """The bucket of a link's name, or of the subject of a tag or the site."""
    return BUCKETS[zlib.crc32(name.encode()) % len(BUCKETS)]


def name(domain: str | None, code: str) -> str:
    """The name of a link; the default domain is None, so that it may be given another host."""
    return code if domain is None else f"{domain}/{code}"


def tag_subject(tag: str) -> str:
    return f"#{tag}"


def session(digest: str) -> str:
    return f"signed-in:{digest}"


def link(name: str) -> str:
    return link_prefix(bucket(name)) + name


def link_prefix(in_bucket: str) -> str:
    """What the keys of all links of a bucket begin with."""
    return f"{LINKS}{{{in_bucket}}}:"


def name_of_link(key: str) -> str:
    """The name in the key of a link."""
    return key.partition("}:")[2]


def index(in_bucket: str) -> str:
    return f"i:{{{in_bucket}}}"


def tag_index(in_bucket: str, tag: str) -> str:
    return f"g:{{{in_bucket}}}:{tag}"


def tags(in_bucket: str) -> str:
    return f"tags:{{{in_bucket}}}"


def urls(in_bucket: str, digest: bytes) -> str:
    return url_sets(in_bucket) + url_group(digest)


def url_sets(in_bucket: str) -> str:
    """What the keys of all sets of URLs of a bucket begin with."""
    return f"x:{{{in_bucket}}}:"


def url_group(digest: bytes) -> str:
    """The group of a URL's digest: 4,096 in each bucket keep each set small."""
    return digest.hex()[:3]


def claim(owner: str, digest: str) -> str:
    return f"c:{{{bucket(digest)}}}:{owner}:{digest}"


def wanted(in_bucket: str, digest: str) -> str:
    return f"c:{{{in_bucket}}}:find:{digest}"


def once(in_bucket: str) -> str:
    return f"o:{{{in_bucket}}}"


def ranks(in_bucket: str) -> str:
    return f"r:{{{in_bucket}}}"


def marks(in_bucket: str) -> str:
    return f"marks:{{{in_bucket}}}"


def totals(in_bucket: str, subject: str) -> str:
    return f"t:{{{in_bucket}}}:{subject}"


def uses(in_bucket: str, number: int) -> str:
    return f"u:{{{in_bucket}}}:{number}"


def quarters(in_bucket: str, subject: str, week: int) -> str:
    return f"q:{{{in_bucket}}}:{subject}:{week}"


def days(in_bucket: str, subject: str, year: int) -> str:
    return f"d:{{{in_bucket}}}:{subject}:{year}"


def months(in_bucket: str, subject: str, month: int) -> str:
    return f"m:{{{in_bucket}}}:{subject}:{month}"


def labels(in_bucket: str, subject: str, month: int, stretch: int) -> str:
    return f"b:{{{in_bucket}}}:{subject}:{month}-{stretch}"


def visitors(in_bucket: str, subject: str, day: int) -> str:
    return f"v:{{{in_bucket}}}:{subject}:{day}"


def visited(in_bucket: str, day: int) -> str:
    return f"w:{{{in_bucket}}}:{day}"
