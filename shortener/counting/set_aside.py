"""What is set aside: clicks that a bucket's script fails on, and bytes of a journal that are none.

Neither is counted, and neither may hold up what comes behind.  So a script may fail once on the
same clicks; then they are written to a file, for an operator to look at, and stepped over.
"""

import logging
from collections import defaultdict
from pathlib import Path

import msgspec

from shortener.counting.marks import Mark
from shortener.journal import Click

FAILURES = 2  # times that a script may fail on the same clicks before they are set aside

log = logging.getLogger(__name__)


class SetAside:
    """The folder, and who has failed how often."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "set-aside"
        self._failures: dict[tuple[str, str, Mark], int] = defaultdict(int)

    def has_failed_often(self, journal: str, bucket: str, mark: Mark, failure: str) -> bool:
        """Note a failure; whether it is time to step over these clicks."""
        log.error("bucket %s refused clicks of %s at %s: %s", bucket, journal, mark, failure)
        self._failures[journal, bucket, mark] += 1
        return self._failures[journal, bucket, mark] >= FAILURES

    def has_worked(self, journal: str, bucket: str, mark: Mark) -> None:
        """Forget failures there."""
        if self._failures:
            self._failures.pop((journal, bucket, mark), None)

    def clicks(self, journal: str, bucket: str, mark: Mark, clicks: list[Click]) -> None:
        """Keep clicks that are not counted in a bucket."""
        place = f"{mark.offset:020d}" + (f".{mark.done}" if mark.done else "")
        self._keep(f"{journal}.{place}.{bucket}.json", msgspec.json.encode(clicks))

    def damage(self, journal: str, mark: Mark, data: bytes) -> None:
        """Keep what is no click."""
        self._keep(f"{journal}.{mark.offset:020d}.damaged", data)

    def _keep(self, name: str, data: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            (self._folder / name).write_bytes(data)
        except OSError as error:
            log.error("cannot set %s aside: %s", name, error)  # noqa: TRY400 - one line
