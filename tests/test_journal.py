"""The click journal: what was written is read, whatever happened to the end of it."""

import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from shortener import journal as journals
from shortener.journal import Click, Journal, beginning, encode, frame, part
from shortener.segments import HeldJournal, held_journals
from shortener.web import visitor as visits
from shortener.web.visitor import said
from tests.harness import Server, environment, eventually
from tests.talk import follow_many

NewServer = Callable[..., Server]
MEGABYTE = 1 << 20


def clicks_of(count: int, code: str = "code") -> list[Click]:
    return [
        Click(1_795_000_000_000 + n, 1 + n, code, (), "192.0.2.1", "agent", "", "")
        for n in range(count)
    ]


def read_all(held: HeldJournal, alive: bool) -> tuple[list[Click], int]:
    """Every click from the beginning, and how many bytes were damaged."""
    clicks: list[Click] = []
    offset, damaged = held.start, 0
    while (batch := held.read(offset, alive)).end != offset:
        clicks += batch.clicks
        offset, damaged = batch.end, damaged + len(batch.damaged)
    return clicks, damaged


def frame_of(clicks: list[Click]) -> bytes:
    return frame([encode(click) for click in clicks])


def written(directory: Path, clicks: list[Click], together: int = 1) -> Path:
    """The one segment of a journal, whose worker is gone, with these clicks, so many together."""
    journal = Journal(directory, "host", "never", MEGABYTE << 10)
    for first in range(0, len(clicks), together):
        journal.append(clicks[first : first + together])
    journal.close()
    (segment,) = directory.glob("*.clicks")
    return segment


def held(directory: Path) -> HeldJournal:
    (found,) = held_journals(directory)
    return found


texts = st.text(max_size=80)


@given(
    st.builds(
        Click,
        at=st.integers(0, 1 << 45),
        number=st.integers(1, 1 << 53),
        name=texts,
        tags=st.lists(texts, max_size=3).map(tuple),
        address=texts,
        agent=texts,
        referrer=texts,
        language=texts,
        utm=st.tuples(texts, texts, texts),
        private=st.booleans(),
    )
)
def test_a_click_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, click: Click
) -> None:
    """Every field of a record comes back."""
    directory = tmp_path_factory.mktemp("journal")
    written(directory, [click])
    assert read_all(held(directory), alive=False) == ([click], 0)


