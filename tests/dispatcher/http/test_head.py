"""HEAD asks whether somebody answers: it sends no body, awaits none, and leaves nothing behind for the next request."""

import pytest

from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import Sender
from tests.receivers import Connection, Receiver
from tests.receivers.certificates import NAME, certificates
from tests.receivers.scripts import OK, hold, keep_alive, once, then

LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"


def test_sends_exactly_the_headers_it_was_given_and_no_body(sender: Sender) -> None:
    headers = [("User-Agent", "Signet/1"), ("X-Twice", "a"), ("X-Twice", "b")]
    with Receiver(keep_alive(LONG)) as receiver:
        sender.send(receiver.url("/in?x=1&y=%2F"), method="HEAD", body=b"", headers=headers)
        (received,) = receiver.requests
    assert received.line == "HEAD /in?x=1&y=%2F HTTP/1.1"
    assert sorted(received.headers) == sorted([*headers, ("Host", f"127.0.0.1:{receiver.port}")])
    assert received.body == b""


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 5000", b"Transfer-Encoding: chunked", b"Content-Length: 0", b"Connection: close", b"X-A: b"],
)
@pytest.mark.parametrize("status", [200, 204, 301, 304, 404, 405, 500])
def test_an_answer_ends_with_its_headers(sender: Sender, framing: bytes, status: int) -> None:
    """The connection stays open, and whoever waited for the body would wait until the deadline."""
    answer = b"HTTP/1.1 %d X\r\n%s\r\n\r\n" % (status, framing)
    with Receiver(then(answer, hold)) as receiver:
        outcome = sender.send(receiver.url(), method="HEAD", body=b"")
        assert len(receiver.requests) == 1
    assert (outcome.status, outcome.body, outcome.body_error, outcome.body_truncated) == (status, b"", "", False)
    assert outcome.headers == framing.decode() + "\r\n"
    assert outcome.peer == f"127.0.0.1:{receiver.port}"
    assert outcome.phases.total < 500


def test_a_body_that_comes_all_the_same_is_nobodys_answer(sender: Sender) -> None:
    smuggled = b"HTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n"

    def answers(connection: Connection) -> None:
        while (received := connection.read_request()) is not None:
            is_head = received.line.startswith("HEAD")
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n" + smuggled if is_head else OK)

    with Receiver(answers) as receiver:
        client = sender.client()
        assert sender.send(receiver.url(), client=client, method="HEAD", body=b"").body == b""
        after = sender.send(receiver.url(), client=client)
        assert [request.line.split(" ")[0] for request in receiver.requests] == ["HEAD", "POST"]
    assert (after.status, after.body) == (200, b"ok")


def test_posts_before_and_after_are_posts(sender: Sender) -> None:
    with Receiver(keep_alive()) as receiver:
        client = sender.client()
        for method in ("POST", "HEAD", "POST", "POST", "HEAD", "HEAD", "POST"):
            body = b'{"n":1}' if method == "POST" else b""
            outcome = sender.send(receiver.url(), client=client, method=method, body=body)
            assert outcome.body == (b"ok" if method == "POST" else b"")
        seen = [(request.line.split(" ")[0], request.body) for request in receiver.requests]
    post, head = ("POST", b'{"n":1}'), ("HEAD", b"")
    assert seen == [post, head, post, post, head, head, post]


def test_posts_go_on_sharing_a_connection_after_a_head(sender: Sender) -> None:
    with Receiver(keep_alive(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as receiver:
        client = sender.client()
        sender.send(receiver.url(), client=client, method="HEAD", body=b"")
        begun = receiver.connections
        for _ in range(3):
            sender.send(receiver.url(), client=client)
        assert receiver.connections <= begun + 1


def test_every_phase_is_measured(sender: Sender) -> None:
    with Receiver(keep_alive(LONG), tls=certificates().valid()) as receiver:
        outcome = sender.send(receiver.url("/", name=NAME), method="HEAD", body=b"")
    phases = outcome.phases
    assert None not in (phases.dns, phases.connect, phases.tls, phases.send, phases.wait)
    assert outcome.reason is Reason.DELIVERED


def test_silence_is_a_timeout_of_the_answer(sender: Sender) -> None:
    with Receiver(then(b"", hold)) as receiver:
        outcome = sender.send(receiver.url(), method="HEAD", body=b"")
        assert len(receiver.requests) == 1
    assert (outcome.reason, outcome.status) == (Reason.RESPONSE_TIMEOUT, None)


def test_headers_that_never_end_are_no_answer(sender: Sender) -> None:
    with Receiver(once(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n")) as receiver:
        assert sender.send(receiver.url(), method="HEAD", body=b"").reason is Reason.CONNECTION_CLOSED
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://[::1]:8080/"])
def test_addresses_are_judged_as_ever(sender: Sender, url: str) -> None:
    outcome = sender.send(url, method="HEAD", body=b"")
    assert (outcome.reason, outcome.peer) == (Reason.BLOCKED_ADDRESS, "")


def test_a_redirect_is_not_followed(sender: Sender) -> None:
    with Receiver(keep_alive()) as other:
        moved = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 9\r\n\r\n" % other.url().encode()
        with Receiver(keep_alive(moved)) as receiver:
            assert sender.send(receiver.url(), method="HEAD", body=b"").status == 302
        assert other.connections == 0
