"""QR codes: what the API draws, a reader reads."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from PIL import Image

from tests import pictures
from tests.harness import Server
from tests.pictures import GROUND

NewServer = Callable[..., Server]

FORMATS = ("svg", "png")


def ask(server: Server, code: str, **style: Any) -> httpx.Response:
    """The QR code of a link."""
    return server.api("GET", f"/links/{code}/qr", params=style)


def read(answer: httpx.Response, ground: str = GROUND) -> str:
    """What a reader of QR codes finds in an answer."""
    assert answer.status_code == 200, answer.text
    return pictures.read(answer.content, ground)


STYLES: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "small": {"size": 64},
    "large": {"size": 4096},
    "an odd size": {"size": 331},
    "a wide border": {"border": 16},
    "the strongest": {"level": "H"},
    "the weakest": {"level": "L"},
    "a level in lower case": {"level": "q"},
    "colours": {"dark": "#0f6d64", "light": "#fbfaf7"},
    "short colours": {"dark": "#036", "light": "#FFC"},
    "colours without a number sign": {"dark": "003366", "light": "ff8"},
    "little contrast": {"dark": "#444", "light": "#999"},
    "light on dark": {"dark": "#fff", "light": "#000"},
    "a transparent ground": {"light": "transparent"},
    "colour on a transparent ground": {"dark": "#0f6d64", "light": "transparent"},
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_a_code_is_read_as_the_short_url(server: Server, style: dict[str, Any], kind: str) -> None:
    """In every style, in both formats."""
    link = server.make_link()
    assert read(ask(server, link["code"], format=kind, **style)) == link["short_url"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_code_may_be_cut_out(server: Server, kind: str) -> None:
    """With `dark=transparent` the light part is drawn, and what is behind shows through."""
    link = server.make_link()
    colours = {"dark": "transparent", "light": "#ffe"}
    answer = ask(server, link["code"], format=kind, size=330, **colours)
    assert read(answer, ground="#402000") == link["short_url"]
    assert corners(answer, "#402000") == ((0xFF, 0xFF, 0xEE), (0x40, 0x20, 0x00))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_transparent_ground_shows_what_is_behind(server: Server, kind: str) -> None:
    """In the margin too; the code itself is opaque."""
    code = server.make_link()["code"]
    answer = ask(server, code, format=kind, size=330, dark="#036", light="transparent")
    assert corners(answer, "#fedcba") == ((0xFE, 0xDC, 0xBA), (0x00, 0x33, 0x66))


def corners(answer: httpx.Response, ground: str) -> tuple[Any, Any]:
    """The colours of the margin and of the first module of a picture of the usual border."""
    picture = pictures.draw(answer.content, ground)
    inner = picture.width * 4 // 33 + 3
    return picture.getpixel((0, 0)), picture.getpixel((inner, inner))


def test_more_correction_takes_more_room(server: Server) -> None:
    """A reader tells the level that was asked for, or a better one that cost no room."""
    code, order = server.make_link()["code"], "LMQH"
    answers = [ask(server, code, level=level).content for level in order]
    levels = [order.index(pictures.find(answer).ec_level) for answer in answers]
    assert all(found >= asked for asked, found in enumerate(levels))
    assert pictures.draw(answers[0]).width < pictures.draw(answers[-1]).width


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("border", [0, 1, 4])
def test_the_border_is_so_many_modules(server: Server, border: int, kind: str) -> None:
    """Light all around; a border of 0 has the dark corner in the corner."""
    answer = ask(server, server.make_link()["code"], format=kind, border=border, size=(25 + 8) * 10)
    picture = pictures.draw(answer.content)
    pixels = picture.width // (25 + 2 * border)
    margin = border * pixels + (picture.width % (25 + 2 * border)) // 2
    assert picture.getpixel((margin, margin)) == (0, 0, 0)
    if margin:
        assert picture.getpixel((margin - 1, margin - 1)) == (255, 255, 255)


@pytest.mark.parametrize("alias", ["قمة-الرياض", "例え", "hauptstraße", "ñandú", "हिन्दी", "ق" * 64])
def test_aliases_of_all_scripts_are_read(server: Server, alias: str) -> None:
    """The code carries the short URL as the API spells it, percent-encoded, up to the longest."""
    link = server.make_link(code=alias)
    assert link["short_url"].isascii()
    for kind in FORMATS:
        assert read(ask(server, link["code"], format=kind, level="H")) == link["short_url"]


@pytest.mark.parametrize("size", [64, 100, 512, 1000, 4096])
def test_a_picture_has_exactly_its_size(server: Server, size: int) -> None:
    """`size` is the side in pixels; the modules of a PNG are sharp, whatever is left over."""
    code = server.make_link()["code"]
    picture = Image.open(io.BytesIO(ask(server, code, format="png", size=size).content))
    assert picture.size == (size, size)
    assert {colour for _, colour in picture.convert("RGB").getcolors()} == {
        (0, 0, 0),
        (255, 255, 255),
    }
    root = ElementTree.fromstring(ask(server, code, size=size).content)  # noqa: S314 - it is ours
    assert (root.get("width"), root.get("height")) == (str(size), str(size))


@pytest.mark.parametrize("size", [64, 99, 512, 1001])
def test_a_png_has_every_line(server: Server, size: int) -> None:
    """Chunk by chunk: their checksums hold, and there are so many lines of so many bits."""
    content = ask(server, server.make_link()["code"], format="png", size=size).content
    chunks, at = {}, 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", content, at + 8 + length) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert len(zlib.decompress(chunks[b"IDAT"])) == size * (1 + (size + 7) // 8)


def test_it_is_an_svg_unless_asked_otherwise(server: Server) -> None:
    """512 pixels wide, black on white, with four modules around."""
    answer = ask(server, server.make_link()["code"])
    assert answer.headers["content-type"].partition(";")[0] == "image/svg+xml"
    root = ElementTree.fromstring(answer.content)  # noqa: S314 - it is ours
    assert (root.get("width"), root.get("viewBox")) == ("512", "0 0 33 33")
    assert [path.get("fill") or path.get("stroke") for path in root] == ["#ffffff", "#000000"]


def test_a_link_of_another_domain_is_asked_for_with_it(new_server: NewServer) -> None:
    """`?domain=` tells two links of one code apart, and each code carries its own domain."""
    server = new_server(BASE_URL="https://arab.news", DOMAINS="go.example", WORKERS="1").start()
    for more in ({}, {"domain": "go.example"}):
        link = server.make_link(code="both", **more)
        assert read(ask(server, "both", **more)) == link["short_url"]
    assert ask(server, "both", domain="evil.example").status_code == 422


def test_an_unchanged_picture_is_not_sent_again(server: Server) -> None:
    """`If-None-Match` with the `ETag` is 304; another style is another picture."""
    code = server.make_link()["code"]
    first, other = ask(server, code), ask(server, code, size=600)
    assert first.headers["etag"] != other.headers["etag"]
    assert {"private", "no-cache"} == set(first.headers["cache-control"].split(", "))
    headers = {"If-None-Match": first.headers["etag"]}
    again = server.api("GET", f"/links/{code}/qr", headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    changed = server.api("GET", f"/links/{code}/qr?size=600", headers=headers)
    assert changed.status_code == 200


WRONG = [
    ("format", "gif"),
    ("format", "SVG"),
    ("format", ""),
    ("size", "63"),
    ("size", "4097"),
    ("size", "-64"),
    ("size", "64.5"),
    ("size", "1e3"),
    ("size", ""),
    ("size", "9" * 400),
    ("size", "٦٤"),
    ("border", "17"),
    ("border", "-1"),
    ("border", "x"),
    ("level", "X"),
    ("level", ""),
    ("level", "LM"),
    ("dark", "red"),
    ("dark", "#12345"),
    ("dark", "#12345g"),
    ("dark", ""),
    ("light", '"/><script>'),
    ("light", "url(//evil.example)"),
    ("light", "#0000"),
    ("dark", "#fff"),  # on white
    ("light", "#222"),  # under black
    ("colour", "#000"),
    ("micro", "true"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_wrong_parameter_is_named(server: Server, name: str, value: str, kind: str) -> None:
    """422 with the parameter in `errors`; colours that nobody could tell apart name both."""
    answer = ask(server, server.make_link()["code"], **({"format": kind} | {name: value}))
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert name in [error["field"] for error in answer.json()["errors"]]


def test_two_transparent_colours_are_refused(server: Server) -> None:
    """There would be nothing to see."""
    answer = ask(server, server.make_link()["code"], dark="transparent", light="transparent")
    assert answer.status_code == 422


def test_a_picture_that_is_too_small_says_what_it_needs(server: Server) -> None:
    """A PNG needs a pixel for each module; as SVG the same size is fine."""
    code = server.make_link(code="qr" * 32)["code"]
    small = {"size": 64, "border": 16, "level": "H"}
    answer = ask(server, code, format="png", **small)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "size"
    needed = int(re.findall(r"\d+", error["message"])[0])
    assert ask(server, code, format="png", **(small | {"size": needed})).status_code == 200
    assert ask(server, code, format="png", **(small | {"size": needed - 1})).status_code == 422
    assert ask(server, code, **small).status_code == 200


@pytest.mark.parametrize(
    ("scopes", "status"), [(["links:read"], 200), (["links:write"], 200), (["stats:read"], 403)]
)
def test_it_needs_a_key_that_may_read_links(server: Server, scopes: list[str], status: int) -> None:
    """`links:read`; without a key it is 401, and an unknown link is 404."""
    code = server.make_link()["code"]
    key = server.api("POST", "/keys", json={"name": "reader", "scopes": scopes}).json()["key"]
    path = f"/api/v1/links/{code}/qr"
    answer = server.http.get(path, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == status
    assert server.http.get(path).status_code == 401
    assert ask(server, "nothere").status_code == 404
