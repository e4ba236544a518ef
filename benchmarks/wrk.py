"""The load generator: `wrk`, with a script that we write for each run.

Requests are made before the load begins, so the script only picks.  While it measures it does not
look at answers (that would slow wrk down and be measured): wrk itself counts statuses above 399.
`verify` looks at each, and measures nothing.  At its end wrk forgets the requests that are under
way: up to one for each connection is answered without being reported.
"""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.destinations import destination
from benchmarks.visitors import Visitor
from shortener import children

PATIENCE = 10.0  # seconds that one answer may take
SETTLING = 60.0  # seconds wrk may need to begin and to end
MARK = "figures: "
VISITS = 50_000  # requests that are made before the load begins

# As browsers send them; each link is followed with one of them.
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Linux; Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
)
LANGUAGES = ("ar-SA,ar;q=0.9,en;q=0.8", "en-US,en;q=0.9", "en-GB,en;q=0.5")

# Each of wrk's threads has a Lua state of its own and a `number`; `seed` sets runs apart.
_BEGIN = """
local threads = 0
local all = {}
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
  all[threads] = thread
end
"""
_FOLLOW = """
local requests = {}
wrong = 0
function init()
  math.randomseed(seed * 1000 + number)
  for code in io.lines(codes) do
    local agent = agents[#requests % #agents + 1]
    local language = languages[#requests % #languages + 1]
    requests[#requests + 1] = string.format(visit, code, agent, language)
  end
end
function request() return requests[math.random(#requests)] end
"""
_VISIT = """
local requests = {}
wrong = 0
function init()
  math.randomseed(seed * 1000 + number)
  for visit in string.gmatch(io.open(visits):read("*a"), "[^%z]+") do
    requests[#requests + 1] = visit
  end
end
function request() return requests[math.random(#requests)] end
"""
_VERIFY = """
local known = {}
for location in io.lines(locations) do known[location] = true end
function response(status, headers)
  local location = headers["location"] or headers["Location"]
  if status ~= 302 or not known[location] then wrong = wrong + 1 end
end
"""
_PACE = """
function delay() return math.random(0, 2 * pause) end
"""
_CREATE = """
local made = 0
function request()
  made = made + 1
  return head .. string.format(body, (seed * 1000 + number) * 1000000 + made)
end
"""
_END = """
function done(summary, latency)
  local errors, wrong = summary.errors, 0
  for _, thread in ipairs(all) do wrong = wrong + (thread:get("wrong") or 0) end
  io.write(string.format(
    mark .. '{"answers": %d, "microseconds": %d, "p50": %d, "p99": %d, "worst": %d, ' ..
    '"refused": %d, "broken": %d, "wrong": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    latency.max, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    wrong))
end
"""


class LoadError(Exception):
    """Why there is no load; the message is one line."""


class Outcome(NamedTuple):
    """One run of wrk.  Latencies are in milliseconds."""

    answers: int
    seconds: float
    p50: float
    p99: float
    worst: float
    refused: int  # answers with a status above 399
    broken: int  # connections that failed, and answers that took longer than `PATIENCE`
    wrong: int = 0  # answers that were not the redirect they should be, when they are looked at

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


