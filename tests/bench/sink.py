"""A receiver that answers 200 and does nothing else: one process, one epoll loop, any number of kept-alive connections.

`python -m tests.bench.sink --port-file FILE [--record]`. It hears all of 127.0.0.0/8 at one port, so each of those
addresses is a receiver of its own to whoever sends. `GET /count` tells how many POSTs it has answered. With `--record`
it also notes when each came; `GET /records` hands out lines of `<monotonic ns> <first member of the body>`.
"""

import argparse
import contextlib
import resource
import select
import socket
import time
from pathlib import Path

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK"
READ_BYTES = 65_536
BACKLOG = 4_096
LENGTH = b"content-length: "


class Sink:
    """The loop and what it counted."""

    def __init__(self, listener: socket.socket, *, is_recording: bool) -> None:
        self._listener = listener
        self._is_recording = is_recording
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._rests: dict[int, bytes] = {}
        self._records: list[bytes] = []
        self._count = 0

    def run(self) -> None:
        listener_fd = self._listener.fileno()
        self._epoll.register(listener_fd, select.EPOLLIN)
        while True:
            for fd, _ in self._epoll.poll():
                if fd == listener_fd:
                    self._accept()
                else:
                    self._read(fd)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                client, (peer, _) = self._listener.accept()
                if not peer.startswith("127."):
                    client.close()
                    continue
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets[client.fileno()] = client
                self._epoll.register(client.fileno(), select.EPOLLIN)

    def _read(self, fd: int) -> None:
        client = self._sockets[fd]
        try:
            data = client.recv(READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self._drop(fd)
            return
        data = self._rests.pop(fd, b"") + data
        while data and (end := request_end(data)):
            self._answer(client, data[:end])
            data = data[end:]
        if data:
            self._rests[fd] = data

    def _answer(self, client: socket.socket, request: bytes) -> None:
        if request.startswith(b"POST"):
            self._count += 1
            if self._is_recording:
                self._record(request)
            answer = ANSWER
        else:
            answer = self._tell(request)
        with contextlib.suppress(ConnectionError):
            if len(answer) > READ_BYTES:
                client.setblocking(True)
                client.sendall(answer)
                client.setblocking(False)
            else:
                client.send(answer)

    def _record(self, request: bytes) -> None:
        body = request[request.index(b"\r\n\r\n") + 4 :]
        self._records.append(b"%d %s" % (time.monotonic_ns(), body[: body.index(b",")]))

    def _tell(self, request: bytes) -> bytes:
        body = b"\n".join(self._records) if b" /records " in request else b"%d" % self._count
        if b" /records " in request:
            self._records = []
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def _drop(self, fd: int) -> None:
        self._epoll.unregister(fd)
        self._sockets.pop(fd).close()
        self._rests.pop(fd, None)


def request_end(data: bytes) -> int:
    """Where the first request in `data` ends; 0 while it is not complete."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return 0
    at = data.lower().find(LENGTH, 0, head_end + 2)
    length = int(data[at + len(LENGTH) : data.index(b"\r", at)]) if at >= 0 else 0
    end = head_end + 4 + length
    return end if len(data) >= end else 0


def listen() -> socket.socket:
    """On every address, but reachable through the loopback device only."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Where the kernel does not allow it, `_accept` turns strangers away.
    with contextlib.suppress(PermissionError, AttributeError):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
    listener.bind(("0.0.0.0", 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = listen()
    draft = options.port_file.with_suffix(".new")
    draft.write_text(str(listener.getsockname()[1]))
    draft.replace(options.port_file)
    Sink(listener, is_recording=options.record).run()


if __name__ == "__main__":
    main()
