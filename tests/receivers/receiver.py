"""A raw-socket receiver that keeps a ledger: every connection runs a script, every full request is written down."""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from dispatcher.http.tls_socket import TlsSocket

STACK_BYTES = 256 * 1024
# Scripts are shallow; thousands of threads must fit.
READ_BYTES = 65_536
PATIENCE_S = 30.0
# A script that waits for its client longer than this was forgotten by its test.


@dataclass(frozen=True, slots=True)
class Received:
    """One complete request, as it came."""

    connection: int
    line: str
    head: bytes
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        rows = self.head.decode("latin-1").split("\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (row.partition(":") for row in rows if row)]

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return found[0] if found else None


class Connection:
    """What a script holds in its hand: one accepted connection."""

    def __init__(self, receiver: "Receiver", sock: socket.socket, number: int) -> None:
        self.receiver = receiver
        self.sock = sock
        self.number = number
        self._buffer = b""

    def read_request(self) -> Received | None:
        """The next complete request, also entered in the ledger; None when the client hung up."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._fill():
                return None
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        self._buffer = rest
        received = Received(self.number, head.split(b"\r\n", 1)[0].decode("latin-1"), head, b"")
        length = int(received.header("content-length") or 0)
        while len(self._buffer) < length:
            if not self._fill():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        full = Received(self.number, received.line, head, body)
        self.receiver.enter(full)
        return full

    def read_head(self) -> None:
        """Wait for the end of the request's headers and leave the body where it is."""
        while b"\r\n\r\n" not in self._buffer and self._fill():
            pass

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, *, every_s: float, size: int = 1) -> None:
        """Send `size` bytes at a time."""
        for start in range(0, len(data), size):
            self.send(data[start : start + size])
            if self.pause(every_s):
                return

    def pause(self, seconds: float) -> bool:
        """Sleep; true when the receiver is being closed meanwhile."""
        return self.receiver.stopping.wait(seconds)

    def hold(self) -> None:
        """Stay silent until the client hangs up or the receiver is closed, and never read."""
        self.receiver.stopping.wait(PATIENCE_S)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def _fill(self) -> bool:
        data = self.sock.recv(READ_BYTES)
        self._buffer += data
        return bool(data)


Script = Callable[[Connection], None]


class Receiver:
    """Listens on a free port of `host` and runs `script` for each connection, in a thread of its own.

    `connections` counts what was accepted, `requests` is what was read in full: assertions about "nothing was sent"
    need both. With `tls` the script starts after the handshake; failed handshakes count as connections.
    """

    def __init__(
        self,
        script: Script,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        self._script = script
        self._tls = tls
        self._lock = threading.Lock()
        self._ledger: list[Received] = []
        self._sockets: set[socket.socket] = set()
        self.connections = 0
        self.stopping = threading.Event()
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer_bytes is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._listener.bind((host, 0))
        self._listener.listen(4_096)
        self.host = host
        self.port = int(self._listener.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        # shutdown wakes accept(); close alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    @property
    def requests(self) -> list[Received]:
        with self._lock:
            return list(self._ledger)

    def enter(self, received: Received) -> None:
        with self._lock:
            self._ledger.append(received)

    def url(self, path: str = "/", *, name: str | None = None) -> str:
        """The URL of `path`; `name` stands in for the address when a resolver is to find it."""
        scheme = "https" if self._tls else "http"
        host = name or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{scheme}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            # Without it TLS tickets and the answer make two small packets, and the second waits 40 ms for an ACK.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                number = self.connections
                self._sockets.add(sock)
            previous = threading.stack_size(STACK_BYTES)
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()
            threading.stack_size(previous)

    def _serve(self, sock: socket.socket, number: int) -> None:
        served = sock
        # The client hanging up in the middle of a script is the normal end of many scripts.
        with contextlib.suppress(OSError):
            served = self._secure(sock)
            self._script(Connection(self, served, number))
        with self._lock:
            self._sockets -= {sock, served}
        served.close()

    def _secure(self, sock: socket.socket) -> socket.socket:
        if self._tls is None:
            return sock
        self._tls.sslsocket_class = TlsSocket
        try:
            secured = self._tls.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()
            raise
        with self._lock:
            self._sockets.add(secured)
        return secured
