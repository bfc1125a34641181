"""Kept-alive connections: used again when they are sound, and never a reason to send one request twice."""

import threading
import time

import pytest

from dispatcher.http import curl
from dispatcher.http.door import Request
from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import Sender, collect, target_of
from tests.receivers import Connection, Receiver
from tests.receivers.certificates import NAME, certificates
from tests.receivers.scripts import OK, keep_alive, once


def test_one_connection_serves_many_requests(sender: Sender) -> None:
    with Receiver(keep_alive()) as receiver:
        client = sender.client()
        for _ in range(10):
            assert sender.send(receiver.url("/", name=NAME), client=client).reason is Reason.DELIVERED
        assert (receiver.connections, len(receiver.requests)) == (1, 10)


def test_concurrent_requests_reuse_what_is_idle(sender: Sender) -> None:
    with Receiver(keep_alive()) as receiver:
        client = sender.client()
        for _ in range(5):
            for number in range(10):
                client.submit(Request(number, target_of(receiver.url()), (), b"x"))
            collect(client, 10, within_s=2)
        assert len(receiver.requests) == 50
        assert receiver.connections <= 10


@pytest.mark.parametrize("name", [None, NAME])
def test_a_connection_the_receiver_closed_meanwhile_is_noticed(sender: Sender, name: str | None) -> None:
    """No `Connection: close`, just the end: the next request goes to a fresh connection and nobody sees two."""
    tls = certificates().valid() if name else None
    with Receiver(once(), tls=tls) as receiver:
        client = sender.client()
        for number in range(1, 6):
            outcome = sender.send(receiver.url("/", name=name), client=client)
            assert (outcome.reason, outcome.body_error) == (Reason.DELIVERED, "")
            time.sleep(0.02)
            assert (receiver.connections, len(receiver.requests)) == (number, number)


@pytest.mark.parametrize("act", [Connection.close, Connection.reset])
@pytest.mark.parametrize("body", [b"x", b"x" * 100_000])
def test_a_request_that_was_read_is_never_sent_again(sender: Sender, act: object, body: bytes) -> None:
    """The receiver takes the second request of a kept-alive connection and dies without a word. libcurl and urllib3
    know how to retry that silently; the receiver would see two POSTs where we count one."""

    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(OK)
        connection.read_request()
        act(connection)  # type: ignore[operator]

    with Receiver(script) as receiver:
        client = sender.client()
        assert sender.send(receiver.url(), client=client, body=body).reason is Reason.DELIVERED
        outcome = sender.send(receiver.url(), client=client, body=body)
        assert outcome.reason in {Reason.CONNECTION_CLOSED, Reason.CONNECTION_RESET}
        time.sleep(0.1)
        assert (receiver.connections, len(receiver.requests)) == (1, 2)


@pytest.mark.parametrize("name", [None, NAME])
def test_a_receiver_that_falls_silent_on_a_kept_alive_connection_was_connected(
    sender: Sender, name: str | None
) -> None:
    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(OK)
        connection.read_request()
        connection.hold()

    with Receiver(script, tls=certificates().valid() if name else None) as receiver:
        client = sender.client()
        assert sender.send(receiver.url("/", name=name), client=client).reason is Reason.DELIVERED
        assert sender.send(receiver.url("/", name=name), client=client).reason is Reason.RESPONSE_TIMEOUT
        assert (receiver.connections, len(receiver.requests)) == (1, 2)


def test_a_request_without_a_body_is_never_sent_again(sender: Sender) -> None:
    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(OK)
        connection.read_request()

    with Receiver(script) as receiver:
        client = sender.client()
        reasons = [sender.send(receiver.url(), client=client, body=b"").reason for _ in range(4)]
        time.sleep(0.1)
        assert len(receiver.requests) == len(reasons)


def test_connection_close_is_obeyed(sender: Sender) -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with Receiver(keep_alive(answer)) as receiver:
        client = sender.client()
        for _ in range(3):
            assert sender.send(receiver.url(), client=client).reason is Reason.DELIVERED
        assert receiver.connections == 3


def test_requests_of_one_host_are_not_mixed_up(sender: Sender) -> None:
    """Each answer goes to the request it belongs to, on reused connections and under load."""

    def script(connection: Connection) -> None:
        while (received := connection.read_request()) is not None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(received.body) + received.body)

    with Receiver(script) as receiver:
        client = sender.client()
        for _ in range(5):
            for number in range(40):
                client.submit(Request(number, target_of(receiver.url()), (), b"number %d" % number))
            for finished in collect(client, 40, within_s=5):
                assert finished.outcome.body == f"number {finished.key}".encode()


def test_a_client_leaves_no_thread_of_its_own_in_the_way(sender: Sender) -> None:
    """What a client starts are daemons: a process can end while a lookup or a request hangs."""
    with Receiver(keep_alive()) as receiver:
        sender.send(receiver.url("/", name=NAME))
        known = {thread.name for thread in threading.enumerate() if not thread.daemon}
    assert known == {"MainThread"}


def test_what_libcurl_remembers_of_hosts_stays_bounded(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """libcurl's cache never forgets by itself here; a host that was made to be forgotten is simply told again."""
    monkeypatch.setattr(curl, "CACHED_HOSTS", 2)
    hosts = ["a.signet.example", "b.signet.example", "c.signet.example", "a.signet.example"]
    sender.names.answers |= {host: [["127.0.0.1"]] for host in hosts}
    with Receiver(keep_alive()) as receiver:
        client = sender.client()
        for host in hosts:
            assert sender.send(receiver.url("/", name=host), client=client).reason is Reason.DELIVERED
        if isinstance(client, curl.CurlClient):
            assert list(client._cached) == [("c.signet.example", receiver.port), ("a.signet.example", receiver.port)]
