"""Plain new links: made beside the redirects and without Flask, with the same answers and rules."""

import contextlib
import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from shortener import connections, keys
from tests.harness import NO_TLS, Cutting, Server, eventually, private_redis
from tests.talk import Talk, established, request, sockets
from tests.test_metrics import samples, value

NewServer = Callable[..., Server]
URL = "https://example.com/plain"
BODY = b'{"url":"https://example.com/plain"}'


@contextlib.contextmanager
def without_flask(server: Server) -> Iterator[None]:
    """The processes in which Flask runs are frozen for a while."""
    offices = server.pids("shortener: office")
    for pid in offices:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in offices:
            with contextlib.suppress(ProcessLookupError):  # it was replaced meanwhile
                os.kill(pid, signal.SIGCONT)


def post(server: Server, key: str = "", **fields: Any) -> httpx.Response:
    """Ask for a link over a connection of its own."""
    headers = {"Authorization": f"Bearer {key or server.key}", "Connection": "close"}
    body = {"url": URL} | fields
    return httpx.post(
        f"{server.address}/api/v1/links", json=body, headers=headers, timeout=30, verify=NO_TLS
    )


def head(key: str) -> bytes:
    """What is sent in front of `BODY`."""
    headers = f"Authorization: Bearer {key}", f"Content-Length: {len(BODY)}"
    return request("/api/v1/links", *headers, line="POST {} HTTP/1.1")


def known(server: Server, key: str = "") -> None:
    """Make links over more and more connections, which workers share: all hear of the key."""
    count = int(server.settings["WORKERS"])
    with contextlib.ExitStack() as stack:
        talks: list[Talk] = []

        def who_heard() -> set[int]:
            talk = stack.enter_context(Talk(server.address))
            talk.say(head(key or server.key) + BODY)
            answer = talk.answer()
            assert answer is not None
            assert answer.status == 201
            talks.append(talk)
            return who_has(talks, server)

        assert len(eventually(who_heard, lambda heard: len(heard) == count)) == count


def who_has(talks: Sequence[Talk], server: Server) -> set[int]:
    """The workers that have the other end of some of these connections."""
    ours = {talk.socket.getsockname()[1] for talk in talks}
    ends = {end for end, port in established(server.address).items() if port in ours}
    return {worker for worker in server.workers() if sockets(worker) & ends}


