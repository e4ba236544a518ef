"""What the aggregator reports of itself: a file in the data directory, rewritten every second."""

from pathlib import Path

import msgspec

from shortener.decoders import decoder

FILE = "aggregator.json"
MAX_SILENCE = 10.0  # seconds without a sign of life


class Status(msgspec.Struct):
    """What `/-/ready` and `shortener check` know of the aggregator; counts are since its start."""

    at: float = 0.0  # seconds since 1970: when it was last alive
    store: bool = True  # whether the store answers
    lag: int = 0  # bytes of journals not applied yet
    applied: int = 0  # clicks
    replayed: int = 0  # times that the store went back and journals were read again
    lost: int = 0  # clicks, at most, that the store forgot and no journal holds any more
    refused: int = 0  # increments that a cell refused
    set_aside: int = 0  # clicks in batches that failed twice
    damaged: int = 0  # bytes in journals that were no records
    dropped: int = 0  # clicks that workers could not write down


def is_alive(status: Status | None, now: float) -> bool:
    """Whether an aggregator that wrote this lives, as far as can be told."""
    return status is not None and abs(now - status.at) <= MAX_SILENCE


def read_status(data_dir: Path) -> Status | None:
    """The last status an aggregator wrote on this host."""
    try:
        return decoder(Status).decode((data_dir / FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None


def write_status(data_dir: Path, status: Status) -> None:
    """Replace the file in one step.  Raises `OSError`."""
    scratch = data_dir / "aggregator.tmp"
    scratch.write_bytes(msgspec.json.encode(status))
    scratch.replace(data_dir / FILE)
