"""A load generator on one thread: ready-made requests over kept-alive connections, at full speed or by the clock."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.receivers import HOST

READ_BYTES = 262_144
ANSWER_S = 30.0
# No answer for so long and the run is broken.
LENGTH = b"content-length: "


class LoadFailed(Exception):
    """The server hung up, went silent, or answered something that cannot be read."""


@dataclass(slots=True)
class Answer:
    """What came back for one request. `due_at` is when it should have left; nanoseconds of the monotonic clock."""

    number: int
    due_at: int
    status: int = 0
    body: bytes = b""
    answered_at: int = 0


@dataclass(slots=True)
class _Connection:
    sock: socket.socket
    answer: Answer | None = None
    data: bytes = b""
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))


class Load:
    """Connections to one server. `close` when done."""

    def __init__(self, port: int, *, connections: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._connections = [self._connect(port) for _ in range(connections)]
        self._idle = deque(self._connections)

    def closed_loop(self, requests: Sequence[bytes]) -> tuple[list[Answer], float]:
        """Each connection sends its next request when it has its answer. Returns the answers and the seconds taken."""
        began = time.monotonic_ns()
        answers: list[Answer] = []
        waiting = deque(enumerate(requests))
        while len(answers) < len(requests):
            while waiting and self._idle:
                number, request = waiting.popleft()
                self._send(self._idle.popleft(), request, Answer(number, time.monotonic_ns()))
            answers += self._wait(ANSWER_S)
        return answers, (time.monotonic_ns() - began) / 1e9

    def open_loop(self, requests: Sequence[bytes], *, rate: float) -> list[Answer]:
        """Each request leaves at its own time, whether or not the earlier ones are answered."""
        began = time.monotonic_ns()
        answers: list[Answer] = []
        sent = 0
        while len(answers) < len(requests):
            due_at = began + int(sent * 1e9 / rate)
            if sent < len(requests) and due_at <= time.monotonic_ns():
                if not self._idle:
                    raise LoadFailed("every connection waits for an answer: the system is not idle")
                self._send(self._idle.popleft(), requests[sent], Answer(sent, due_at))
                sent += 1
                continue
            patience = (due_at - time.monotonic_ns()) / 1e9 if sent < len(requests) else ANSWER_S
            answers += self._wait(max(0.0, patience), is_silence_fine=sent < len(requests))
        return answers

    def close(self) -> None:
        for connection in self._connections:
            self._selector.unregister(connection.sock)
            connection.sock.close()
        self._selector.close()

    def _connect(self, port: int) -> _Connection:
        sock = socket.create_connection((HOST, port), timeout=ANSWER_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        connection = _Connection(sock)
        self._selector.register(sock, selectors.EVENT_READ, connection)
        return connection

    def _send(self, connection: _Connection, request: bytes, answer: Answer) -> None:
        connection.answer, connection.unsent = answer, memoryview(request)
        self._push(connection)

    def _push(self, connection: _Connection) -> None:
        """Send what the socket takes; a batch takes more than one go."""
        try:
            sent = connection.sock.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        connection.unsent = connection.unsent[sent:]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        if self._selector.get_key(connection.sock).events != events:
            self._selector.modify(connection.sock, events, connection)

    def _wait(self, timeout_s: float, *, is_silence_fine: bool = False) -> list[Answer]:
        finished = []
        ready = self._selector.select(timeout_s)
        if not ready and not is_silence_fine:
            raise LoadFailed(f"no answer for {timeout_s:g} s")
        for key, events in ready:
            if events & selectors.EVENT_WRITE:
                self._push(key.data)
            if events & selectors.EVENT_READ and (answer := self._read(key.data)):
                finished.append(answer)
        return finished

    def _read(self, connection: _Connection) -> Answer | None:
        chunk = connection.sock.recv(READ_BYTES)
        answer = connection.answer
        if not chunk or answer is None:
            raise LoadFailed("the server hung up or spoke unasked")
        connection.data += chunk
        body = answer_body(connection.data)
        if body is None:
            return None
        answer.answered_at = time.monotonic_ns()
        answer.status, answer.body = int(connection.data[9:12]), body
        connection.data, connection.answer = b"", None
        self._idle.append(connection)
        return answer


def answer_body(data: bytes) -> bytes | None:
    """The body of the answer in `data`; None while it is not complete."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    head = data[: head_end + 2].lower()
    body = data[head_end + 4 :]
    at = head.find(LENGTH)
    if at >= 0:
        return body if len(body) >= int(head[at + len(LENGTH) : head.index(b"\r", at)]) else None
    if b"transfer-encoding: chunked" not in head:
        raise LoadFailed("an answer without a length")
    return body if body.endswith(b"0\r\n\r\n") else None


def post(path: str, body: bytes, *, key: str) -> bytes:
    """A request for publishing, as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
