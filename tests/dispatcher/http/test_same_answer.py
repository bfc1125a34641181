"""Both clients read one answer alike, whatever it is: the merchant never learns which of them the platform uses."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dispatcher.http.door import Request
from dispatcher.outcomes import Outcome, Reason
from tests.dispatcher.http.conftest import CLIENTS, Sender, collect, target_of
from tests.receivers import Connection, Receiver

TCP_CORK = getattr(socket, "TCP_CORK", socket.TCP_NODELAY)
# Linux; elsewhere the end may come a moment after the answer.
TEXT = st.binary(max_size=6) | st.sampled_from([b" ", b"\t", b"\r", b"\n", b"\0", b":", b"200", b"chunked", b"close"])
STATUS = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 500 X", b"HTTP/1.1 103 X"),
        *(b"HTTP/1.1 304 X", b"HTTP/1.1 204 X", b"HTTP/1.1  200 OK", b"HTTP/1.1 2000"),
        *(b"http/1.1 200 OK", b"HTTP/1.1 101 X"),
    ]
)
NAME = st.sampled_from(
    [b"Content-Length", b"Transfer-Encoding", b"Connection", b"X", b"Content-Encoding", b"content-length", b" X", b""]
)
VALUE = st.sampled_from(
    [
        *(b"0", b"2", b"5", b"-1", b"+2", b"2, 2", b"chunked", b"Chunked", b"gzip, chunked", b"chunked, gzip"),
        *(b"identity", b"close", b"keep-alive", b"9" * 20, b"0x2", b"", b"gzip", b"2;", b"\xff", b" 2 "),
    ]
)
LINE_END = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b"\r\n "])
HEADER = st.builds(lambda name, value, end: name + b": " + value + end, NAME, VALUE, LINE_END)
CHUNKS = st.lists(
    st.sampled_from(
        [
            *(b"2\r\nok\r\n", b"5;x=y\r\nhello\r\n", b"0\r\n", b"\r\n", b"X: y\r\n", b"A\r\n0123456789\r\n"),
            *(b"2\nok\n", b"zz\r\n", b"002\r\nok\r\n", b"2 \r\nok\r\n", b"-2\r\nok\r\n", b"1_0\r\n", b" 1\r\n"),
            *(b"ffffffffffffffff\r\n", b"2\r\nokay\r\n"),
        ]
    ),
    max_size=6,
).map(b"".join)
BLOCK = st.builds(
    lambda status, end, headers, last: status + end + b"".join(headers) + last,
    STATUS,
    LINE_END,
    st.lists(HEADER, max_size=4),
    st.sampled_from([b"\r\n"] * 6 + [b"\n", b"", b"\r\r\n"]),
)
ANSWER = st.builds(lambda blocks, body: b"".join(blocks) + body, st.lists(BLOCK, min_size=1, max_size=2), CHUNKS | TEXT)
SPOILED = st.builds(
    lambda answer, at, piece: answer[: at % (len(answer) + 1)] + piece + answer[at % (len(answer) + 1) :],
    ANSWER,
    st.integers(0, 400),
    TEXT,
)


class Told:
    """A receiver that says what it is told to, and hangs up."""

    def __init__(self, senders: list[Sender]) -> None:
        self._clients = [sender.client() for sender in senders]
        self._answer = b""
        self.receiver = Receiver(self._script)

    def _script(self, connection: Connection) -> None:
        if connection.read_request() is not None:
            # With the answer comes the end, so that no client takes the connection for one that is kept alive.
            connection.sock.setsockopt(socket.IPPROTO_TCP, TCP_CORK, 1)
            connection.send(self._answer)

    def outcomes(self, answer: bytes) -> list[Outcome]:
        self._answer = answer
        request = Request("key", target_of(self.receiver.url()), (), b"x")
        for client in self._clients:
            client.submit(request)
        return [collect(client, 1, within_s=3)[0].outcome for client in self._clients]


@pytest.fixture(scope="module")
def told(ca_file: str) -> Iterator[Told]:
    senders = [Sender(kind, ca_file) for kind in sorted(CLIENTS)]
    made = Told(senders)
    with made.receiver:
        yield made
    for sender in senders:
        sender.close()


def gist(outcome: Outcome) -> tuple[Reason, int | None]:
    """What is wrong and ends too early may be called either: curl judges as it reads, requests what it has read."""
    is_cut = outcome.reason is Reason.CONNECTION_CLOSED
    return (Reason.PROTOCOL_ERROR if is_cut else outcome.reason), outcome.status


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(answer=ANSWER | SPOILED)
@example(answer=b"HTTP/1.1 200 OK\r\n" + b"Connection: x\r\n" * 200 + b"\r\n")
@example(answer=b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok")
@example(answer=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nok\r\n0\r\n\r\n")
def test_one_answer_one_outcome(told: Told, answer: bytes) -> None:
    curl, requests = told.outcomes(answer)
    assert gist(curl) == gist(requests)
    assert curl.reason is not Reason.INTERNAL_ERROR