def store_of(server: Server) -> Any:
    return connections.sync(f"unix://{server.data_dir}/redis/socket")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker that knows its key, with two domains."""
    own = Server(
        tmp_path_factory.mktemp("plain") / "data",
        WORKERS="1",
        BASE_URL="https://arab.news",
        DOMAINS="other.example",
    ).start()
    known(own)
    yield own
    own.stop()


LATER = (datetime.now(UTC) + timedelta(days=3)).isoformat(timespec="seconds")
WISHES: dict[str, dict[str, Any]] = {
    "a URL alone": {},
    "a URL that browsers spell otherwise": {"url": "HTTP://Exämple.com:80/a b?q=ü#f"},
    "a title and tags": {"title": " Ein Titel, übrig ", "tags": ["News", "news", "Ü"]},
    "times": {"starts_at": LATER, "expires_at": "2099-01-01T00:00:00+05:30"},
    "where to go when it is over": {"expires_at": LATER, "expired_url": "https://e.com/over"},
    "a status, and the query passed on": {"redirect_status": 308, "forward_query": True},
    "so many visitors": {"max_clicks": 5},
    "a longer code": {"code_length": 7},
    "a random code": {"code_length": 12},
    "another domain": {"domain": "other.example"},
    "null": dict.fromkeys(("title", "tags", "expires_at", "code", "domain", "password")),
    "no other link": {"find_existing": False},
}
OWN = {"date", "etag", "location"}  # what differs between two links


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
def test_the_answer_is_that_of_flask(plain: Server, wish: dict[str, Any]) -> None:
    """Status, headers and body are the same, but for the code and the moment."""
    with without_flask(plain):
        ours = plain.api("POST", "/links", json={"url": URL} | wish)
    repeated = {"Idempotency-Key": ascii(wish)[:255]}
    theirs = plain.api("POST", "/links", json={"url": URL} | wish, headers=repeated)
    assert ours.status_code == theirs.status_code == 201, ours.text
    assert [(name, text) for name, text in ours.headers.items() if name not in OWN] == [
        (name, text) for name, text in theirs.headers.items() if name not in OWN
    ]
    made, other = ours.json(), theirs.json()
    assert len(made["code"]) == len(other["code"])
    assert made["short_url"].replace(made["code"], other["code"]) == other["short_url"]
    for name in ("created_at", "updated_at"):
        between = datetime.fromisoformat(other[name]) - datetime.fromisoformat(made[name])
        assert timedelta() <= between < timedelta(minutes=1)
    own = {name: other[name] for name in ("code", "short_url", "created_at", "updated_at")}
    assert made | own == other
    read = plain.http.get(
        ours.headers["location"], headers={"Authorization": f"Bearer {plain.key}"}
    )
    assert (read.json(), read.headers["etag"]) == (ours.json(), ours.headers["etag"])


@pytest.mark.parametrize("scheme", ["Bearer {}", "bearer  {}"])
def test_keys_are_sent_in_every_way(plain: Server, scheme: str) -> None:
    """`Authorization` in any case, or `X-Api-Key`."""
    with without_flask(plain):
        for headers in ({"Authorization": scheme.format(plain.key)}, {"X-Api-Key": plain.key}):
            answer = plain.http.post("/api/v1/links", json={"url": URL}, headers=headers)
            assert answer.status_code == 201


FAULTS: dict[str, tuple[bytes, dict[str, str], int]] = {
    "no JSON": (b"{", {}, 422),
    "a field that is none": (b'{"url":"https://e.com/","color":"red"}', {}, 422),
    "a URL that is none": (b'{"url":"ftp://e.com/"}', {}, 422),
    "no scope": (b'{"url":"https://e.com/"}', {"Authorization": "Bearer {reader}"}, 403),
    "no key": (b'{"url":"https://e.com/"}', {"Authorization": ""}, 401),
    "two keys": (
        b'{"url":"https://e.com/"}',
        {"Authorization": "Bearer {reader}", "X-Api-Key": "{admin}"},
        403,
    ),
}


@pytest.mark.parametrize(("body", "headers", "status"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_is_told(
    plain: Server, body: bytes, headers: dict[str, str], status: int
) -> None:
    """As ever, after the same key has made links."""
    reader = plain.api("POST", "/keys", json={"name": "r", "scopes": ["links:read"]}).json()["key"]
    names = {"reader": reader, "admin": plain.key}
    sent = {name: text.format_map(names) for name, text in headers.items()}
    answer = plain.api("POST", "/links", content=body, headers=sent)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_two_keys_in_one_request_are_none(plain: Server) -> None:
    """401, also when one of them is right."""
    right = ("Authorization", f"Bearer {plain.key}")
    for headers in ([("Authorization", "Bearer another"), right], [right, right]):
        answer = httpx.post(
            f"{plain.address}/api/v1/links", json={"url": URL}, headers=headers, verify=NO_TLS
        )
        assert answer.status_code == 401


def test_a_query_that_means_nothing_is_refused(plain: Server) -> None:
    """422 that names the parameter, as for every call."""
    answer = plain.api("POST", "/links?color=red", json={"url": URL})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "color")


def test_answers_keep_the_order_of_requests(plain: Server) -> None:
    """A link, a visit and another link on one connection, the bodies in pieces."""
    code = plain.make_link()["code"]
    asked, visit = head(plain.key), request(f"/{code}", host="arab.news")
    with without_flask(plain), Talk(plain.address) as talk:
        talk.say(asked + BODY[:9])
        time.sleep(0.05)
        talk.say(BODY[9:] + visit + asked + BODY)
        answers = [talk.answer() for _ in range(3)]
    assert [answer and answer.status for answer in answers] == [201, 302, 201]


def test_many_at_once_are_all_made(new_server: NewServer) -> None:
    """320 links over two workers: each has its own code, leads where it should, is in the list by
    age, and is found by its URL."""
    server = new_server(WORKERS="2").start()
    known(server)
    before = int(server.api("GET", "/links").json()["total"])
    urls = [f"https://example.com/{n}" for n in range(320)]
    with without_flask(server), ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda url: post(server, url=url), urls))
    assert {answer.status_code for answer in answers} == {201}
    codes = {answer.json()["code"]: url for answer, url in zip(answers, urls, strict=True)}
    assert len(codes) == len(urls)
    assert server.api("GET", "/links").json()["total"] == before + len(urls)
    for code, url in list(codes.items())[::20]:
        assert server.follow(code).headers["location"] == url
        again = server.api("POST", "/links", json={"url": url, "find_existing": True})
        assert (again.status_code, again.json()["code"]) == (200, code)


def test_they_are_listed_in_the_order_of_their_making(new_server: NewServer) -> None:
    """Made one after the other by two workers, also within one second."""
    server = new_server(WORKERS="2").start()
    known(server)
    with without_flask(server):
        made = [post(server).json()["code"] for _ in range(40)]
    page = server.api("GET", "/links", params={"limit": "40"}).json()["links"]
    assert [link["code"] for link in page] == made[::-1]


def test_a_code_that_is_taken_is_left_alone(new_server: NewServer) -> None:
    """The counter was set back, as by an old backup: new links get other codes, the old ones stay,
    and nothing is entered under the URL of a link that was not made."""
    server = new_server(WORKERS="1").start()
    old = {server.make_link(f"https://example.com/{n}")["code"]: n for n in range(30)}
    store = store_of(server)
    store.set(keys.NUMBER, 3)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: post(server, url=f"{URL}/{n}"), range(20)))
    assert {answer.status_code for answer in answers} == {201}
    new = {answer.json()["code"] for answer in answers}
    assert len(new) == 20
    assert new.isdisjoint(old)
    for code, n in old.items():
        assert server.follow(code).headers["location"] == f"https://example.com/{n}"
    entries = sum(store.zcard(key) for key in store.scan_iter("x:*", count=1000))
    assert entries == len(old) + len(new)


def test_a_revoked_key_makes_no_more_links(new_server: NewServer) -> None:
    """At once, on every worker; nothing of it is left in the store."""
    server = new_server(WORKERS="2", RATE_LIMIT="off").start()
    key = server.api("POST", "/keys", json={"name": "w", "scopes": ["links:write"]}).json()
    known(server, key["key"])
    with without_flask(server):
        assert {post(server, key["key"]).status_code for _ in range(8)} == {201}
    store = store_of(server)
    before, number = server.api("GET", "/links").json()["total"], int(store.get(keys.NUMBER))
    assert server.api("DELETE", f"/keys/{key['id']}").status_code == 204
    assert {post(server, key["key"]).status_code for _ in range(12)} == {401}
    assert server.api("GET", "/links").json()["total"] == before
    assert int(store.get(keys.NUMBER)) <= number + 2, "each worker has to find out once"
    assert not [used for used in store.hkeys(keys.KEY_USES) if used[:12].decode() == key["id"]]


def test_a_key_may_what_the_store_says(new_server: NewServer) -> None:
    """At each request, not only at its first."""
    server = new_server(WORKERS="1", RATE_LIMIT="off").start()
    body = {"name": "w", "scopes": ["links:write"]}
    key = server.api("POST", "/keys", json=body).json()["key"]
    known(server, key)
    store = store_of(server)
    for digest, record in store.hgetall(keys.KEYS).items():
        store.hset(keys.KEYS, digest, record.replace(b"links:write", b"links:read"))
    assert post(server, key).status_code == 403


def test_an_expired_key_makes_no_more_links(new_server: NewServer) -> None:
    """From the second on that the key says."""
    server = new_server(WORKERS="1", RATE_LIMIT="off").start()
    ends = datetime.now(UTC) + timedelta(seconds=4)
    body = {"name": "w", "scopes": ["links:write"], "expires_at": ends.isoformat()}
    key = server.api("POST", "/keys", json=body).json()["key"]
    statuses = []
    while datetime.now(UTC) < ends:
        statuses.append(post(server, key).status_code)
    assert statuses.count(201) >= 2
    time.sleep(1)  # keys end with whole seconds
    assert post(server, key).status_code == 401


def test_a_use_of_the_key_is_noted(new_server: NewServer) -> None:
    """The time of its last use shows, though Flask has not seen it."""
    server = new_server(WORKERS="1").start()
    server.make_link()
    digest = store_of(server).hkeys(keys.KEY_USES)[0]
    store_of(server).hdel(keys.KEY_USES, digest)
    with without_flask(server):
        server.make_link()
    assert store_of(server).hkeys(keys.KEY_USES) == [digest]


def test_a_limited_key_stays_limited(new_server: NewServer) -> None:
    """Its links are counted, and it is told how the limit stands, also after many."""
    server = new_server(WORKERS="1", RATE_LIMIT="20/minute").start()
    key = server.api("POST", "/keys", json={"name": "w", "scopes": ["links:write"]}).json()["key"]
    answers = [post(server, key) for _ in range(25)]
    assert [answer.status_code for answer in answers] == [201] * 20 + [429] * 5
    assert all("ratelimit" in answer.headers for answer in answers)


def test_they_are_counted_and_logged(new_server: NewServer, tmp_path: Path) -> None:
    """In the metrics and in the access log, as Flask's answers are."""
    log = tmp_path / "access.log"
    server = new_server(WORKERS="1", ACCESS_LOG=str(log)).start()
    server.make_link()
    with without_flask(server):
        size = len(server.api("POST", "/links", json={"url": URL}).content)
    found = samples(server)
    assert value(found, "requests_total", kind="api", status="201") == 2
    assert value(found, "request_seconds_count", kind="api") == 2
    server.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    made = [line for line in lines if line["path"] == "/api/v1/links" and line["bytes"] == size]
    assert [(line["kind"], line["method"], line["status"]) for line in made] == [
        ("api", "POST", 201)
    ]


