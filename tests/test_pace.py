"""The pace of counting: when clicks that wait are counted."""

import time

import pytest

from shortener.counting import pace as module
from shortener.counting.pace import AT_ONCE, BUSY, FEW, GATHER, MOST, STAND_BACK, Pace, patience
from shortener.flag import Flag
from shortener.segments import READ_BYTES

IDLE, NO_TIME = BUSY + 0.01, BUSY - 0.01


@pytest.mark.parametrize(
    ("waiting", "idle", "seconds"),
    [
        (0, IDLE, 0.0),
        (0, NO_TIME, 0.0),
        (FEW, IDLE, 0.0),
        (FEW, NO_TIME, 0.0),  # a quiet site's clicks, beside whatever takes the machine
        (FEW + 1, IDLE, GATHER),
        (FEW + 1, NO_TIME, STAND_BACK),
        (READ_BYTES - 1, IDLE, GATHER),
        (READ_BYTES, IDLE, 0.0),
        (READ_BYTES, NO_TIME, STAND_BACK),
        (MOST - 1, NO_TIME, STAND_BACK),
        (MOST, NO_TIME, 0.0),  # more shall not wait
    ],
)
def test_clicks_wait_for_company_and_for_processors_that_have_time(
    waiting: int, idle: float, seconds: float
) -> None:
    """A full batch is counted at once, less gathers for a second, a few clicks do not wait at all;
    without time on the processors all but a few wait, until very many do."""
    assert patience(waiting, idle) == seconds


def test_a_short_limit_of_the_journals_lets_fewer_clicks_wait() -> None:
    """What waits is a small part of what the journals may hold: at their limit clicks are lost."""
    pace, limit = Pace(16 * 1024 * 1024), 1024 * 1024
    assert patience(limit - 1, NO_TIME, pace.batch, pace.most) == STAND_BACK
    assert patience(limit, NO_TIME, pace.batch, pace.most) == 0.0


def test_what_takes_long_is_counted_in_smaller_batches() -> None:
    """A batch takes less than a second, whatever its clicks cost, as long as that is a few clicks;
    it grows again by and by.  A batch that is not full and takes no time says nothing."""
    pace, longer, shorter = Pace(MOST), 2 * AT_ONCE, AT_ONCE / 100
    sizes = []
    for size, seconds in (
        (READ_BYTES, longer),  # halved
        (READ_BYTES // 4, longer),  # less than full, and too much
        (READ_BYTES // 16, AT_ONCE / 2),  # less than full
        (1_000, shorter),
        (READ_BYTES // 8, shorter),  # full: doubled
        (READ_BYTES // 4 - 1, shorter),  # full: a record more would not have fitted
        (READ_BYTES // 2, shorter),
        (READ_BYTES, shorter),
        (READ_BYTES, 1_000 * AT_ONCE),
    ):
        pace.took(size, seconds)
        sizes.append(READ_BYTES // pace.batch)
    assert sizes == [2, 8, 8, 8, 4, 2, 1, 1, READ_BYTES // FEW]


def test_whether_it_is_time_is_asked_of_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full batch is counted when they are idle, and as long as they were a moment ago; it waits
    when they are not, but for as much as shall not wait."""
    pace, stop = Pace(16 * MOST), Flag()
    monkeypatch.setattr(module, "_idle", lambda: 0.0)
    assert not pace.rest(stop, lambda: READ_BYTES)
    assert not pace.rest(stop, lambda: READ_BYTES)
    assert pace.rest(stop, lambda: MOST)
    assert pace.rest(stop, lambda: FEW)
    monkeypatch.setattr(module, "_idle", time.monotonic)
    assert not pace.rest(stop, lambda: READ_BYTES - 1)
    assert pace.rest(stop, lambda: READ_BYTES)
    monkeypatch.setattr(module, "_idle", lambda: 0.0)
    assert pace.rest(stop, lambda: READ_BYTES)


def test_a_stop_is_not_waited_for() -> None:
    """Whoever is stopped rests no longer."""
    stop = Flag()
    stop.set()
    assert Pace(MOST).rest(stop, lambda: 0)
