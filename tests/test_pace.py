"""The pace of counting: when clicks that wait are counted."""

from pathlib import Path

import pytest

from shortener.counting import pace as module
from shortener.counting.pace import (
    AT_ONCE,
    BUSY,
    FEW,
    FEW_EACH,
    GATHER,
    GLANCE,
    LONG_LOOK,
    MOST,
    POLL,
    STAND_BACK,
    Pace,
    patience,
)
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
    pace, stop, idle = Pace(16 * MOST), Flag(), [NO_TIME]
    monkeypatch.setattr(module, "_idle_within", lambda _stop, _seconds: idle[0])
    assert pace.rest(stop, lambda: READ_BYTES) == 0
    assert pace.rest(stop, lambda: READ_BYTES) == 0
    assert pace.rest(stop, lambda: MOST) == READ_BYTES
    assert pace.rest(stop, lambda: READ_BYTES) == 0
    idle[0] = IDLE
    assert pace.rest(stop, lambda: READ_BYTES - 1) == 0
    assert pace.rest(stop, lambda: READ_BYTES) == READ_BYTES
    idle[0] = NO_TIME
    assert pace.rest(stop, lambda: READ_BYTES) == READ_BYTES


def test_what_shall_not_wait_is_counted_without_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """When very much waits, batch follows batch, whatever the processors have to do; what gathers
    afterwards waits as long as ever."""
    pace, stop, now = Pace(16 * MOST), Flag(), [1.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "_idle_within", lambda _stop, _seconds: NO_TIME)
    assert pace.rest(stop, lambda: READ_BYTES) == 0
    with monkeypatch.context() as without:
        without.delattr(module, "_idle_within")
        assert [pace.rest(stop, lambda: MOST) for _ in range(3)] == [READ_BYTES] * 3
    counted = []
    for now[0] in (STAND_BACK + 1, 2 * STAND_BACK, 2 * STAND_BACK + 1):
        counted.append(pace.rest(stop, lambda: READ_BYTES))
    assert counted == [0, 0, READ_BYTES]


@pytest.mark.parametrize("idle", [IDLE, NO_TIME])
def test_few_clicks_do_not_bring_many_along(monkeypatch: pytest.MonkeyPatch, idle: float) -> None:
    """Where few wait, few are counted: at the beginning of a rush a batch would take what has come
    by the time it is read."""
    monkeypatch.setattr(module, "_idle_within", lambda _stop, _seconds: idle)
    pace, stop = Pace(16 * MOST), Flag()
    assert pace.rest(stop, lambda: FEW) == FEW_EACH < FEW
    assert pace.rest(stop, lambda: FEW + 1) == 0


def test_processors_without_time_are_looked_at_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One short look does not tell processors that have time from those that nearly have; they are
    looked at shortly again once they had some, or when few clicks wait."""
    looks: list[tuple[float, int, float]] = [  # idle, bytes that wait, seconds of the look
        (NO_TIME, FEW, POLL),
        (NO_TIME, FEW + 1, POLL),
        (NO_TIME, READ_BYTES, LONG_LOOK),
        (NO_TIME, READ_BYTES, LONG_LOOK),
        (IDLE, READ_BYTES - 1, LONG_LOOK),
        (NO_TIME, READ_BYTES, POLL),
        (NO_TIME, FEW, LONG_LOOK),
        (IDLE, FEW, POLL),
        (IDLE, READ_BYTES, GLANCE),
    ]
    pace, stop, seen = Pace(16 * MOST), Flag(), []
    for idle, waiting, _ in looks:

        def look(_stop: Flag, seconds: float, idle: float = idle) -> float:
            seen.append(seconds)
            return idle

        monkeypatch.setattr(module, "_idle_within", look)
        pace.rest(stop, lambda waiting=waiting: waiting)  # type: ignore[misc]
    assert seen == [seconds for _, _, seconds in looks]


def test_how_idle_processors_are_is_what_the_kernel_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Idle and waiting for a disk, of all processors, in a stretch of time; where nobody says, one
    of them is idle."""
    told = tmp_path / "stat"
    monkeypatch.setattr(module, "_STAT", told)
    told.write_text("cpu  1 2 3 400 50 6 7 8 9 10\ncpu0 1 2 3 400 50 6 7 8 9 10\n")
    assert module._idle() == 450 / module._TICKS
    assert module._idle_within(Flag(), 0.01) == 0.0
    told.unlink()
    assert module._idle_within(Flag(), 0.01) > IDLE


def test_a_stop_is_not_waited_for() -> None:
    """Whoever is stopped rests no longer."""
    stop = Flag()
    stop.set()
    assert Pace(MOST).rest(stop, lambda: 0)