def test_scripts_that_redis_forgot_are_sent_again(new_server: NewServer) -> None:
    """As after `SCRIPT FLUSH` or a failover."""
    server = new_server(WORKERS="1").start()
    known(server)
    store_of(server).script_flush()
    with without_flask(server):
        assert post(server).status_code == 201


def test_nothing_is_made_while_redis_is_away(new_server: NewServer) -> None:
    """503 in Flask's words while Redis is frozen; then links are made again, and none is lost."""
    server = new_server(WORKERS="1").start()
    made = [post(server).json()["code"] for _ in range(5)]
    (redis,) = server.pids("valkey")
    os.kill(redis, signal.SIGSTOP)
    try:
        ours = server.api("POST", "/links", json={"url": URL})
        repeated = {"Idempotency-Key": "away"}
        theirs = server.api("POST", "/links", json={"url": URL}, headers=repeated)
    finally:
        os.kill(redis, signal.SIGCONT)
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())
    assert ours.status_code == 503
    assert {n: t for n, t in ours.headers.items() if n != "date"} == {
        n: t for n, t in theirs.headers.items() if n != "date"
    }
    made.append(eventually(lambda: post(server), lambda a: a.status_code == 201).json()["code"])
    os.kill(redis, signal.SIGKILL)
    made.append(eventually(lambda: post(server), lambda a: a.status_code == 201).json()["code"])
    found = eventually(lambda: server.follow(made[0]).status_code, (302).__eq__)  # it connects, too
    assert [found, *(server.follow(code).status_code for code in made[1:])] == [302] * len(made)


