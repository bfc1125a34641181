"""Complete headers decide: which status means what, what is kept of an answer, and which oddities are harmless."""

import gzip
from http import HTTPStatus

import pytest

from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import Sender
from tests.receivers import Connection, Receiver
from tests.receivers.scripts import OK, keep_alive, once, then

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, Reason.DELIVERED),
        (201, Reason.DELIVERED),
        (299, Reason.DELIVERED),
        (301, Reason.HTTP_REDIRECT),
        (304, Reason.HTTP_REDIRECT),
        (400, Reason.HTTP_CLIENT_ERROR),
        (401, Reason.HTTP_CLIENT_ERROR),
        (407, Reason.HTTP_CLIENT_ERROR),
        (410, Reason.HTTP_GONE),
        (413, Reason.HTTP_CLIENT_ERROR),
        (417, Reason.HTTP_CLIENT_ERROR),
        (429, Reason.HTTP_RATE_LIMITED),
        (500, Reason.HTTP_SERVER_ERROR),
        (503, Reason.HTTP_SERVER_ERROR),
        (600, Reason.HTTP_UNEXPECTED_STATUS),
        (999, Reason.HTTP_UNEXPECTED_STATUS),
    ],
)
def test_the_status_gives_the_reason(sender: Sender, status: int, reason: Reason) -> None:
    with Receiver(keep_alive(b"HTTP/1.1 %d Word\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n" % status)) as receiver:
        outcome = sender.send(receiver.url())
        assert (outcome.reason, outcome.status, outcome.body_error) == (reason, status, "")
        assert outcome.headers == "Retry-After: 7\r\nContent-Length: 0\r\n"
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.TEMPORARY_REDIRECT])
def test_a_redirect_is_never_followed(sender: Sender, status: int) -> None:
    with Receiver(keep_alive()) as canary:
        location = f"http://127.0.0.1:{canary.port}/secret".encode()
        answer = b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, location)
        with Receiver(keep_alive(answer)) as receiver:
            assert sender.send(receiver.url()).reason is Reason.HTTP_REDIRECT
        assert canary.connections == 0


def test_keeps_the_final_headers_as_received(sender: Sender) -> None:
    answer = b"HTTP/1.1 200 Fine\r\nA: 1\r\nB: \xe9\xff\r\na: 2\r\nContent-Length: 2\r\n\r\nok"
    with Receiver(keep_alive(answer)) as receiver:
        outcome = sender.send(receiver.url())
    assert outcome.headers == "A: 1\r\nB: \xe9\xff\r\na: 2\r\nContent-Length: 2\r\n"
    assert (outcome.body, outcome.body_truncated) == (b"ok", False)


def test_bare_newlines_become_whole_ones(sender: Sender) -> None:
    with Receiver(keep_alive(b"HTTP/1.1 200 OK\nA: 1\nContent-Length: 0\n\n")) as receiver:
        assert sender.send(receiver.url()).headers == "A: 1\r\nContent-Length: 0\r\n"


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n" * 5,
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n",
    ],
)
def test_interim_answers_are_passed_over(sender: Sender, interim: bytes) -> None:
    with Receiver(keep_alive(interim + OK)) as receiver:
        client = sender.client()
        for _ in range(2):
            outcome = sender.send(receiver.url(), client=client)
            assert (outcome.status, outcome.body) == (200, b"ok")
            assert outcome.headers == "Content-Type: text/plain\r\nContent-Length: 2\r\n"
        assert (receiver.connections, len(receiver.requests)) == (1, 2)


def test_a_switch_of_protocol_is_final_and_no_delivery(sender: Sender) -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nzzz"
    with Receiver(then(answer, Connection.hold)) as receiver:
        outcome = sender.send(receiver.url())
    assert (outcome.reason, outcome.status) == (Reason.HTTP_UNEXPECTED_STATUS, 101)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (HEAD + b"Connection: close\r\n\r\nhello", b"hello"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nTrailer: yes\r\n\r\n", b"hello"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_odd_but_legal_answers_are_deliveries(sender: Sender, answer: bytes, body: bytes) -> None:
    with Receiver(once(answer)) as receiver:
        client = sender.client()
        for _ in range(2):
            outcome = sender.send(receiver.url(), client=client)
            assert (outcome.reason, outcome.body, outcome.body_error) == (Reason.DELIVERED, body, "")
        assert len(receiver.requests) == 2


def test_trailers_are_not_headers(sender: Sender) -> None:
    answer = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Type: late\r\n\r\n"
    with Receiver(keep_alive(answer)) as receiver:
        outcome = sender.send(receiver.url())
    assert (outcome.headers, outcome.body) == ("Transfer-Encoding: chunked\r\n", b"ok")


def test_compressed_bodies_stay_compressed(sender: Sender) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    answer = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    with Receiver(keep_alive(answer)) as receiver:
        outcome = sender.send(receiver.url())
        assert receiver.requests[0].header("accept-encoding") is None
    assert (outcome.reason, outcome.body) == (Reason.DELIVERED, bomb[:16_384])


def test_an_unasked_transfer_coding_is_trouble_in_the_body_only(sender: Sender) -> None:
    answer = HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    with Receiver(once(answer)) as receiver:
        assert sender.send(receiver.url()).reason is Reason.DELIVERED


@pytest.mark.parametrize("extra", [b"EXTRA", b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", OK + OK])
def test_bytes_after_the_answer_are_nobodys_answer(sender: Sender, extra: bytes) -> None:
    with Receiver(keep_alive(OK + extra)) as receiver:
        client = sender.client()
        for _ in range(3):
            outcome = sender.send(receiver.url(), client=client)
            assert (outcome.reason, outcome.body) == (Reason.DELIVERED, b"ok")
        assert (receiver.connections, len(receiver.requests)) == (3, 3)


def _early(answer: bytes) -> Receiver:
    def script(connection: Connection) -> None:
        connection.read_head()
        connection.send(answer)
        connection.hold()

    return Receiver(script, receive_buffer_bytes=4_096)


@pytest.mark.parametrize(("status", "reason"), [(200, Reason.DELIVERED), (413, Reason.HTTP_CLIENT_ERROR)])
def test_an_answer_before_the_body_was_read_counts(sender: Sender, status: int, reason: Reason) -> None:
    with _early(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % status) as receiver:
        outcome = sender.send(receiver.url(), body=b"x" * 8_000_000)
    assert (outcome.reason, outcome.status) == (reason, status)
