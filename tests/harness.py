"""What the tests drive: the product's own launcher, real processes, real sockets.

`Server` is one `shortener serve` with a data directory of its own.  `Load` follows links from many
connections at once and knows what was answered.  `Cutting` stands between a client and Redis and
cuts replies off.
"""

import contextlib
import http.client
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

from shortener.config import Settings
from shortener.embedded import Embedded
from shortener.web.patience import LINGER
from tests.nursery import Born, bear

T = TypeVar("T")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # or each client reads all certificates: 50 ms
PATIENCE = 40.0  # seconds until something that must happen counts as not happening


def eventually(read: Callable[[], T], wanted: Callable[[T], bool]) -> T:
    """The first value that is wanted, or the last one read when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = read()
        if wanted(value) or time.monotonic() > deadline:
            return value
        time.sleep(0.05)


def environment(**settings: str) -> dict[str, str]:
    """Ours without any SHORTENER_ variable but the given ones."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SHORTENER_")}
    return clean | {f"SHORTENER_{name}": value for name, value in settings.items()}


def run(*arguments: str, stdin: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
    """The `shortener` command, to its end, and that of all that it has started."""
    (theirs, ours), outputs = os.pipe(), [os.pipe(), os.pipe()]
    given = [theirs, *(written for _, written in outputs)]
    process = bear(arguments, environment(**settings), given)
    for descriptor in given:
        os.close(descriptor)
    said = ["", ""]

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(ours, "w") as file:
            file.write(stdin)

    def read(place: int) -> None:
        with os.fdopen(outputs[place][0]) as file:
            said[place] = file.read()

    threads = [threading.Thread(target=write, daemon=True)]
    threads += [threading.Thread(target=read, args=(place,), daemon=True) for place in range(2)]
    for thread in threads:
        thread.start()
    try:
        status = process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "something that it has started is left"
    return subprocess.CompletedProcess(arguments, status, *said)


def start(*arguments: str, **settings: str) -> "subprocess.Popen[str]":
    """The `shortener` command, with pipes; Ctrl-C reaches it wherever the tests run."""
    return subprocess.Popen(
        [sys.executable, "-m", "shortener", *arguments],
        env=environment(**settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # not so in background
    )


class Server:
    """One `shortener serve`; `settings` are its SHORTENER_ variables."""

    def __init__(self, data_dir: Path, *options: str, **settings: str) -> None:
        self.data_dir = data_dir
        self.settings = {"DATA_DIR": str(data_dir), "BIND": "127.0.0.1:0"} | settings
        self._options = options
        self.said: list[str] = []
        self.address = ""
        self._process: Born | None = None
        self._clients: list[httpx.Client] = []
        self._plain: httpx.Client | None = None

    def start(self) -> "Server":
        """Start it and wait until it says that it listens."""
        self.said = []
        with (self.data_dir.parent / f"{self.data_dir.name}.log").open("a") as errors:
            read, written = os.pipe()
            given = [0, written, errors.fileno()]
            environ = environment(**self.settings)
            self._process = bear(["serve", *self._options], environ, given, os.fdopen(read))
            os.close(written)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line.rstrip())
            if line.startswith("stop it"):
                break
        else:
            raise AssertionError(f"it did not start: {self.errors()}")
        self.address = self.said[0].rpartition(" ")[2]
        return self

    def errors(self) -> str:
        """What it wrote on stderr, over all starts."""
        return (self.data_dir.parent / f"{self.data_dir.name}.log").read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it in order; its exit status."""
        assert self._process is not None
        self._process.send_signal(how)
        status = self._process.wait(30)
        self._close()
        return status

    def kill_all(self) -> None:
        """SIGKILL for the launcher and everything that it started, in one go."""
        assert self._process is not None
        for pid in [self._process.pid, *descendants(self._process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._plain = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def pids(self, part: str) -> list[int]:
        """Processes of this server whose command line has `part` in it."""
        assert self._process is not None
        return [pid for pid in descendants(self._process.pid) if part in command_line(pid)]

    def workers(self) -> list[int]:
        """The gunicorn workers."""
        return self.pids("gunicorn: worker")

    @property
    def key(self) -> str:
        return self.settings.get("ADMIN_KEY") or (self.data_dir / "admin-key").read_text().strip()

    @property
    def http(self) -> httpx.Client:
        """A client that follows nothing and sends no key."""
        if self._plain is None or self._plain.is_closed:
            self._plain = self.client()
        return self._plain

    def client(self, **headers: str) -> httpx.Client:
        """A new client, with cookies of its own, that lives as long as the server."""
        sent = {"User-Agent": BROWSER} | headers
        client = httpx.Client(base_url=self.address, timeout=30, headers=sent, verify=NO_TLS)
        self._clients.append(client)
        return client

    def api(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A call of the API with the admin key."""
        headers = {"Authorization": f"Bearer {self.key}"} | more.pop("headers", {})
        return self.http.request(method, f"/api/v1{path}", headers=headers, **more)

    def make_link(self, url: str = "https://example.com/", **fields: Any) -> dict[str, Any]:
        """A new link, as the API answers it."""
        answer = self.api("POST", "/links", json={"url": url} | fields)
        assert answer.status_code == 201, answer.text
        link: dict[str, Any] = answer.json()
        return link

    def follow(self, code: str, method: str = "GET", **headers: str) -> httpx.Response:
        """A visit to a code."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, f"/{code}", headers=sent)

    def clicks(self, code: str) -> int:
        """Clicks of a link, of people and bots, as its statistics tell."""
        answer = self.api("GET", f"/links/{code}/stats")
        assert answer.status_code == 200, answer.text
        totals = answer.json()["totals"]
        return int(totals["clicks"] + totals["bots"])

    def site_clicks(self) -> int:
        """Clicks of the whole site, of people and bots; -1 while the store is away."""
        answer = self.api("GET", "/stats")
        if answer.status_code == 503:
            return -1
        totals = answer.json()["totals"]
        return int(totals["clicks"] + totals["bots"])


def descendants(pid: int) -> list[int]:
    """Children of a process, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        children.setdefault(parent(int(entry.name)), []).append(int(entry.name))
    found = list(children.get(pid, ()))
    for each in found:  # which grows
        found += children.get(each, ())
    return found


def parent(pid: int) -> int:
    """The parent of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def private_redis(directory: Path) -> Embedded:
    """A Redis of the test's own, started; it is the one the product embeds."""
    directory.mkdir(parents=True)
    embedded = Embedded(Settings.load(environment(DATA_DIR=str(directory))))
    embedded.start()
    return embedded


class Load:
    """Follows random codes over `connections` connections until it is stopped.

    `broken` are the requests whose answer never came; `late` are those of them before which the
    connection was quiet for so long that the server may have hung up.  Every HTTP client tries them
    again, and on a busy machine they happen to whoever means to be quick.
    """

    def __init__(self, address: str, codes: list[str], connections: int = 8) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self._host, self._port, self._codes = host, int(port), codes
        self._stop = threading.Event()
        self.answered: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.broken = self.late = 0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(seed,), daemon=True)
            for seed in range(connections)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int) -> None:
        """Until so many more redirects were answered."""
        wanted = self.statuses[302] + answers
        reached = eventually(lambda: self.statuses[302], lambda count: count >= wanted)
        assert reached >= wanted, f"{answers} answers did not come: {self.statuses}"

    def _run(self, seed: int) -> None:
        chance = random.Random(seed)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=10)
        said_at = 0.0  # before the last request was sent; what is looked at later, threads delay
        while not self._stop.is_set():
            code = chance.choice(self._codes)
            sent = late = False
            try:
                if connection.sock is None:
                    said_at = time.monotonic()
                    connection.connect()
                before, said_at = said_at, time.monotonic()
                connection.putrequest("GET", f"/{code}")
                connection.putheader("User-Agent", BROWSER)
                connection.endheaders()
                sent, late = True, time.monotonic() - before > LINGER
                status = _finish(connection)
            except (OSError, http.client.HTTPException):
                connection.close()
                with self._lock:
                    self.broken += sent
                    self.late += late
                time.sleep(0.01)
                continue
            with self._lock:
                self.statuses[status] += 1
                self.answered[code] += status == 302
        connection.close()


