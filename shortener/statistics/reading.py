"""What an answer is made of, read in one step: it adds up, whatever is counted meanwhile.

Of a hash that has many cells those that are needed are asked for, where these are few.
"""

from collections.abc import Iterable, Mapping

import msgspec
import redis

from shortener.statistics.cells import BOTS, PEOPLE, REPEATS

MOST = 170  # cells asked for by name; if there are more, the whole hash is read

Hashes = Mapping[str, Mapping[bytes, bytes]]

_integers = msgspec.json.Decoder(list[int]).decode


class Reading:
    """What has to be read."""

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._cells: dict[str, set[int]] = {}

    def whole(self, key: str) -> None:
        """All of a hash."""
        self._whole.add(key)

    def cells(self, key: str, people: Iterable[int]) -> None:
        """Cells of a hash, by their fields of people; perhaps others are found as well."""
        self._cells.setdefault(key, set()).update(people)

    def read(self, store: redis.Redis) -> Hashes:
        """All of it as it is at one moment."""
        many = {key for key, cells in self._cells.items() if len(cells) > MOST}
        whole = list(self._whole | many)
        some = {
            key: [b"%d" % (cell + kind) for cell in cells for kind in (PEOPLE, BOTS, REPEATS)]
            for key, cells in self._cells.items()
            if key not in whole
        }
        pipeline = store.pipeline(transaction=True)
        for key in whole:
            pipeline.hgetall(key)
        for key, fields in some.items():
            pipeline.hmget(key, fields)
        answers = iter(pipeline.execute())
        found = {key: next(answers) for key in whole}
        for key, fields in some.items():
            pairs = zip(fields, next(answers), strict=True)
            found[key] = {field: count for field, count in pairs if count is not None}
        return found


def integers(texts: Iterable[bytes]) -> list[int]:
    """What whole numbers say, five times as fast as one by one."""
    return _integers(b"[" + b",".join(texts) + b"]")
