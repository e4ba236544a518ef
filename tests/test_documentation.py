"""What the README repeats is what the code says."""

import re
from pathlib import Path

import pytest

from shortener.config import SETTINGS
from shortener.errors import PROBLEMS
from shortener.statistics.visits import DIMENSIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table whose head is `heading`."""
    lines = README[README.index(heading) :].splitlines()[2:]
    table = lines[: next((n for n, line in enumerate(lines) if not line.startswith("|")), None)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def test_the_settings_are_the_ones_there_are() -> None:
    """Name, default and meaning of every setting, in the order of the code."""
    wanted = [
        [f"`SHORTENER_{s.name}`", f"`{s.default}`" if s.default else "", s.meaning]
        for s in SETTINGS
    ]
    assert rows("| name | default | meaning |") == wanted


def test_the_errors_are_the_ones_there_are() -> None:
    """Slug, status and meaning of every problem."""
    wanted = [[f"`{p.slug}`", str(p.status), p.meaning] for p in PROBLEMS]
    assert rows("| error | status | meaning |") == wanted


def test_the_dimensions_are_the_ones_there_are() -> None:
    """Name, what is said of clicks without, how many labels are kept, and what they are."""
    wanted = [[f"`{d.name}`", f"`{d.missing}`", str(d.kept), d.meaning] for d in DIMENSIONS]
    assert rows("| dimension | missing | kept | label |") == wanted


def test_the_tests_that_show_the_guarantees_exist() -> None:
    """Every test the README names is there."""
    named = set(re.findall(r"`(test_\w+)`", README))
    assert named
    written = "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    assert {name for name in named if f"def {name}(" not in written} == set()


@pytest.mark.parametrize("path", re.findall(r"`((?:shortener/|web/)?[a-z_/]+\.py)`", README))
def test_the_files_it_names_exist(path: str) -> None:
    """Files of the package may be named without its folder."""
    assert (ROOT / path).exists() or (ROOT / "shortener" / path).exists()


def test_every_test_states_a_behaviour() -> None:
    """A test without a docstring says nothing when it fails."""
    for path in (ROOT / "tests").glob("test_*.py"):
        for name, docstring in re.findall(
            r"^def (test_\w+)\([^)]*\)[^:]*:\n\s+(\S+)", path.read_text(), re.MULTILINE
        ):
            assert docstring.startswith('"""'), f"{path.name}: {name}"