@pytest.mark.parametrize("command", [b"INCRBY", b"EVALSHA"])
def test_what_redis_did_not_confirm_is_not_acknowledged(
    new_server: NewServer, tmp_path: Path, command: bytes
) -> None:
    """A reply is lost: 503, and the next request makes a link."""
    redis = private_redis(tmp_path / "redis")
    cutting = Cutting(tmp_path / "cutting", Path(redis.url.removeprefix("unix://")))
    try:
        server = new_server(REDIS_URL=cutting.url, WORKERS="1").start()
        known(server)
        cutting.cut_reply_to = command
        assert (post(server).status_code, cutting.cuts) == (503, 1)
        assert post(server).status_code == 201
        server.stop()
    finally:
        cutting.close()
        redis.stop()


def test_what_redis_refuses_is_not_acknowledged(new_server: NewServer) -> None:
    """The index of one URL, or of one tag, cannot be written: 500 for each link that needs it.
    Those that are made together with them are made."""
    server = new_server(WORKERS="1").start()
    known(server)
    url, store = "https://example.com/refused", store_of(server)
    digest = hashlib.blake2b(url.encode(), digest_size=8).digest()
    store.set(keys.urls(keys.bucket(url), digest), "no set")
    for bucket in keys.BUCKETS:
        store.set(keys.tag_index(bucket, "refused"), "no set")
    before = server.api("GET", "/links").json()["total"]
    wishes = [{"url": url}, {"tags": ["refused"]}, {"url": URL}, {"tags": ["good"]}] * 20
    with without_flask(server), ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(lambda wish: post(server, **wish).status_code, wishes))
    assert set(statuses[0::4]) == {500}
    # one script makes links of one bucket: who is in it together with such a tag is refused as well
    assert set(statuses[1::4]) == {500}
    assert set(statuses[2::4]) | set(statuses[3::4]) <= {201, 500}
    assert statuses[2::4].count(201) + statuses[3::4].count(201) > 20
    store.delete(*(keys.tag_index(bucket, "refused") for bucket in keys.BUCKETS))
    assert server.api("GET", "/links").json()["total"] >= before + statuses.count(201)
    assert "WRONGTYPE" in server.errors()


