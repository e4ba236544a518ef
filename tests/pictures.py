"""Reads QR codes: PNG as it is, SVG drawn first, by a library that had no part in making them."""

import io
import re
from xml.etree import ElementTree

import zxingcpp
from PIL import Image, ImageDraw

GROUND = "#ffffff"  # what lies behind a transparent picture
SCALE = 8  # pixels of an SVG's unit
SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]


def read(content: bytes, ground: str = GROUND) -> str:
    """The text of the QR code in a picture."""
    return str(find(content, ground).text)


def find(content: bytes, ground: str = GROUND) -> zxingcpp.Barcode:
    """The QR code in a picture."""
    found = zxingcpp.read_barcode(draw(content, ground), formats=zxingcpp.BarcodeFormat.QRCode)
    assert found is not None, "nothing to read in it"
    return found


def draw(content: bytes, ground: str = GROUND) -> Image.Image:
    """A picture on a ground."""
    if not content.startswith(b"<svg"):
        picture = Image.open(io.BytesIO(content)).convert("RGBA")
        behind = Image.new("RGBA", picture.size, ground)
        return Image.alpha_composite(behind, picture).convert("RGB")
    root = ElementTree.fromstring(content)  # noqa: S314 - it is ours
    side = int(root.attrib["viewBox"].split()[2]) * SCALE
    drawn = Image.new("RGB", (side, side), ground)
    pencil = ImageDraw.Draw(drawn)
    for path in root.iter(f"{SVG}path"):
        colour = path.get("stroke") or path.attrib["fill"]
        for left, top, right, bottom in _boxes(path):
            corners = [left * SCALE, top * SCALE, right * SCALE - 1, bottom * SCALE - 1]
            pencil.rectangle(corners, fill=colour)
    return drawn


def _boxes(path: ElementTree.Element) -> list[Box]:
    """What a path covers: strokes of width 1, or the one rectangle that it fills."""
    steps = re.findall(r"([MmhvHz])([-\d.]*)(?:,([-\d.]+))?", path.attrib["d"])
    if "fill" in path.attrib:
        width = next(float(length) for kind, length, _ in steps if kind == "h")
        return [(0, 0, width, width)]
    found, x, y = [], 0.0, 0.0
    for kind, first, second in steps:
        if kind == "h":
            found.append((x, y - 0.5, x + float(first), y + 0.5))
            x += float(first)
        elif kind == "M":
            x, y = float(first), float(second)
        else:
            x, y = x + float(first), y + float(second)
    return found
