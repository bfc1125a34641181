"""Receivers that take their time: each phase ends at the deadline, with the reason of that phase."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dispatcher.http.door import Request
from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import DEADLINE_S, GRACE_S, Sender, collect, target_of
from tests.receivers import Connection, Receiver
from tests.receivers.certificates import NAME
from tests.receivers.scripts import OK, endless, hold, keep_alive, then

HEAD = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose listener never accepts and whose queue is full: SYNs to it go unanswered."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    waiting = [socket.socket() for _ in range(8)]
    for sock in waiting:
        sock.settimeout(0)
        sock.connect_ex(("127.0.0.1", port))
    time.sleep(0.05)
    try:
        yield port
    finally:
        for sock in (*waiting, listener):
            sock.close()


def drip(data: bytes) -> Receiver:
    return Receiver(then(b"", lambda connection: connection.drip(data, every_s=0.05)))


def test_dns(sender: Sender) -> None:
    sender.names.delay_s = 3.0
    outcome = sender.send(f"http://{NAME}:8080/", deadline_s=0.5)
    assert (outcome.reason, outcome.peer) == (Reason.DNS_TIMEOUT, "")


def test_connect(sender: Sender) -> None:
    with full_backlog() as port:
        outcome = sender.send(f"http://127.0.0.1:{port}/")
    assert outcome.reason is Reason.CONNECT_TIMEOUT
    assert outcome.phases.connect is None
    assert outcome.phases.send is None


def test_tls_handshake(sender: Sender) -> None:
    with Receiver(hold) as receiver:
        outcome = sender.send(f"https://127.0.0.1:{receiver.port}/")
    assert outcome.reason is Reason.TLS_TIMEOUT
    assert outcome.phases.connect is not None
    assert outcome.phases.tls is None


def test_tls_handshake_byte_by_byte(sender: Sender) -> None:
    def script(connection: Connection) -> None:
        connection.sock.recv(65_536)
        # A record that announces more than ever comes.
        connection.drip(b"\x16\x03\x03\x40\x00\x02" + b"\0" * 1_000, every_s=0.05)

    with Receiver(script) as receiver:
        outcome = sender.send(f"https://127.0.0.1:{receiver.port}/")
    assert outcome.reason is Reason.TLS_TIMEOUT


@pytest.mark.parametrize("script", [hold, lambda connection: (connection.read_head(), connection.hold())])
def test_writing_the_body(sender: Sender, script: object) -> None:
    with Receiver(script, receive_buffer_bytes=4_096) as receiver:  # type: ignore[arg-type]
        outcome = sender.send(receiver.url(), body=b"x" * 8_000_000)
        assert receiver.requests == []
    assert outcome.reason is Reason.WRITE_TIMEOUT
    assert outcome.phases.wait is None


def test_no_answer(sender: Sender) -> None:
    with Receiver(then(b"", Connection.hold)) as receiver:
        outcome = sender.send(receiver.url())
        assert len(receiver.requests) == 1
    assert (outcome.reason, outcome.status) == (Reason.RESPONSE_TIMEOUT, None)
    assert outcome.phases.send is not None
    assert outcome.phases.wait is None


@pytest.mark.parametrize("data", [HEAD + b"X: " + b"y" * 1_000, b"HTTP/1.1 200 " + b"y" * 1_000, HEAD * 100])
def test_headers_byte_by_byte(sender: Sender, data: bytes) -> None:
    with drip(data) as receiver:
        assert sender.send(receiver.url()).reason is Reason.RESPONSE_TIMEOUT


@pytest.mark.slow
def test_headers_byte_by_byte_with_the_real_deadline(sender: Sender) -> None:
    with drip(HEAD + b"X: " + b"y" * 1_000) as receiver:
        outcome = sender.send(receiver.url(), deadline_s=10.0)
    assert outcome.reason is Reason.RESPONSE_TIMEOUT
    assert 9_500 < outcome.phases.total < 10_500


def test_interim_answers_without_end(sender: Sender) -> None:
    with Receiver(endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n", every_s=0.05)) as receiver:
        assert sender.send(receiver.url()).reason is Reason.RESPONSE_TIMEOUT


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"\r\n", b"x"),
        (b"Content-Length: 1000\r\n\r\n", b"x"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
@pytest.mark.parametrize(("status", "reason"), [(200, Reason.DELIVERED), (500, Reason.HTTP_SERVER_ERROR)])
def test_body_byte_by_byte_does_not_change_what_the_headers_said(
    sender: Sender, head: bytes, piece: bytes, status: int, reason: Reason
) -> None:
    with Receiver(endless(b"HTTP/1.1 %d X\r\n" % status + head, piece, every_s=0.05)) as receiver:
        outcome = sender.send(receiver.url(), deadline_s=0.5)
    assert (outcome.reason, outcome.status, outcome.body_error) == (reason, status, "response_timeout")
    assert outcome.body == b"x" * len(outcome.body) != b""


def test_a_slow_but_complete_answer_in_time_is_a_delivery(sender: Sender) -> None:
    answer = b"HTTP/1.1 103 Hints\r\n\r\n" + OK
    with Receiver(then(b"", lambda connection: connection.drip(answer, every_s=0.005))) as receiver:
        outcome = sender.send(receiver.url())
    assert (outcome.reason, outcome.body, outcome.body_error) == (Reason.DELIVERED, b"ok", "")


def test_slow_ones_do_not_hold_up_the_others(sender: Sender) -> None:
    """Header drip beside requests that are answered at once, on one client."""
    with drip(HEAD + b"X: " + b"y" * 1_000) as slow, Receiver(keep_alive()) as quick:
        client = sender.client()
        began = time.monotonic()
        for number in range(20):
            client.submit(Request(("slow", number), target_of(slow.url()), (), b"x"))
            client.submit(Request(("quick", number), target_of(quick.url()), (), b"x"))
        first = collect(client, 20, within_s=DEADLINE_S / 2)
        rest = collect(client, 40 - len(first), within_s=DEADLINE_S + GRACE_S)
        took_s = time.monotonic() - began
    assert {finished.key[0] for finished in first} == {"quick"}  # type: ignore[index]
    assert {finished.outcome.reason for finished in rest} == {Reason.RESPONSE_TIMEOUT}
    assert took_s < DEADLINE_S + GRACE_S


def test_polling_without_work_waits_no_longer_than_asked(sender: Sender) -> None:
    client = sender.client()
    began = time.monotonic()
    assert client.poll(0.2) == []
    assert 0.15 < time.monotonic() - began < 0.4


def test_closing_abandons_what_is_in_flight(sender: Sender) -> None:
    with Receiver(then(b"", Connection.hold)) as receiver:
        client = sender.client(deadline_s=30.0)
        for number in range(5):
            client.submit(Request(number, target_of(receiver.url()), (), b"x"))
        until = time.monotonic() + 5
        while len(receiver.requests) < 5 and time.monotonic() < until:
            client.poll(0.05)
        before = threading.active_count()
        began = time.monotonic()
        client.close()
        assert time.monotonic() - began < 1.0
        assert client.in_flight == 0
        assert threading.active_count() <= before