@given(st.integers(0, 2_000), st.binary(max_size=60))
def test_a_torn_end_costs_nothing_in_front_of_it(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    """Cut anywhere and followed by anything, whole records in front of the cut are read."""
    directory = tmp_path_factory.mktemp("journal")
    clicks = clicks_of(20)
    segment = written(directory, clicks, together=2)
    data = segment.read_bytes()[:cut]
    records = [frame_of(clicks[n : n + 2]) for n in range(0, 20, 2)]
    ends = [len(b"".join(records[: n + 1])) for n in range(10)]
    whole = 2 * sum(end <= cut for end in ends)
    rest = len(data) - (ends[whole // 2 - 1] if whole else 0)
    segment.write_bytes(data + garbage)
    found, damaged = read_all(held(directory), alive=False)
    assert found[:whole] == clicks[:whole]
    if not garbage:
        assert (len(found), damaged) == (whole, rest)


def test_a_tail_of_zeros_is_no_record(tmp_path: Path) -> None:
    """A file system that grew the file without its data leaves zeros; they are damage."""
    clicks = clicks_of(5)
    segment = written(tmp_path, clicks)
    with segment.open("ab") as file:
        file.write(bytes(4096))
    assert read_all(held(tmp_path), alive=False) == (clicks, 4096)


def test_damage_in_the_middle_costs_one_record(tmp_path: Path) -> None:
    """One flipped bit: the records behind the damaged one are found again."""
    clicks = clicks_of(100)
    segment = written(tmp_path, clicks, together=10)
    data = bytearray(segment.read_bytes())
    at = len(b"".join(frame_of(clicks[n : n + 10]) for n in range(0, 40, 10))) + 20
    data[at] ^= 1
    segment.write_bytes(data)
    found, damaged = read_all(held(tmp_path), alive=False)
    assert found == clicks[:40] + clicks[50:]
    assert damaged == len(frame_of(clicks[40:50]))


@pytest.mark.parametrize("agent", ["short", "ü" * 4_000])
def test_clicks_that_come_together_are_written_in_bounded_records(
    tmp_path: Path, agent: str
) -> None:
    """However many come at once, and however long: a record has 16 of them at most, and no more
    bytes than a reader takes for a record."""
    clicks = [replace(click, agent=agent) for click in clicks_of(100)]
    segment = written(tmp_path, clicks, together=100)
    batch = held(tmp_path).read(0, alive=False)
    assert (batch.clicks, batch.damaged) == (clicks, b"")
    records = Counter(batch.ends)
    assert max(records.values()) <= 16
    lengths = [end - begin for begin, end in pairwise([0, *sorted(records)])]
    assert max(lengths) <= journals.FRAME.size + journals.MAX_BODY
    assert segment.stat().st_size == batch.end


def test_a_torn_end_of_a_living_journal_is_not_yet(tmp_path: Path) -> None:
    """While its worker lives, half a record is waited for, not skipped."""
    journal = Journal(tmp_path, "host", "never", MEGABYTE << 10)
    first, second = clicks_of(2)
    journal.append([first])
    (segment,) = tmp_path.glob("*.clicks")
    data = frame_of([second])
    with segment.open("ab") as file:
        file.write(data[:10])
    found = held(tmp_path)
    assert found.alive()
    assert read_all(found, alive=True) == ([first], 0)
    with segment.open("ab") as file:
        file.write(data[10:])
    assert read_all(found, alive=True) == ([first, second], 0)
    journal.close()
    assert not found.alive()


def test_segments_rotate_and_are_read_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal is cut by size; offsets go on over the cuts."""
    monkeypatch.setattr(journals, "SEGMENT_BYTES", 2_000)
    journal = Journal(tmp_path, "host", "never", MEGABYTE << 10)
    clicks = clicks_of(300)
    for click in clicks:
        journal.append([click])
    journal.close()
    found = held(tmp_path)
    assert len(found.segments) > 5
    assert read_all(found, alive=False) == (clicks, 0)


def test_a_deleted_segment_leaves_its_number_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest tells how many clicks were in the segments that are gone."""
    monkeypatch.setattr(journals, "SEGMENT_BYTES", 2_000)
    journal = Journal(tmp_path, "host", "never", MEGABYTE << 10)
    for click in clicks_of(300):
        journal.append([click])
    journal.close()
    found = held(tmp_path)
    found.delete(found.segments[0])
    found.delete(found.segments[0])
    left, _ = read_all(found, alive=False)
    assert found.lost(0) + len(left) == 300
    assert found.lost(found.start) == 0


FULL = """
import resource, sys
from pathlib import Path
from tests.test_journal import MEGABYTE, clicks_of
from shortener.journal import Journal

journal = Journal(Path(sys.argv[1]), "host", "never", MEGABYTE << 10)
clicks = clicks_of(50)
journal.append(clicks[:10])
size = sum(path.stat().st_size for path in Path(sys.argv[1]).glob("*.clicks"))
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 30, resource.RLIM_INFINITY))
for click in clicks[10:20]:
    journal.append([click])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append(clicks[20:])
journal.close()
print(journal.dropped)
"""


def test_a_full_disk_drops_clicks_and_leaves_nothing_torn(tmp_path: Path) -> None:
    """A write that does not fit is cut off again and counted; later ones are kept."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=environment() | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert ended.stdout == "10\n"
    clicks = clicks_of(50)
    assert read_all(held(tmp_path), alive=False) == (clicks[:10] + clicks[20:], 0)
    assert held(tmp_path).dropped() == 10


@pytest.mark.parametrize("at", [0, 1_000, 1 << 20, 1 << 32, 1_795_000_000_000, (1 << 64) - 1])
@pytest.mark.parametrize("tags", [(), ("a", "b"), tuple(f"tag {n}" for n in range(20))])
def test_bytes_of_a_click_can_be_put_together(at: int, tags: tuple[str, ...]) -> None:
    """Beginning and parts, as the event loop keeps them ready, are read as the whole click, also
    where a clock has not been set yet."""
    utm = ("mail", "", "spring")
    click = Click(at, 7, "code", tags, "192.0.2.1", "agent", "", "ar", "EG", False, utm)
    fields = astuple(click)
    for cut in range(1, len(fields) + 1):
        together = beginning(at) + part(*fields[1:cut]) + part(*fields[cut:])
        assert msgspec.msgpack.decode(together, type=Click) == click


@pytest.mark.parametrize("query", [b"", b"a=1", b"utm_source=mail&utm_campaign=spring"])
@pytest.mark.parametrize("headers", [{}, {b"user-agent": b"a", b"referer": b"b"}, {b"dnt": b"1"}])
def test_a_visitor_is_written_as_in_a_click(headers: dict[bytes, bytes], query: bytes) -> None:
    """Who comes over the event loop leaves behind what who comes over WSGI does."""
    link, spoken = (7, "code", ("tag",)), said(headers)
    click = visits.click(link, 5, spoken, query, "192.0.2.1")
    together = beginning(5) + part(*link) + visits.visitor(spoken, part("192.0.2.1"), query)
    assert msgspec.msgpack.decode(together, type=Click) == click


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
def test_a_record_of_any_number_of_clicks_is_what_its_head_says(count: int) -> None:
    """Also of none: no bytes are read as clicks that are not there."""
    clicks, data, found = clicks_of(count), frame_of(clicks_of(count)), []
    while data:
        length, _ = journals.FRAME.unpack_from(data)
        end = journals.FRAME.size + length
        found += msgspec.msgpack.decode(data[journals.FRAME.size : end], type=list[Click])
        data = data[end:]
    assert found == clicks


def test_a_fork_writes_a_journal_of_its_own(tmp_path: Path) -> None:
    """A process that forks after its first click never shares a file with its child."""
    journal = Journal(tmp_path, "host", "never", MEGABYTE << 10)
    first, second = clicks_of(2)
    journal.append([first])
    child = os.fork()
    if child == 0:
        journal.append([second])
        os._exit(0)
    os.waitpid(child, 0)
    both = held_journals(tmp_path)
    assert sorted(c.number for j in both for c in read_all(j, alive=False)[0]) == [1, 2]
    assert len(both) == 2
    journal.close()


def test_at_its_limit_redirects_go_on_and_the_loss_is_told(new_server: NewServer) -> None:
    """Journals that nobody applies reach `JOURNAL_LIMIT`: redirects still answer, what cannot be
    kept is counted as dropped, health is degraded; with an aggregator it heals."""
    server = new_server("--without-aggregator", JOURNAL_LIMIT="1", WORKERS="1").start()
    code = server.make_link()["code"]
    agent = f"User-Agent: {'a' * 512}"
    assert set(follow_many(server.address, [code] * 2_300, agent)) == {302}
    checks = server.http.get("/-/ready").json()["checks"]
    assert checks["journal"]["status"] == "degraded"
    dropped = int(checks["journal"]["detail"].split()[0])
    assert 0 < dropped < 2_300
    url = f"unix://{server.data_dir}/redis/socket"
    aggregator = subprocess.Popen(
        [sys.executable, "-m", "shortener", "aggregate"],
        env=environment(**(server.settings | {"REDIS_URL": url})),
    )
    try:
        kept = eventually(lambda: server.clicks(code), lambda n: n >= 2_300 - dropped)
        assert kept == 2_300 - dropped
        eventually(lambda: journals.held_bytes(server.data_dir / "journal"), lambda n: n < 900_000)
        server.follow(code)
        assert eventually(lambda: server.clicks(code), lambda n: n > kept) > kept
    finally:
        aggregator.terminate()
        aggregator.wait(20)


def test_a_damaged_journal_counts_what_is_good_and_says_the_rest(new_server: NewServer) -> None:
    """Random bytes at the end of a dead worker's journal: the clicks before them count."""
    server = new_server("--without-aggregator").start()
    code = server.make_link()["code"]
    for _ in range(10):
        assert server.follow(code).status_code == 302
    server.kill_all()
    (segment,) = (server.data_dir / "journal").glob("*.clicks")
    with segment.open("ab") as file:
        file.write(os.urandom(500))
    whole = Server(server.data_dir, **server.settings).start()
    try:
        assert eventually(lambda: whole.clicks(code), lambda n: n == 10) == 10
        said = "500 bytes of journals damaged"
        checks = eventually(
            lambda: whole.http.get("/-/ready").json()["checks"],
            lambda checks: said in checks["aggregator"]["detail"],
        )
        assert said in checks["aggregator"]["detail"]
        assert checks["aggregator"]["status"] == "degraded"
    finally:
        whole.stop()
