"""What one would build by hand: nginx alone, and nginx with Lua and Redis.

*nginx* answers every request with the same `return 302`: it looks nothing up and counts nothing,
and shows what the machine can do.  *nginx + Lua + Redis* is the shortener in one file: a worker for
each processor asks a Valkey on a unix socket, over kept connections, for the destination, and adds
to its clicks in the same round trip.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import redis

from benchmarks.contenders import Alike, valkey
from benchmarks.destinations import destination

LUA = Path("/usr/share/lua/5.1/nginx/redis.lua")  # of Debian's lua-nginx-redis
MODULES = (
    "/usr/lib/nginx/modules/ndk_http_module.so",
    "/usr/lib/nginx/modules/ngx_http_lua_module.so",
)
POOL = 256  # connections of a worker to the store
BATCH = 1_000  # links made at once

_CONFIGURATION = """
{modules}
daemon off;
{user}
worker_processes {workers};
pid {directory}/pid;
error_log {directory}/errors;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    {answer}
  }}
}}
"""
_FOLLOW = """
location / {
  content_by_lua_block {
    local store = require("nginx.redis"):new()
    store:set_timeout(1000)
    if not store:connect("unix:SOCKET") then return ngx.exit(503) end
    local code = string.sub(ngx.var.uri, 2)
    store:init_pipeline(2)
    store:get("link:" .. code)
    store:hincrby("clicks", code, 1)
    local found = store:commit_pipeline()
    if not found then return ngx.exit(503) end
    store:set_keepalive(60000, POOL)
    if found[1] == ngx.null then return ngx.exit(404) end
    return ngx.redirect(found[1], 302)
  }
}
"""


class Nginx(Alike):
    """nginx with one answer for everybody."""

    name = "nginx"

    @classmethod
    def missing(cls) -> str:
        if shutil.which("nginx", path=_path()) is None:
            return "nginx is not installed: apt-get install nginx"
        return ""

    def _start(self) -> None:
        self._serve(f"return 302 {destination(0)};", (), 302)

    def _serve(self, answer: str, modules: Sequence[str], wanted: int) -> None:
        """Run nginx with an answer; `/no-such-code` gets the status `wanted`."""
        configuration = self.directory / "nginx.conf"
        text = _CONFIGURATION.format(
            modules="\n".join(f"load_module {module};" for module in modules),
            user="user root;" if os.getuid() == 0 else "",  # whose directory it is
            workers=os.cpu_count() or 1,
            directory=self.directory,
            port=self.port,
            answer=answer,
        )
        configuration.write_text(text, "utf-8")
        binary = str(shutil.which("nginx", path=_path()))
        command = [binary, "-p", str(self.directory), "-e", f"{self.directory}/errors"]
        process = self._run([*command, "-c", str(configuration)], os.environ)
        self._wait(process, "/no-such-code", wanted)


class Lua(Nginx):
    """nginx with Lua, and a Valkey behind it."""

    name = "nginx + Lua + Redis"
    counting_delay = 0.3  # a click is counted before its answer; the last ones are under way
    counts = True

    @classmethod
    def missing(cls) -> str:
        absent = [file for file in (*MODULES, str(LUA)) if not Path(file).exists()]
        if super().missing() or absent:
            wanted = "nginx libnginx-mod-http-lua lua-nginx-redis"
            return f"nginx with Lua and its Redis client is not installed: apt-get install {wanted}"
        return ""

    def fill(self, links: int) -> list[str]:
        codes = super().fill(links)
        with redis.Redis(unix_socket_path=str(self._socket)) as store:
            for first in range(0, links, BATCH):
                numbers = range(first, min(first + BATCH, links))
                store.mset({f"link:{codes[number]}": destination(number) for number in numbers})
        return codes

    def location(self, number: int) -> str:
        return destination(number)

    def clicks(self, codes: Sequence[str]) -> int:  # noqa: ARG002 - one hash has them all
        with redis.Redis(unix_socket_path=str(self._socket)) as store:
            return sum(map(int, store.hvals("clicks")))

    @property
    def _socket(self) -> Path:
        return self.directory / "socket"

    def _start(self) -> None:
        self._run(valkey(self._socket, self.directory), os.environ)
        answer = _FOLLOW.replace("SOCKET", str(self._socket)).replace("POOL", str(POOL))
        self._serve(answer, MODULES, 404)


def _path() -> str:
    """Where nginx may be: Debian has it beside what only root needs."""
    return os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
