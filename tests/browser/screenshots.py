"""Pictures of every page: `make screenshots`.  Three are kept for the README, in `docs/`."""

import re
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests import demo
from tests.browser.people import PAGES, chromium, room, sign_in
from tests.harness import Server

FOLDER = Path("screenshots")
KEPT = {  # in `docs/`: the page, the scheme and the width
    "overview-light.png": ("/-/", "light", 1280),
    "link-dark.png": ("/-/links/wdf98", "dark", 1280),
    "links-phone.png": ("/-/links", "light", 360),
}
SIZES = ((360, 800), (1280, 900), (1600, 1000))


def main() -> None:
    """Take them all."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        own = Server(Path(scratch) / "data", WORKERS="1", BASE_URL="http://arab.news").start()
        demo.fill(own)
        for scheme in ("light", "dark"):
            for width, height in SIZES:
                viewport = {"width": width, "height": height}
                with room(browser, own, color_scheme=scheme, viewport=viewport) as context:
                    page = sign_in(context, own.key)
                    for path in PAGES:
                        page.goto(path)
                        page.wait_for_timeout(200)
                        name = re.sub(r"[^a-z0-9]+", "-", path.strip("/-")) or "overview"
                        picture = FOLDER / f"{name}-{scheme}-{width}.png"
                        page.screenshot(path=picture, full_page=True)
                        for kept, wanted in KEPT.items():
                            if wanted == (path, scheme, width):
                                keep(page.screenshot(path=picture), kept)
            sys.stderr.write(f"{scheme}: {len(PAGES) * len(SIZES)} pictures\n")
        own.stop()


def keep(picture: bytes, name: str) -> None:
    """A picture for the README, with fewer colours."""
    file = FOLDER / "kept.png"
    file.write_bytes(picture)
    small = Image.open(file).convert("RGB").quantize(128)
    small.save(Path("docs") / name, optimize=True)
    file.unlink()


if __name__ == "__main__":
    main()
