"""A picture of a comparison: throughput and p99 by connections, as an SVG that needs nothing."""

from collections.abc import Callable, Mapping
from html import escape
from math import ceil, floor, log10
from pathlib import Path

WIDTH, HEIGHT, GAP = 380, 260, 64  # of a panel, and around it, in pixels
LEAST = 1e-3  # what has no logarithm is drawn as this
COLOURS = ("#0b6e4f", "#8a8a8a", "#b3541e", "#4a5fc1", "#8b2f7a")

Medians = Mapping[str, Mapping[int, Mapping[str, float]]]


def draw(file: Path, medians: Medians) -> None:
    """Write the picture: a line for each contender."""
    file.parent.mkdir(parents=True, exist_ok=True)
    parts = [
        _panel(0, "redirects a second", medians, "rate", _linear),
        _panel(1, "p99 latency, milliseconds", medians, "p99", _logarithmic),
        *(_name(place, name) for place, name in enumerate(medians)),
    ]
    width, height = 2 * WIDTH + 3 * GAP, HEIGHT + 2 * GAP
    size = f'width="{width}" height="{height}"'
    space, text = 'xmlns="http://www.w3.org/2000/svg"', 'font-family="sans-serif" font-size="13"'
    lines = [
        f'<svg {space} viewBox="0 0 {width} {height}" {text} role="img">',
        "<title>Redirects a second and p99 latency by connections</title>",
        f'<rect {size} fill="#ffffff"/>',
        *parts,
        "</svg>",
    ]
    file.write_text("\n".join(lines) + "\n", "utf-8")


Scale = tuple[Callable[[float], float], list[float]]  # 0 to 1 of a value, and where lines are drawn


def _linear(values: list[float]) -> Scale:
    rough = max(values) / 4
    power = 10 ** floor(log10(rough))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough)
    lines = [step * place for place in range(ceil(max(values) / step) + 1)]
    return lambda value: value / lines[-1], lines


def _logarithmic(values: list[float]) -> Scale:
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    high = max(high, low + 1)
    lines = [10.0**power for power in range(low, high + 1)]
    return lambda value: (log10(value) - low) / (high - low), lines


def _panel(
    place: int,
    title: str,
    medians: Medians,
    key: str,
    scaled: Callable[[list[float]], Scale],
) -> str:
    left, bottom = GAP + place * (WIDTH + GAP), GAP + HEIGHT
    connections = sorted({number for figures in medians.values() for number in figures})
    share, lines = scaled([max(f[key], LEAST) for by in medians.values() for f in by.values()])
    x = {
        number: left + WIDTH * (position + 0.5) / len(connections)
        for position, number in enumerate(connections)
    }
    drawn = [f'<text x="{left}" y="{GAP - 14}" font-weight="bold">{title}</text>']
    for line in lines:
        y = bottom - HEIGHT * share(line)
        drawn.append(f'<path d="M{left} {y:.1f}h{WIDTH}" stroke="#dddddd"/>')
        drawn.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{line:,g}</text>')
    drawn += [
        f'<text x="{x[number]:.0f}" y="{bottom + 20}" text-anchor="middle">{number}</text>'
        for number in connections
    ]
    for position, by in enumerate(medians.values()):
        colour = COLOURS[position % len(COLOURS)]
        heights = {n: bottom - HEIGHT * share(max(by[n][key], LEAST)) for n in sorted(by)}
        points = [(x[number], height) for number, height in heights.items()]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in points]
    middle = left + WIDTH / 2
    drawn.append(f'<text x="{middle}" y="{bottom + 38}" text-anchor="middle">connections</text>')
    return "\n".join(drawn)


def _name(place: int, name: str) -> str:
    x = GAP + place * 190
    colour = COLOURS[place % len(COLOURS)]
    return (
        f'<circle cx="{x + 5}" cy="18" r="5" fill="{colour}"/>'
        f'<text x="{x + 16}" y="23">{escape(name)}</text>'
    )
