"""msgspec's decoders, each made by one thread at a time.

msgspec (0.22) reads a class when it is first decoded into.  A second thread that comes meanwhile
finds it half read, and the process is killed by a segmentation fault: in an office that begins
under load, two of its first requests.
"""

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_made: dict[object, "msgspec.json.Decoder[Any]"] = {}
_making = threading.Lock()


def decoder(kind: type[T]) -> "msgspec.json.Decoder[T]":
    """The decoder of JSON for a type; from then on `msgspec.convert` knows it, too."""
    found = _made.get(kind)
    if found is None:
        with _making:
            found = _made[kind] = msgspec.json.Decoder(kind)
    return found
