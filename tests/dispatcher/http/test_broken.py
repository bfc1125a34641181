"""Receivers that break off or talk nonsense, in every phase."""

import socket

import pytest

from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import Sender
from tests.receivers import Connection, Receiver
from tests.receivers.scripts import once, then

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def test_nobody_listens(sender: Sender) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        outcome = sender.send(f"http://127.0.0.1:{port}/")
    assert (outcome.reason, outcome.status) == (Reason.CONNECT_REFUSED, None)


@pytest.mark.parametrize(
    ("sent", "act", "reason"),
    [
        (b"", Connection.close, Reason.CONNECTION_CLOSED),
        (b"", Connection.reset, Reason.CONNECTION_RESET),
        (b"HT", Connection.close, Reason.CONNECTION_CLOSED),
        (b"HTTP/1.1 20", Connection.close, Reason.CONNECTION_CLOSED),
        (HEAD, Connection.close, Reason.CONNECTION_CLOSED),
        (HEAD + b"A: b\r\nC: ", Connection.close, Reason.CONNECTION_CLOSED),
        (HEAD + b"A: b\r\n", Connection.reset, Reason.CONNECTION_RESET),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Connection.close, Reason.CONNECTION_CLOSED),
    ],
)
def test_the_end_before_complete_headers(sender: Sender, sent: bytes, act: object, reason: Reason) -> None:
    with Receiver(then(sent, act)) as receiver:  # type: ignore[arg-type]
        outcome = sender.send(receiver.url())
        assert (receiver.connections, len(receiver.requests)) == (1, 1)
    assert (outcome.reason, outcome.status, outcome.headers) == (reason, None, "")


@pytest.mark.parametrize("act", [Connection.close, Connection.reset])
def test_the_end_before_the_request(sender: Sender, act: object) -> None:
    with Receiver(act) as receiver:  # type: ignore[arg-type]
        outcome = sender.send(receiver.url())
        assert receiver.connections == 1
    assert outcome.reason in {Reason.CONNECTION_CLOSED, Reason.CONNECTION_RESET}


@pytest.mark.parametrize(
    "answer",
    [
        b"hello",
        b"<html>HTTP/0.9 looks like this</html>",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"SMTP ready\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 1000 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/1.7 200 OK\r\n\r\n",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b"A: nul\0\r\n\r\n",
        HEAD + b"Content-Length: many\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ],
)
def test_nonsense_instead_of_headers(sender: Sender, answer: bytes) -> None:
    with Receiver(then(answer, Connection.hold)) as receiver:
        outcome = sender.send(receiver.url())
    assert (outcome.reason, outcome.status) == (Reason.PROTOCOL_ERROR, None)
    assert outcome.phases.total < 900


@pytest.mark.parametrize(
    ("answer", "act", "body", "error"),
    [
        (HEAD + b"Content-Length: 10\r\n\r\nhello", Connection.close, b"hello", "connection_closed"),
        (HEAD + b"Content-Length: 10\r\n\r\nhello", Connection.reset, b"hello", "connection_reset"),
        (HEAD + b"Content-Length: 1000000000000\r\n\r\nhello", Connection.hold, b"hello", "response_timeout"),
        (CHUNKED + b"5\r\nhello\r\n", Connection.close, b"hello", "connection_closed"),
        (CHUNKED + b"9\r\nhello", Connection.close, b"hello", "connection_closed"),
        (CHUNKED + b"5\r\nhello\r\nzz\r\n", Connection.hold, b"hello", "protocol_error"),
        (CHUNKED + b"5\r\nhello\r\n-5\r\n", Connection.hold, b"hello", "protocol_error"),
    ],
)
@pytest.mark.parametrize("status", [200, 503])
def test_trouble_in_the_body_is_noted_and_changes_nothing(
    sender: Sender, status: int, answer: bytes, act: object, body: bytes, error: str
) -> None:
    with Receiver(then(answer.replace(b"200", b"%d" % status, 1), act)) as receiver:  # type: ignore[arg-type]
        outcome = sender.send(receiver.url(), deadline_s=0.5)
    assert outcome.reason is (Reason.DELIVERED if status == 200 else Reason.HTTP_SERVER_ERROR)
    assert (outcome.status, outcome.body_error) == (status, error)
    assert body.startswith(outcome.body)


def test_a_broken_connection_is_not_used_again(sender: Sender) -> None:
    with Receiver(once(HEAD + b"Content-Length: 10\r\n\r\nhello")) as receiver:
        client = sender.client()
        for _ in range(2):
            assert sender.send(receiver.url(), client=client).body_error == "connection_closed"
        assert (receiver.connections, len(receiver.requests)) == (2, 2)