def _finish(connection: http.client.HTTPConnection) -> int:
    answer = connection.getresponse()
    answer.read()
    return answer.status


class Cutting:
    """A proxy on a unix socket that can lose the replies of Redis, after their effect, and hold
    requests up before it."""

    def __init__(self, listen: Path, target: Path) -> None:
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(listen))
        self._listener.listen()
        self.url = f"unix://{listen}"
        self.cut_reply_to: bytes | None = None  # of the next request that has this in it
        self.cuts = 0
        self.hold: bytes | None = None  # requests that have this in them, until `go_on`
        self.held, self.go_on = threading.Event(), threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._target))
        with contextlib.suppress(ConnectionError), client, server:  # who was held up may be gone
            for request in _chunks(client):
                if self.hold is not None and self.hold in request:
                    self.held.set()
                    self.go_on.wait(PATIENCE)
                doomed = self.cut_reply_to is not None and self.cut_reply_to in request
                server.sendall(request)
                reply = server.recv(1 << 20)
                if doomed:
                    self.cut_reply_to = None
                    self.cuts += 1
                    return
                while reply:
                    client.sendall(reply)
                    server.settimeout(0.02)  # more of the same answer
                    try:
                        reply = server.recv(1 << 20)
                    except TimeoutError:
                        break
                server.settimeout(None)


