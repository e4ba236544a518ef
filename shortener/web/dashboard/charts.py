"""Pictures of clicks, drawn on the server as SVG.

They have no style of their own: classes say what a part is, `charts.css` what it looks like.  What
is wide or narrow with the page (columns, lines) is stretched by the browser; words stand beside it
in HTML, so that they keep their size.  Every picture has a title, and the page a table of it.
"""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10, sqrt
from typing import NamedTuple

from markupsafe import Markup

from shortener.web.dashboard.countries import COLUMNS, COUNTRIES, ROWS, Country

MAX_HITS = 130  # intervals with a title each; more are too narrow to be pointed at
CLOSE = 62  # intervals; the columns of more are drawn closer
HEIGHT = 100  # of every picture, in its own units
TILE = 10  # units of the map from one country to the next
SPARK = 30  # days of a sparkline
SHADES = 5  # of the map


class Column(NamedTuple):
    """One interval: what it is called, and its clicks."""

    title: str
    people: int
    bots: int
    before: int | None = None  # people in the same interval of the previous period


class Axis(NamedTuple):
    """Where a chart ends at the top, and the numbers beside it, from there down to 0."""

    top: int
    labels: tuple[int, ...]


def axis(most: int) -> Axis:
    """A round axis for numbers up to `most`, at least 0."""
    if most <= 10:
        top = max(2, 2 * ceil(most / 2))
    else:
        magnitude = 10 ** (floor(log10(most)) - 1)
        steps = (10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100)
        top = next(step * magnitude for step in steps if step * magnitude >= most)
    return Axis(top, (top, top // 2, 0))


def series(columns: Sequence[Column], top: int, title: str) -> Markup:
    """Columns of people with bots on top of them, and a line for the previous period."""
    width = 10 * len(columns)
    kind = "series" if len(columns) <= CLOSE else "series close"
    parts = [
        Markup('<path class="people" d="{}"/>').format(
            _columns([(0, column.people) for column in columns], top)
        ),
        Markup('<path class="bots" d="{}"/>').format(
            _columns([(column.people, column.bots) for column in columns], top)
        ),
    ]
    before = [column.before for column in columns if column.before is not None]
    if before:
        parts.append(Markup('<path class="before" d="{}"/>').format(_line(before, top)))
    if len(columns) <= MAX_HITS:
        parts += [
            Markup('<path class="hit" d="M{} 0h10v{}h-10z"><title>{}</title></path>').format(
                10 * place, HEIGHT, column.title
            )
            for place, column in enumerate(columns)
        ]
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">{}</svg>'
    ).format(kind, width, HEIGHT, title, Markup("").join(parts))


def sparkline(counts: Sequence[int]) -> Markup:
    """A small picture of how counts went, for a row of a table; it is decoration."""
    top = max([*counts, 1])
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">'
        '<path d="{}"/></svg>'
    ).format(10 * len(counts), HEIGHT, _columns([(0, count) for count in counts], top))


def share(part: int, whole: int) -> int:
    """How many hundredths of `whole` that is: the width of a bar."""
    return round(100 * part / whole) if whole else 0


def bar(hundredths: int) -> Markup:
    """A bar behind a row of text; the number is beside it."""
    return Markup(
        '<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<path d="M0 0h{}v10H0z"/></svg>'
    ).format(hundredths)


def _columns(heights: Sequence[tuple[int, int]], top: int) -> str:
    """A path with a stroke for each pair: where it begins, and how high it is."""
    return "".join(
        f"M{10 * place + 5} {_y(start, top)}V{_y(start + height, top)}"
        for place, (start, height) in enumerate(heights)
        if height
    )


def _line(counts: Sequence[int], top: int) -> str:
    points = [f"{10 * place + 5} {_y(count, top)}" for place, count in enumerate(counts)]
    return "M" + "L".join(points)


def _y(count: int, top: int) -> str:
    return _short(HEIGHT * (1 - count / top))


def _short(number: float) -> str:
    """A number with one decimal at most."""
    return f"{number:.1f}".removesuffix(".0")


def world(clicks: Mapping[str, int], title: str) -> Markup:
    """A map with a tile for each country, darker the more clicks it has; others are no names."""
    found = {code: n for code, n in clicks.items() if code in COUNTRIES and n}
    most = max(found.values(), default=1)
    empty = "".join(_tile(place) for code, place in COUNTRIES.items() if code not in found)
    tiles = [_counted(code, count, most) for code, count in found.items()]
    return Markup(
        '<svg class="map" viewBox="0 0 {} {}" role="img" aria-label="{}"><path d="{}"/>{}</svg>'
    ).format(TILE * COLUMNS, TILE * ROWS, title, empty, Markup("").join(tiles))


def _counted(code: str, count: int, most: int) -> Markup:
    country = COUNTRIES[code]
    tile = Markup('<path class="s{}" d="{}"><title>{}: {:,}</title></path>').format(
        max(1, ceil(SHADES * sqrt(count / most))), _tile(country), country.name, count
    )
    x, y = TILE * country.column + TILE / 2, TILE * country.row + TILE * 0.65
    return tile + Markup('<text x="{}" y="{}">{}</text>').format(_short(x), _short(y), code)


def _tile(country: Country) -> str:
    return f"M{TILE * country.column} {TILE * country.row}h9v9h-9z"
