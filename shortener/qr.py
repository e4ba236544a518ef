"""QR codes of short links, as SVG and as PNG.

segno makes the modules; they are drawn here, because a picture is to have exactly the size that was
asked for.  In a PNG every module gets the same whole number of pixels, so that none is blurred, and
what is left of the side makes the margin wider.  Colours may be any two that a reader can tell
apart, also a light code on a dark ground, which old readers cannot read.
"""

import functools
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import segno

from shortener.errors import FieldError, Invalid

SIZES = range(64, 4097)  # pixels of the side
BORDERS = range(17)  # modules around the code; ISO/IEC 18004 asks for 4
LEVELS = ("L", "M", "Q", "H")  # about 7, 15, 25, 30 per cent of it may be damaged
# Reflectance of the light modules less that of the dark ones; below it the symbol contrast of
# ISO/IEC 15415 is of grade F.
MIN_CONTRAST = 0.2
TRANSPARENT = "transparent"
KEPT = 256  # codes of a process; a few kB each

Colour = tuple[int, int, int] | None  # red, green, blue (0 to 255); None is transparent
Rows = tuple[tuple[bool, ...], ...]


class Style(NamedTuple):
    """How a QR code looks."""

    size: int = 512  # pixels of the side, margin included
    border: int = 4  # modules of the margin
    dark: Colour = (0, 0, 0)
    light: Colour = (255, 255, 255)
    level: str = "M"  # at least this much error correction; more where it costs no room


def style(wanted: Mapping[str, str]) -> Style:
    """The style that `size`, `border`, `dark`, `light` and `level` ask for; each may be left out.

    Raises `Invalid`, naming the parameter.
    """
    usual = Style()
    level = wanted.get("level", usual.level).upper()
    if level not in LEVELS:
        raise Invalid.field("level", f"must be one of {', '.join(LEVELS)}")
    found = Style(
        _whole(wanted, "size", usual.size, SIZES),
        _whole(wanted, "border", usual.border, BORDERS),
        _colour(wanted, "dark", usual.dark),
        _colour(wanted, "light", usual.light),
        level,
    )
    if not _can_be_read(found.dark, found.light):
        fault = "must differ more in lightness: nobody could read the code"
        fields = FieldError("dark", fault), FieldError("light", fault)
        raise Invalid(f"dark and light: {fault}", fields)
    return found


def svg(text: str, look: Style) -> bytes:
    """An SVG document; its colours are attributes, so that it looks right under any policy."""
    side, rows = _framed(text, look)
    ground = f'<path fill="{_hex(look.light)}" d="M0,0h{side}v{side}H0z"/>' if look.light else ""
    stroke = f'<path stroke="{_hex(look.dark)}" d="{_strokes(rows, look.border)}"/>'
    if look.dark is None:  # the code is cut out of the ground
        ground = ""
        inverse = _inverted(rows, look.border)
        stroke = f'<path stroke="{_hex(look.light)}" d="{_strokes(inverse, 0)}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{look.size}" height="{look.size}"'
        f' viewBox="0 0 {side} {side}" shape-rendering="crispEdges">{ground}{stroke}</svg>\n'
    ).encode()


def png(text: str, look: Style) -> bytes:
    """A PNG with a palette of two colours.

    Raises `Invalid`, naming `size`, when that is not a pixel for each module.
    """
    side, rows = _framed(text, look)
    pixels, rest = divmod(look.size, side)
    if not pixels:
        raise Invalid.field("size", f"must be at least {side}: a pixel for each module")
    before = look.border * pixels + rest // 2
    width = (look.size + 7) // 8  # bytes of a line
    empty = bytes(1 + width)
    lines = [empty] * before
    for row in rows:
        bits = "0" * before + "".join(("1" if dark else "0") * pixels for dark in row)
        line = int(bits.ljust(width * 8, "0"), 2).to_bytes(width, "big")
        lines += [b"\0" + line] * pixels
    lines += [empty] * (look.size - len(lines))
    ground, ink = look.light, look.dark
    palette = bytes(ground or _opposite(ink)) + bytes(ink or _opposite(ground))
    alpha = bytes(255 if colour else 0 for colour in (ground, ink))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">2I5B", look.size, look.size, 1, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette),
            _chunk(b"tRNS", alpha) if b"\0" in alpha else b"",
            _chunk(b"IDAT", zlib.compress(b"".join(lines))),
            _chunk(b"IEND", b""),
        )
    )


@functools.lru_cache(KEPT)
def _modules(text: str, level: str) -> Rows:
    """The modules of the code without margin, true where they are dark."""
    code = segno.make_qr(text, error=level)
    return tuple(tuple(bool(module) for module in row) for row in code.matrix)


def _framed(text: str, look: Style) -> tuple[int, Rows]:
    """The modules, and the side with the margin, in modules."""
    rows = _modules(text, look.level)
    return len(rows) + 2 * look.border, rows


def _inverted(rows: Rows, border: int) -> Rows:
    """Light modules and margin, true where they are light."""
    margin, side = (True,) * border, (True,) * (len(rows) + 2 * border)
    inner = tuple((*margin, *(not dark for dark in row), *margin) for row in rows)
    return (side,) * border + inner + (side,) * border


def _strokes(rows: Rows, border: int) -> str:
    """A path whose strokes, one wide, cover what is true in `rows`."""
    steps, x, y = [], 0.0, 0.0
    for number, row in enumerate(rows):
        for start, length in _runs(row):
            at_x, at_y = start + border, number + border + 0.5
            steps.append(f"m{at_x - x:g},{at_y - y:g}h{length}")
            x, y = at_x + length, at_y
    return "M" + "".join(steps)[1:]


def _runs(row: tuple[bool, ...]) -> Iterator[tuple[int, int]]:
    """Start and length of each stretch of true values."""
    for match in re.finditer("1+", "".join("1" if dark else "0" for dark in row)):
        yield match.start(), match.end() - match.start()


def _chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG (ISO/IEC 15948, 5.3)."""
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _whole(wanted: Mapping[str, str], name: str, usual: int, allowed: range) -> int:
    text = wanted.get(name, str(usual))
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) not in allowed:
        low, high = allowed[0], allowed[-1]
        raise Invalid.field(name, f"must be a whole number from {low} to {high}")
    return int(text)


def _colour(wanted: Mapping[str, str], name: str, usual: Colour) -> Colour:
    """A colour as CSS spells it; the number sign, which URLs have to escape, may be left out."""
    text = wanted.get(name)
    if text is None:
        return usual
    if text == TRANSPARENT:
        return None
    match = re.fullmatch(r"#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})", text)
    if match is None:
        raise Invalid.field(name, f"must be a colour, such as #036 or #003366, or {TRANSPARENT}")
    digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def _hex(colour: Colour) -> str:
    return TRANSPARENT if colour is None else f"#{bytes(colour).hex()}"


def _can_be_read(dark: Colour, light: Colour) -> bool:
    """Whether a reader can tell the two apart; what is behind a transparent one is not known."""
    if dark is None or light is None:
        return dark is not light
    return abs(_reflectance(light) - _reflectance(dark)) >= MIN_CONTRAST


def _opposite(colour: Colour) -> tuple[int, int, int]:
    """What a viewer shows that knows no transparency: black or white, to be told from `colour`."""
    return (255, 255, 255) if colour and _reflectance(colour) < 0.5 else (0, 0, 0)


def _reflectance(colour: tuple[int, int, int]) -> float:
    """From 0 (black) to 1 (white): the relative luminance of WCAG 2."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