def test_a_use_that_cannot_be_noted_costs_no_link(new_server: NewServer) -> None:
    """As when somebody put something else where uses of keys are kept."""
    server = new_server(WORKERS="1").start()
    server.make_link()
    store_of(server).delete(keys.KEY_USES)
    store_of(server).set(keys.KEY_USES, "no hash")
    with without_flask(server):
        assert post(server).status_code == 201
    store_of(server).delete(keys.KEY_USES)


def test_a_damaged_key_costs_nobody_else_a_link(new_server: NewServer) -> None:
    """Its record cannot be read: 500 for whoever sends it."""
    server = new_server(WORKERS="1", RATE_LIMIT="off").start()
    body = {"name": "w", "scopes": ["links:write"]}
    damaged = server.api("POST", "/keys", json=body).json()["key"]
    known(server)
    known(server, damaged)
    digest = hashlib.sha256(damaged.encode()).hexdigest()
    store_of(server).hset(keys.KEYS, digest, "{")
    with ThreadPoolExecutor(16) as threads:
        sent = [server.key, damaged] * 20
        statuses = list(threads.map(lambda key: post(server, key).status_code, sent))
    assert set(statuses[0::2]) == {201}
    assert set(statuses[1::2]) == {500}


def test_a_full_redis_makes_nothing(new_server: NewServer) -> None:
    """503 while there is no memory left."""
    server = new_server(WORKERS="1").start()
    known(server)
    store_of(server).config_set("maxmemory", "1")
    assert post(server).status_code == 503
    store_of(server).config_set("maxmemory", "0")
    assert post(server).status_code == 201


def test_a_client_that_vanishes_costs_nobody_else_a_link(new_server: NewServer) -> None:
    """Whoever asks together with clients that hang up at once is answered."""
    server = new_server(WORKERS="1").start()
    known(server)
    asked = head(server.key) + BODY

    def vanish(_: int) -> None:
        with Talk(server.address) as talk:
            talk.say(asked)

    with ThreadPoolExecutor(16) as threads:
        gone = threads.map(vanish, range(60))
        statuses = {answer.status_code for answer in threads.map(lambda _: post(server), range(60))}
        assert len(list(gone)) == 60
    assert statuses == {201}
    assert "Traceback" not in server.errors()
