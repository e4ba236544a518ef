"""A wire to a server that can lose an answer, after its effect, or hold it back."""

import contextlib
import socket
import threading


class Wire:
    """Stands between a client and the server at `address` (http://host:port)."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.lose: bytes | None = None  # the next answer to a request with this in it
        self.hold: bytes | None = None  # all answers to requests with this in them
        self.lost = 0
        self.held = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes up who waits in accept
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with contextlib.suppress(ConnectionRefusedError), client, self._dial() as server:
            fate = [""]  # of the answers on this connection
            asking = threading.Thread(target=self._ask, args=(client, server, fate), daemon=True)
            asking.start()
            self._answer(server, client, fate)
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            asking.join()

    def _dial(self) -> socket.socket:
        return socket.create_connection(self._target)

    def _ask(self, client: socket.socket, server: socket.socket, fate: list[str]) -> None:
        with contextlib.suppress(OSError):
            while some := client.recv(1 << 16):
                if self.lose is not None and self.lose in some:
                    self.lose, fate[0] = None, "lost"
                if self.hold is not None and self.hold in some:
                    fate[0] = "held"
                server.sendall(some)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, server: socket.socket, client: socket.socket, fate: list[str]) -> None:
        with contextlib.suppress(OSError):
            while some := server.recv(1 << 16):
                if fate[0] == "lost":
                    self.lost += 1
                    return
                if fate[0] == "held":
                    self.held.set()
                else:
                    client.sendall(some)
