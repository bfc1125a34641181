"""Receivers that never stop talking: reading ends at the caps, long before the deadline."""

import pytest

from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import Sender
from tests.receivers import Receiver
from tests.receivers.scripts import endless, keep_alive

HEAD = b"HTTP/1.1 200 OK\r\n"
CAP = 65_536


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD, b"X-Padding: " + b"y" * 100 + b"\r\n"),
        (HEAD, b"a:\r\n"),
        (HEAD + b"X: ", b"y" * 1_000),
        (b"HTTP/1.1 200 ", b"y" * 1_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Hints\r\n" + b"Link: x\r\n" * 50 + b"\r\n"),
    ],
)
def test_headers_without_end(sender: Sender, start: bytes, piece: bytes) -> None:
    with Receiver(endless(start, piece)) as receiver:
        outcome = sender.send(receiver.url())
    assert (outcome.reason, outcome.status) == (Reason.RESPONSE_TOO_LARGE_HEADERS, None)
    assert outcome.phases.total < 900


@pytest.mark.parametrize(("size", "reason"), [(0, Reason.DELIVERED), (1, Reason.RESPONSE_TOO_LARGE_HEADERS)])
def test_the_cap_on_headers_counts_every_byte(sender: Sender, size: int, reason: Reason) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    rest = b"Content-Length: 0\r\n\r\n"
    padding = CAP + size - len(interim) - len(HEAD) - len(rest) - len(b"X: \r\n")
    answer = interim + HEAD + b"X: " + b"y" * padding + b"\r\n" + rest
    assert len(answer) == CAP + size
    with Receiver(keep_alive(answer)) as receiver:
        assert sender.send(receiver.url()).reason is reason


def test_many_small_headers_are_fine(sender: Sender) -> None:
    answer = HEAD + b"".join([b"X-%d: y\r\n" % number for number in range(1_000)]) + b"Content-Length: 0\r\n\r\n"
    with Receiver(keep_alive(answer)) as receiver:
        outcome = sender.send(receiver.url())
    assert outcome.reason is Reason.DELIVERED
    assert outcome.headers.count("\r\n") == 1_001


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"\r\n", b"x" * 10_000),
        (b"Content-Length: 1000000000000\r\n\r\n", b"x" * 10_000),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b"x" * 1_000 + b"\r\n"),
    ],
)
@pytest.mark.parametrize(("status", "reason"), [(200, Reason.DELIVERED), (404, Reason.HTTP_CLIENT_ERROR)])
def test_body_without_end(sender: Sender, head: bytes, piece: bytes, status: int, reason: Reason) -> None:
    with Receiver(endless(b"HTTP/1.1 %d X\r\n" % status + head, piece)) as receiver:
        client = sender.client()
        outcome = sender.send(receiver.url(), client=client)
        assert (outcome.reason, outcome.body_error, outcome.body_truncated) == (reason, "body_too_large", True)
        assert outcome.body == b"x" * 16_384
        assert outcome.phases.total < 900
        sender.send(receiver.url(), client=client)
        assert receiver.connections == 2


@pytest.mark.parametrize(("size", "error"), [(CAP, ""), (CAP + 1, "body_too_large")])
def test_the_cap_on_the_body_counts_every_byte(sender: Sender, size: int, error: str) -> None:
    with Receiver(keep_alive(HEAD + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)) as receiver:
        outcome = sender.send(receiver.url())
    assert (outcome.reason, outcome.body_error) == (Reason.DELIVERED, error)


@pytest.mark.parametrize(("size", "is_truncated"), [(100, False), (101, True)])
def test_an_excerpt_is_kept(sender: Sender, size: int, is_truncated: bool) -> None:
    with Receiver(keep_alive(HEAD + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)) as receiver:
        outcome = sender.send(receiver.url(), excerpt_bytes=100)
    assert (outcome.body, outcome.body_truncated, outcome.body_error) == (b"x" * 100, is_truncated, "")


@pytest.mark.parametrize("piece", [b"X: y\r\n" * 100, b"X: " + b"y" * 10_000 + b"\r\n"])
def test_trailers_without_end(sender: Sender, piece: bytes) -> None:
    start = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    with Receiver(endless(start, piece)) as receiver:
        outcome = sender.send(receiver.url())
    assert (outcome.reason, outcome.body) == (Reason.DELIVERED, b"ok")
    assert outcome.body_error in {"body_too_large", "response_too_large_headers", "protocol_error"}
    assert outcome.phases.total < 900


@pytest.mark.parametrize(("start", "piece"), [(b"2;", b"x" * 1_000), (b"2\r\nok", b"\r" * 1_000), (b"", b"0" * 1_000)])
def test_chunk_framing_without_end(sender: Sender, start: bytes, piece: bytes) -> None:
    """Bytes that are no body keep the reader busy all the same."""
    with Receiver(endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + start, piece)) as receiver:
        outcome = sender.send(receiver.url())
    assert outcome.reason is Reason.DELIVERED
    assert outcome.body_error in {"body_too_large", "protocol_error"}
    assert outcome.phases.total < 900
