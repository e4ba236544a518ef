"""`shortener import`: what files it reads, what it says of bad ones, and that repeating is safe."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shortener import connections, keys
from shortener.cli.columns import IMPORT_COLUMNS
from shortener.cli.sending import batches
from shortener.cli.sources import Line, json_lines
from tests.harness import Server, environment, eventually, run, start
from tests.terminal import Terminal
from tests.wire import Wire

NewServer = Callable[..., Server]
Import = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def local(server: Server) -> dict[str, str]:
    """The settings of someone who sits at the server's machine."""
    return {"DATA_DIR": str(server.data_dir), "BASE_URL": "https://arab.news", "KEY": server.key}


@pytest.fixture
def imported(local: dict[str, str], tmp_path: Path) -> Import:
    """Imports a file with the given bytes."""

    def run_import(
        content: bytes, *options: str, name: str = "links.csv"
    ) -> "subprocess.CompletedProcess[str]":
        (tmp_path / name).write_bytes(content)
        return run("import", str(tmp_path / name), *options, **local)

    return run_import


def link(server: Server, code: str) -> dict[str, Any]:
    answer = server.api("GET", f"/links/{code}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def total(server: Server) -> int:
    return int(server.api("GET", "/links").json()["total"])


def test_csv_sets_every_field(server: Server, imported: Import) -> None:
    """The columns are our fields, in any order; an empty cell is the default."""
    ended = imported(
        b"code,url,domain,title,tags,starts_at,expires_at,expired_url,max_clicks,password,"
        b"redirect_status,forward_query,created_at\n"
        b'imp-all,https://e.com/,arab.news,"A, ""title""",News|b c,2098-01-01T00:00:00Z,'
        b"2099-01-01T03:00:00+03:00,https://e.com/x,7,tiger,307,true,2020-02-03T04:05:06Z\n"
        b"imp-none,https://e.com/,,,,,,,,,,,\n"
    )
    assert (ended.returncode, ended.stdout) == (0, "2 created, 0 there already, 0 failed\n")
    found = link(server, "imp-all")
    wanted = {
        "url": "https://e.com/",
        "title": 'A, "title"',
        "tags": ["news", "b c"],
        "starts_at": "2098-01-01T00:00:00Z",
        "expires_at": "2099-01-01T00:00:00Z",
        "expired_url": "https://e.com/x",
        "max_clicks": 7,
        "has_password": True,
        "redirect_status": 307,
        "forward_query": True,
        "created_at": "2020-02-03T04:05:06Z",
    }
    assert {name: found[name] for name in wanted} == wanted
    plain = link(server, "imp-none")
    assert (plain["title"], plain["tags"], plain["redirect_status"]) == (None, [], 302)


FOREIGN = {  # header and a row -> code, title, tags, created_at
    "Bitly": (
        (
            "link,long_url,title,created_at,tags\n"
            'https://bit.ly/imp-bitly,https://e.com/,T,2020-01-02T03:04:05+0000,"a,b"\n'
        ),
        ("imp-bitly", "T", ["a", "b"], "2020-01-02T03:04:05Z"),
    ),
    "Shlink's web client": (
        (
            "createdAt,domain,shortCode,shortUrl,longUrl,title,tags,visits\n"
            "2020-01-02T05:04:05+02:00,arab.news,imp-shl,https://x.y/imp-shl,https://e.com/,T,a|b,9\n"
        ),
        ("imp-shl", "T", ["a", "b"], "2020-01-02T03:04:05Z"),
    ),
    "Shlink's importer": (
        "Long URL;Short code;Title;Tags\nhttps://e.com/;imp-shi;T;a|b\n",
        ("imp-shi", "T", ["a", "b"], None),
    ),
    "YOURLS, its table": (
        (
            '"keyword","url","title","timestamp","ip","clicks"\n'
            '"imp-yot","https://e.com/","T","2020-01-02 03:04:05","127.0.0.1","5"\n'
        ),
        ("imp-yot", "T", [], "2020-01-02T00:04:05Z"),
    ),
    "YOURLS, its plugin": (
        "source,target,hits\r\n/imp-yop/,https://e.com/,5\r\n",
        ("imp-yop", None, [], None),
    ),
    "Kutt": (
        (
            "id\taddress\tdescription\tbanned\ttarget\tvisit_count\tcreated_at\n"
            "1\timp-kutt\tT\tfalse\thttps://e.com/\t4\t2020-01-02T03:04:05.678Z\n"
        ),
        ("imp-kutt", "T", [], "2020-01-02T03:04:05Z"),
    ),
}


@pytest.mark.parametrize(("text", "wanted"), FOREIGN.values(), ids=FOREIGN)
def test_csv_of_other_shorteners_is_read_as_it_is(
    server: Server, imported: Import, text: str, wanted: tuple[Any, ...]
) -> None:
    """Their names of columns, their tags, their times; `--tz` for times without an offset."""
    ended = imported(text.encode(), "--tz", "Asia/Riyadh")
    assert (ended.returncode, ended.stderr) == (0, "")
    code, title, tags, created_at = wanted
    found = link(server, code)
    assert (found["url"], found["title"], found["tags"]) == ("https://e.com/", title, tags)
    assert created_at in (None, found["created_at"])


TITLE = "عنوان"
SPELLINGS = {
    "byte order mark": f"url,code,title\nhttps://e.com/,imp-bom,{TITLE}\n".encode("utf-8-sig"),
    "UTF-16": f"url,code,title\nhttps://e.com/,imp-16,{TITLE}\n".encode("utf-16"),
    "UTF-16 with tabs": f"url\tcode\ttitle\r\nhttps://e.com/\timp-16t\t{TITLE}\r\n".encode(
        "utf-16"
    ),
    "CRLF": f"url,code,title\r\nhttps://e.com/,imp-crlf,{TITLE}\r\n".encode(),
    "old Mac": f"url,code,title\rhttps://e.com/,imp-mac,{TITLE}\r".encode(),
    "no end": f"url,code,title\nhttps://e.com/,imp-end,{TITLE}".encode(),
    "blank lines": f"url,code,title\n\n\nhttps://e.com/,imp-blank,{TITLE}\n\n".encode(),
    "quotes": f'"url","code","title"\n"https://e.com/","imp-quot","{TITLE}"\n'.encode(),
    "spaces": f"url , code , title \nhttps://e.com/ , imp-spc , {TITLE} \n".encode(),
    "JSON lines": (
        b'\xef\xbb\xbf{"url": "https://e.com/", "code": "imp-json", "title": "%s"}\r\n'
        % TITLE.encode()
    ),
}


@pytest.mark.parametrize("content", SPELLINGS.values(), ids=SPELLINGS)
def test_files_of_all_programs_are_read(server: Server, imported: Import, content: bytes) -> None:
    """Encodings, line ends and quotes, whatever the file is called."""
    ended = imported(content, name="links.txt")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "1 created, 0 there already, 0 failed\n"
    found = server.api("GET", "/links?limit=1").json()["links"][0]
    assert (found["url"], found["title"]) == ("https://e.com/", TITLE)


HEADERS = {
    "unknown": (b"url,colour\nhttps://e.com/,red\n", "no field for the column 'colour'"),
    "no URL": (b"code,title\na,b\n", "no column has the URL"),
    "empty": (b"", "no column has the URL"),
    "no names": (b"https://e.com/,a\n", "no field for the column 'https://e.com/'"),
    "twice": (b"url,longUrl\na,b\n", "'longUrl' and 'url' are both url"),
    "a line without end": (b"url," + b"x" * (1 << 21), "line 1 is longer than 1,048,576"),
    "cut UTF-16": ("url\nhttps://e.com/\n".encode("utf-16")[:-1], "is not UTF-16"),
}


@pytest.mark.parametrize(("content", "reason"), HEADERS.values(), ids=HEADERS)
def test_a_file_that_cannot_be_read_is_told_in_one_line(
    server: Server, imported: Import, content: bytes, reason: str
) -> None:
    """Before anything is made: nothing that is in the file may be lost in silence."""
    ended = imported(content)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("shortener: ")
    assert reason in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_json_lines_are_utf_8(imported: Import) -> None:
    """Another encoding is named, not garbled."""
    ended = imported('{"url": "https://e.com/"}\n'.encode("utf-16"), name="links.jsonl")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "is UTF-16; JSON lines have to be UTF-8" in ended.stderr


def test_a_column_can_be_left_out(server: Server, imported: Import) -> None:
    """`--ignore` names it, once for each."""
    content = b"url,code,Colour,password\nhttps://e.com/,imp-ign,red,$2b$12$abcdefghijklmnop\n"
    assert imported(content, "--ignore", "colour").returncode == 1
    ended = imported(content, "--ignore", "colour", "--ignore", "password")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not link(server, "imp-ign")["has_password"]


ROW = b"url,code,tags,max_clicks,forward_query,created_at,password\n"
BAD_ROWS = {  # the second line -> what is said of it
    "few cells": (b"https://e.com/,x\n", "has 2 columns, not 7"),
    "many cells": (b"https://e.com/,x,,,,,,\n", "has 8 columns, not 7"),
    "a quote left open": (b'https://e.com/,"x,,,,,\n', "a quote is opened and never closed"),
    "text after a quote": (b'https://e.com/,"x"y,,,,,\n', "is not CSV: "),
    "another encoding": (b"https://e.com/,x,\xe9,,,,\n", "is not UTF-8"),
    "no URL": (b",x,,,,,\n", "url"),
    "bad URL": (b"javascript:alert(1),x,,,,,\n", "url: must begin with http"),
    "bad code": (b"https://e.com/,a b,,,,,\n", "code: "),
    "bad number": (b"https://e.com/,x,,many,,,\n", "max_clicks: must be a whole number"),
    "negative": (b"https://e.com/,x,,-1,,,\n", "max_clicks: must be a whole number"),
    "bad flag": (b"https://e.com/,x,,,maybe,,\n", "forward_query: must be true or false"),
    "bad time": (b"https://e.com/,x,,,,yesterday,\n", "created_at: must be a time"),
    "no offset": (b"https://e.com/,x,,,,2020-01-01 00:00:00,\n", "created_at: has no offset; --tz"),
    "a foreign hash": (
        b"https://e.com/,x,,,,,$2b$12$abcdefghijklmnopqrstuv\n",
        "password: is a hash of another program; --ignore password",
    ),
}
BAD_LINES = {
    "cut short": (b'{"url": "https://e.com/"\n', "is not valid JSON: "),
    "a list": (b'["https://e.com/"]\n', "is not a record: expected `object`, got `array`"),
    "another encoding": (b'{"url": "https://e.com/\xe9"}\n', "is not UTF-8"),
    "no URL": (b'{"code": "x"}\n', "url"),
    "a field twice": (b'{"url": "https://e.com/", "url": "https://e.com/2"}\n', "twice"),
    "half a surrogate": (b'{"url": "https://e.com/", "title": "\\ud800"}\n', ""),
    "an unknown field": (b'{"url": "https://e.com/", "colour": 1}\n', "colour"),
    "an unknown kind": (b'{"type": "cat", "url": "https://e.com/"}\n', ""),
    "deep": (b'{"url": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", ""),
    "not a number": (b'{"url": "https://e.com/", "max_clicks": NaN}\n', "is not valid JSON: "),
}
BAD = {
    **{f"CSV, {name}": (ROW, b"https://e.com/,,,,,,\n", *bad) for name, bad in BAD_ROWS.items()},
    **{
        f"JSON, {name}": (b"\n", b'{"url": "https://e.com/"}\n', *bad)
        for name, bad in BAD_LINES.items()
    },
}


@pytest.mark.parametrize(("first", "good", "bad", "reason"), BAD.values(), ids=BAD)
def test_a_bad_line_is_named_and_fails_alone(
    imported: Import, first: bytes, good: bytes, bad: bytes, reason: str
) -> None:
    """Its number and what is wrong; the lines around it are imported; status 1."""
    swallowed = "never closed" in reason
    ended = imported(first + bad + (b"" if swallowed else good), name="links.txt")
    assert ended.returncode == 1
    told = ended.stderr.splitlines()
    assert len(told) == 2, told
    assert told[0].startswith("line 2: ")
    assert reason in told[0]
    assert told[1] == "shortener: 1 line of links.txt failed"
    assert ended.stdout.endswith("1 failed\n")
    assert swallowed or not ended.stdout.startswith("0 created, 0 there")


def test_a_row_is_named_by_the_line_where_it_begins(imported: Import) -> None:
    """Also behind a row that goes over several lines."""
    content = b'url,title\nhttps://e.com/,"over\ntwo lines"\nhttps://e.com/,\nftp://e.com/,\n'
    told = imported(content).stderr.splitlines()
    assert [line.split(":")[0] for line in told[:-1]] == ["line 2", "line 5"]


def test_many_failures_are_told_in_part_and_kept_in_full(imported: Import, tmp_path: Path) -> None:
    """20 on stderr, all of them in the file of `--errors`, with the number of each line."""
    content = b"url\n" + b"ftp://e.com/\n" * 1234
    ended = imported(content, "--errors", str(tmp_path / "errors"), "--json")
    assert ended.returncode == 1
    assert json.loads(ended.stdout) == {"created": 0, "existing": 0, "failed": 1234, "line": 1235}
    told = ended.stderr.splitlines()
    assert len(told) == 22
    assert told[20] == "further lines that fail are only in the file of errors"
    assert told[21] == "shortener: 1,234 lines of links.csv failed"
    kept = (tmp_path / "errors").read_text().splitlines()
    assert [line.split(":")[0] for line in kept] == [f"line {n}" for n in range(2, 1236)]


def test_the_file_of_errors_is_not_the_one_that_is_read(imported: Import, tmp_path: Path) -> None:
    """It would be emptied before it is read: status 2, and it is as it was."""
    content = b"url\nhttps://e.com/\n"
    assert imported(content, "--errors", str(tmp_path / "links.csv")).returncode == 2
    assert (tmp_path / "links.csv").read_bytes() == content


def test_standard_input_is_read(server: Server, local: dict[str, str]) -> None:
    """`-`, JSON lines and CSV told apart by how they begin."""
    ended = run("import", "-", stdin='{"url": "https://e.com/", "code": "imp-in"}\n', **local)
    assert ended.stdout == "1 created, 0 there already, 0 failed\n", ended.stderr
    ended = run("import", "-", stdin="url,code\nhttps://e.com/,imp-in2\n", **local)
    assert ended.stdout == "1 created, 0 there already, 0 failed\n", ended.stderr


def test_repeating_an_import_changes_nothing(server: Server, imported: Import) -> None:
    """With and without codes: every link is there once, as it was."""
    content = b"url,code\nhttps://e.com/rep1,imp-rep\nhttps://e.com/rep2,\n"
    first = imported(content)
    assert first.stdout == "2 created, 0 there already, 0 failed\n", first.stderr
    before = total(server)
    again = imported(content)
    assert again.stdout == "0 created, 2 there already, 0 failed\n", again.stderr
    assert total(server) == before


ALIKE: dict[str, dict[str, str]] = {
    "over": {"expires_at": "2024-01-01T00:00:00Z"},
    "locked": {"password_hash": "scrypt:32768:8:1$salt$00ff"},
}


@pytest.mark.parametrize("fields", ALIKE.values(), ids=ALIKE)
def test_records_that_are_alike_make_one_link(server: Server, fields: dict[str, str]) -> None:
    """Also when it is over already, or asks for a password; and they take few numbers."""
    url = f"https://example.com/alike/{next(iter(fields))}"
    record = {"type": "link", "url": url} | fields
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    before = int(store.get(keys.NUMBER) or 0)  # type: ignore[arg-type]
    result = server.api("POST", "/import", json={"records": [record] * 30}).json()
    assert (result["created"], result["existing"], result["errors"]) == (1, 29, [])
    assert int(store.get(keys.NUMBER)) <= before + 1_000  # type: ignore[arg-type]


def test_passwords_come_few_at_a_time(tmp_path: Path) -> None:
    """Each takes the server 50 ms and more; a call of a thousand would not be answered in time."""
    file = tmp_path / "links.jsonl"
    locked = b'{"url":"https://example.com/","password":"secret"}\n'
    file.write_bytes(locked * 120 + b'{"url":"https://example.com/"}\n' * 2_000)
    with file.open("rb") as opened:
        lines = [line for line in json_lines(opened) if isinstance(line, Line)]
    sizes = [len(batch.lines) for batch in batches(iter(lines))]
    assert sizes == [50, 50, 1_000, 1_000, 20]


def test_only_an_admin_imports(server: Server, imported: Import) -> None:
    """Another key is told so in one line, once, and not for every line."""
    made = server.api("POST", "/keys", json={"name": "w", "scopes": ["links:write"]}).json()
    ended = imported(b"url\nhttps://e.com/\n", "--key", made["key"])
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "shortener: This key lacks the scope admin.\n"


def test_a_lost_answer_makes_nothing_twice(
    server: Server, local: dict[str, str], tmp_path: Path
) -> None:
    """The call is repeated, and what it had made already is there once."""
    wire = Wire(server.address)
    wire.lose = b"POST /api/v1/import"
    file = tmp_path / "links.csv"
    file.write_text("url\n" + "".join(f"https://e.com/lost/{n}\n" for n in range(1500)))
    before = total(server)
    # the first call is never repeated when no call was answered yet: nobody may be there
    ended = run("import", str(file), **local, SERVER=wire.address)
    assert wire.lost == 1
    assert ended.returncode == 1
    assert "no answer from" in ended.stderr
    ended = run("import", str(file), **local, SERVER=wire.address)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert total(server) - before == 1500
    wire.close()


def test_an_answer_that_is_lost_on_the_way_is_asked_for_again(
    server: Server, local: dict[str, str]
) -> None:
    """An import that was answered before goes on by itself."""
    wire = Wire(server.address)
    before = total(server)
    lines = [f'{{"url": "https://e.com/again/{n}"}}\n' for n in range(2000)]
    process = start("import", "-", **local, SERVER=wire.address)
    assert process.stdin is not None
    process.stdin.write("".join(lines[:1001]))
    process.stdin.flush()
    assert eventually(lambda: total(server), lambda now: now == before + 1000) == before + 1000
    wire.lose = b"POST /api/v1/import"
    said, told = process.communicate("".join(lines[1001:]))
    assert (process.returncode, told) == (0, "")
    assert wire.lost == 1
    assert said.endswith(" 0 failed\n")
    assert total(server) == before + 2000
    wire.close()


def test_ctrl_c_stops_between_calls_and_repeating_goes_on(
    server: Server, local: dict[str, str], tmp_path: Path
) -> None:
    """It says how far it came; afterwards the rest is made and nothing twice."""
    before = total(server)
    lines = [f'{{"url": "https://e.com/stop/{n}"}}\n' for n in range(3000)]
    process = start("import", "-", **local)
    assert process.stdin is not None
    process.stdin.write("".join(lines[:1001]))
    process.stdin.flush()
    assert eventually(lambda: total(server), lambda now: now == before + 1000) == before + 1000
    process.send_signal(signal.SIGINT)
    said, told = process.communicate("".join(lines[1001:]))
    assert process.returncode == 1
    assert said == "1,000 created, 0 there already, 0 failed\n"
    assert told.splitlines()[-1].startswith(
        "shortener: interrupted; stopped after line 1,000: repeating"
    )
    assert total(server) == before + 1000
    again = run("import", "-", stdin="".join(lines), **local)
    assert again.stdout == "2,000 created, 1,000 there already, 0 failed\n"
    assert total(server) == before + 3000


def test_ctrl_c_twice_does_not_wait_for_a_call_that_hangs(
    server: Server, local: dict[str, str], tmp_path: Path
) -> None:
    """The second one ends it at once."""
    wire = Wire(server.address)
    wire.hold = b"POST /api/v1/import"
    file = tmp_path / "links.csv"
    file.write_text("url\nhttps://e.com/\n")
    process = start("import", str(file), **local, SERVER=wire.address)
    assert wire.held.wait(20)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("stopping when the calls under way have ended")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 1
    assert told.startswith("shortener: interrupted")
    wire.close()


def test_a_line_without_end_takes_no_memory(local: dict[str, str], tmp_path: Path) -> None:
    """300 MB without a line end are told as one bad line, in less than 150 MB."""
    file = tmp_path / "links.jsonl"
    with file.open("wb") as sparse:
        sparse.truncate(300 << 20)
    between = (  # a process starts with what its parent takes, and ours takes more than that
        "import resource, subprocess, sys\n"
        "status = subprocess.call(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(status)\n"
    )
    import_it = (sys.executable, "-m", "shortener", "import", str(file))
    done = subprocess.run(
        [sys.executable, "-c", between, *import_it],
        env=environment(**local),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("line 1: is longer than 15 MiB\n")
    assert int(done.stdout.split()[-1]) < 150 << 10  # kilobytes


def test_at_a_terminal_a_bar_shows_how_far_it_came(local: dict[str, str], tmp_path: Path) -> None:
    """With the share and the links, and it leaves with the end."""
    file = tmp_path / "links.csv"
    file.write_text(
        "url\n" + "".join(f"https://e.com/bar/{n}\n" for n in range(3000)) + "ftp://x\n"
    )
    terminal = Terminal("import", str(file), **local)
    assert terminal.end() == 1
    assert "importing links.csv" in terminal.seen
    assert "100%" in terminal.seen
    assert "line 3002: url: must begin with http" in terminal.seen
    assert "3,000 created" in terminal.seen


def test_the_readme_names_columns_that_are_read() -> None:
    """Its table says which column of other shorteners fills which field."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    table = readme.partition("| field | also read from the columns |\n|---|---|\n")[2]
    rows = table.partition("\n\n")[0].splitlines()
    assert rows
    for row in rows:
        field, *names = re.findall(r"`([^`]+)`", row)
        found = {name: IMPORT_COLUMNS[re.sub(r"[\W_]", "", name).lower()] for name in names}
        assert set(found.values()) <= {field, "short_url"}, row
