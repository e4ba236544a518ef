"""The shared counters: nothing is lost, nothing doubled, and files do not pile up."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shortener.gauges import BATCH, REDIRECT_LATENCY, REQUESTS, Counters, clear, read_all

REDIRECTS = REQUESTS["redirect"][302]
ADD = """
import sys
from pathlib import Path
from shortener.gauges import REQUESTS, Counters
counters = Counters(Path(sys.argv[1]))
counters.add(REQUESTS["redirect"][302], int(sys.argv[2]))
print("added", flush=True)
sys.stdin.read()
"""


def adding(directory: Path, times: int) -> "subprocess.Popen[str]":
    """A process that has added so often, and lives until its input ends."""
    command = [sys.executable, "-c", ADD, str(directory), str(times)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "added\n"
    return process


def test_processes_add_up_the_dead_included(tmp_path: Path) -> None:
    """What a process counted stays when it is killed, and its file goes."""
    first, second = adding(tmp_path, 3), adding(tmp_path, 4)
    own = Counters(tmp_path)
    own.add(REDIRECTS, 5)
    assert read_all(tmp_path)["redirect_302"] == 12
    assert len(list(tmp_path.glob("*.counters"))) == 3
    for process in (first, second):
        process.kill()
        process.communicate()
    for _ in range(3):
        assert read_all(tmp_path)["redirect_302"] == 12
    assert len(list(tmp_path.glob("*.counters"))) == 1
    own.add(REDIRECTS)
    assert own.read()["redirect_302"] == 13


def test_a_reader_killed_at_work_doubles_nothing(tmp_path: Path) -> None:
    """A dead process's file that is in the sums already, but still there, counts once."""
    process = adding(tmp_path, 7)
    process.kill()
    process.communicate()
    (file,) = tmp_path.glob("*.counters")
    kept = file.read_bytes()
    assert read_all(tmp_path)["redirect_302"] == 7
    file.write_bytes(kept)
    assert read_all(tmp_path)["redirect_302"] == 7
    assert not file.exists()


def test_threads_lose_no_addition(tmp_path: Path) -> None:
    """Eight threads add to one slot without a lock, and change as often as they can."""
    counters = Counters(tmp_path)

    def add() -> None:
        for _ in range(100_000):
            counters.add(REDIRECTS)

    threads = [threading.Thread(target=add) for _ in range(8)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert counters.read()["redirect_302"] == 800_000


FORK = """
import os, sys
from pathlib import Path
from shortener.gauges import REQUESTS, Counters
counters = Counters(Path(sys.argv[1]))
counters.add(REQUESTS["redirect"][302])
child = os.fork()
counters.add(REQUESTS["redirect"][302], 2)
if child:
    os.waitpid(child, 0)
    print(len(list(Path(sys.argv[1]).glob("*.counters"))), counters.read()["redirect_302"])
"""


def test_a_fork_counts_in_a_file_of_its_own(tmp_path: Path) -> None:
    """Parent and child never add to the same memory."""
    said = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["2", "5"]


def test_a_start_begins_at_zero(tmp_path: Path) -> None:
    """Nothing is left of what was counted before."""
    process = adding(tmp_path, 1)
    process.kill()
    process.communicate()
    assert read_all(tmp_path)["redirect_302"] == 1
    clear(tmp_path)
    assert not tmp_path.exists()
    assert set(read_all(tmp_path).values()) == {0}


def test_without_a_directory_nothing_fails(tmp_path: Path) -> None:
    """Counting goes on for the process alone; it never costs an answer."""
    (tmp_path / "file").touch()
    counters = Counters(tmp_path / "file")
    counters.add(REDIRECTS)
    counters.observe(BATCH, 3)
    assert set(counters.read().values()) == {0}


def test_a_directory_that_leads_elsewhere_is_not_used(tmp_path: Path) -> None:
    """Somebody else may have put a link in its place."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").symlink_to(tmp_path / "theirs")
    counters = Counters(tmp_path / "ours")
    counters.add(REDIRECTS)
    assert list((tmp_path / "theirs").iterdir()) == []
    assert set(counters.read().values()) == {0}


@pytest.mark.parametrize(
    ("value", "name"),
    [(0, "100"), (100, "100"), (101, "250"), (2_500_000, "2500000"), (2_500_001, "more")],
)
def test_a_value_counts_under_the_first_bound_that_holds_it(
    tmp_path: Path, value: int, name: str
) -> None:
    """Bounds are inclusive, as Prometheus has them; what is above all of them is kept, too."""
    counters = Counters(tmp_path)
    counters.observe(REDIRECT_LATENCY, value)
    found = {name: count for name, count in counters.read().items() if count}
    assert found.pop("redirect_latency_sum", 0) == value
    assert found == {f"redirect_latency_{name}": 1}


def test_an_unheard_of_status_has_a_place(tmp_path: Path) -> None:
    """No status fails; those without a slot share one."""
    counters = Counters(tmp_path)
    for status in (200, 418, 507):
        counters.count("api", status)
    assert {name: n for name, n in counters.read().items() if n} == {"api_200": 1, "api_0": 2}


def test_a_child_that_only_starts_a_program_costs_no_file(tmp_path: Path) -> None:
    """A file is made at the first addition, not by a fork."""
    counters = Counters(tmp_path)
    counters.add(REDIRECTS)
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(tmp_path.glob("*.counters"))) == 1