class Load:
    """Load on 127.0.0.1:`port` over `connections` connections."""

    def __init__(self, directory: Path, port: int, connections: int) -> None:
        self._script = directory / "load.lua"
        self._host, self._connections = f"127.0.0.1:{port}", connections

    def follow(self, codes: Sequence[str], seconds: int, seed: int, pace: int = 0) -> Outcome:
        """Follow codes, drawn anew for each request; `pace` limits how many a second, about."""
        texts = self._following(codes)
        if pace:
            pause = round(1000 * self._connections / pace)  # milliseconds
            texts += f"local pause = {pause}\n{_PACE}"
        return self._run(texts, seconds, seed)

    def verify(
        self, codes: Sequence[str], locations: Sequence[str], seconds: int, seed: int
    ) -> Outcome:
        """The same, with a look at every answer: it has to lead to one of `locations`."""
        file = self._script.with_suffix(".locations")
        file.write_text("\n".join(locations) + "\n", "ascii")
        texts = f"local locations = {_lua(str(file))}\n{self._following(codes)}{_VERIFY}"
        return self._run(texts, seconds, seed)

    def visit(
        self, codes: Sequence[str], visitors: Sequence[Visitor], seconds: int, seed: int
    ) -> Outcome:
        """Follow codes as visitors who come through a proxy, both drawn anew for each request."""
        file, chance = self._script.with_suffix(".visits"), random.Random(seed)
        drawn = zip(
            chance.choices(codes, k=VISITS), chance.choices(visitors, k=VISITS), strict=True
        )
        visits = (
            self._visit(
                *(code, who.agent, who.language),
                *(f"Referer: {who.referrer}", f"X-Forwarded-For: {who.address}"),
            )
            for code, who in drawn
        )
        file.write_text("\0".join(visits), "ascii")
        return self._run(f"local visits = {_lua(str(file))}\n{_VISIT}", seconds, seed)

    def create(self, key: str, seconds: int, seed: int) -> Outcome:
        """Create links, each to a URL of its own; `seed` must be new to the server."""
        url = destination(0)
        body = json.dumps({"url": url.replace(f"{0:012d}", "%012d")})
        head = "".join(
            f"{line}\r\n"
            for line in (
                "POST /api/v1/links HTTP/1.1",
                f"Host: {self._host}",
                f"Authorization: Bearer {key}",
                "Content-Type: application/json",
                f"Content-Length: {len(json.dumps({'url': url}))}",
                "",
            )
        )
        texts = f"local head = {_lua(head)}\nlocal body = {_lua(body)}\n"
        return self._run(texts + _CREATE, seconds, seed)

    def _following(self, codes: Sequence[str]) -> str:
        """The part of the script that asks for codes, as browsers ask."""
        file = self._script.with_suffix(".codes")
        file.write_text("\n".join(codes) + "\n", "ascii")
        visit = _lua(self._visit("%s", "%s", "%s"))
        agents, languages = (", ".join(map(_lua, texts)) for texts in (AGENTS, LANGUAGES))
        known = f"local codes, visit = {_lua(str(file))}, {visit}\n"
        return f"{known}local agents, languages = {{{agents}}}, {{{languages}}}\n{_FOLLOW}"

    def _visit(self, code: str, agent: str, language: str, *more: str) -> str:
        """The request of a browser."""
        lines = (
            f"GET /{code} HTTP/1.1",
            f"Host: {self._host}",
            f"User-Agent: {agent}",
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "Accept-Encoding: gzip, deflate",
            f"Accept-Language: {language}",
            *more,
        )
        return "".join(f"{line}\r\n" for line in (*lines, ""))

    def _run(self, script: str, seconds: int, seed: int) -> Outcome:
        known = f"local seed, mark = {seed}, {_lua(MARK)}\n"
        self._script.write_text(known + _BEGIN + script + _END, "utf-8")
        command = [
            *(find(), "--threads", str(threads()), "--connections", str(self._connections)),
            *("--duration", f"{seconds}s", "--timeout", f"{PATIENCE:.0f}s"),
            *("--script", str(self._script), f"http://{self._host}/"),
        ]
        said = self._script.with_suffix(".log")
        with said.open("wb") as file:
            process = children.start(command, os.environ, output=file.fileno())
        try:
            process.wait(seconds + SETTLING)
        except subprocess.TimeoutExpired:
            raise LoadError("wrk does not end") from None
        finally:
            children.stop(process, patience=1.0)
        return _read(said.read_text("utf-8", "replace"))


def find() -> str:
    """The path of wrk.  Raises `LoadError` when it is not installed."""
    found = shutil.which("wrk")
    if found is None:
        raise LoadError("wrk is not installed: apt-get install wrk (Debian, Ubuntu: package wrk)")
    return found


def threads() -> int:
    """One for every four processors: a thread of wrk keeps several servers' processes busy."""
    return max(1, (os.cpu_count() or 1) // 4)


def _read(said: str) -> Outcome:
    _, mark, figures = said.rpartition(MARK)
    if not mark:
        lines = said.strip().splitlines() or ["it said nothing"]
        raise LoadError(f"wrk failed: {lines[-1]}")
    read = json.loads(figures)
    return Outcome(
        answers=read["answers"],
        seconds=read["microseconds"] / 1e6,
        p50=read["p50"] / 1e3,
        p99=read["p99"] / 1e3,
        worst=read["worst"] / 1e3,
        refused=read["refused"],
        broken=read["broken"],
        wrong=read["wrong"],
    )


def _lua(text: str) -> str:
    """An ASCII text as a Lua string: what JSON escapes in one (quotes, CR, LF), Lua reads alike."""
    return json.dumps(text)