def _chunks(client: socket.socket) -> Iterator[bytes]:
    """Requests, as far as they arrive together."""
    while data := client.recv(1 << 20):
        client.settimeout(0.02)
        with contextlib.suppress(TimeoutError):
            while more := client.recv(1 << 20):
                data += more
        client.settimeout(None)
        yield data


class Wire:
    """A proxy on a unix socket in front of Redis, whose connections can be cut or go dead."""

    def __init__(self, listen: Path, target: Path) -> None:
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(listen))
        self._listener.listen()
        self.url = f"unix://{listen}"
        self.refuses = False  # whoever connects is hung up on
        self.delay = 0.0  # seconds that everything takes, each way
        self.greeting = 0.0  # seconds that the first reply on a new connection takes besides
        self._strands: list[Strand] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def tracked(self) -> "list[Strand]":
        """The connections that are in use and that Redis tells of changes."""
        return [strand for strand in self._strands if strand.is_tracked and strand.is_alive]

    def cut(self) -> None:
        """Hang up on everybody, at both ends."""
        for strand in self._strands:
            strand.cut()

    def close(self) -> None:
        self.refuses = True
        self._listener.close()
        self.cut()
        for strand in self._strands:
            strand.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
            else:
                self._strands.append(strand := Strand(client, self._target, self))
                if self.refuses:  # since a moment ago
                    strand.cut()


class Strand:
    """One connection through a `Wire`."""

    def __init__(self, client: socket.socket, target: Path, wire: Wire) -> None:
        self._wire = wire
        self._client, self._server = client, socket.socket(socket.AF_UNIX)
        self._server.connect(str(target))
        self.is_tracked, self.is_alive = False, True
        self._asked: set[bytes] = set()
        self._flows = threading.Event()
        self._flows.set()
        ends = ((self._client, self._server), (self._server, self._client))
        self._threads = [
            threading.Thread(target=self._carry, args=pair, daemon=True) for pair in ends
        ]
        for thread in self._threads:
            thread.start()

    def go_dead(self) -> None:
        """Carry nothing from now on, and tell nobody."""
        self.is_alive = False
        self._flows.clear()

    def cut(self) -> None:
        """Hang up."""
        self.is_alive = False
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._flows.set()

    def join(self) -> None:
        """Wait until nothing is carried any more."""
        for thread in self._threads:
            thread.join()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        greeting = self._wire.greeting if sink is self._client else 0.0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                self._asked |= {word for word in (b"TRACKING", b"MGET") if word in data}
                self._flows.wait()
                time.sleep(self._wire.delay + greeting)
                greeting = 0.0
                sink.sendall(data)
                self.is_tracked |= sink is self._client and len(self._asked) == 2
        self.cut()
        source.close()
