"""TLS: whom we believe, and the reason when we do not."""

import os
import select
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher.addresses import AddressRules
from dispatcher.http.requests_wire import JudgedAdapter
from dispatcher.http.tls_socket import TlsSocket
from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import Sender
from tests.receivers import Connection, Receiver
from tests.receivers.certificates import NAME, certificates
from tests.receivers.scripts import endless, keep_alive, then


def refused(sender: Sender, context: ssl.SSLContext, reason: Reason) -> None:
    with Receiver(keep_alive(), tls=context) as receiver:
        outcome = sender.send(receiver.url("/", name=NAME))
        assert (outcome.reason, outcome.status) == (reason, None)
        assert receiver.requests == []


def test_a_certificate_for_the_name_is_believed(sender: Sender) -> None:
    with Receiver(keep_alive(), tls=certificates().valid()) as receiver:
        client = sender.client()
        first = sender.send(receiver.url("/", name=NAME), client=client)
        second = sender.send(receiver.url("/", name=NAME), client=client)
        assert receiver.connections == 1
    assert (first.reason, second.reason) == (Reason.DELIVERED, Reason.DELIVERED)
    assert first.phases.dns is not None
    assert first.phases.connect is not None
    assert first.phases.tls is not None
    assert (second.phases.dns, second.phases.connect, second.phases.tls) == (None, None, None)
    assert second.phases.wait is not None


def test_a_certificate_for_the_address_is_believed(sender: Sender) -> None:
    with Receiver(keep_alive(), tls=certificates().valid()) as receiver:
        assert sender.send(receiver.url()).reason is Reason.DELIVERED


def test_expired(sender: Sender) -> None:
    refused(sender, certificates().expired(), Reason.TLS_CERT_EXPIRED)


def test_wrong_name(sender: Sender) -> None:
    refused(sender, certificates().wrong_name(), Reason.TLS_CERT_HOSTNAME)


def test_wrong_address(sender: Sender) -> None:
    with Receiver(keep_alive(), tls=certificates().wrong_name()) as receiver:
        assert sender.send(receiver.url()).reason is Reason.TLS_CERT_HOSTNAME


def test_unknown_authority(sender: Sender) -> None:
    refused(sender, certificates().unknown_authority(), Reason.TLS_CERT_UNTRUSTED)


def test_self_signed(sender: Sender, tmp_path: Path) -> None:
    refused(sender, certificates().self_signed(tmp_path), Reason.TLS_CERT_UNTRUSTED)


def test_the_authority_of_the_tests_is_not_believed_by_default(sender: Sender) -> None:
    sender.ca_file = None  # type: ignore[assignment]
    refused(sender, certificates().valid(), Reason.TLS_CERT_UNTRUSTED)


def test_old_protocol(sender: Sender) -> None:
    context = certificates().valid()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    refused(sender, context, Reason.TLS_PROTOCOL)


def test_plain_http_on_the_tls_port(sender: Sender) -> None:
    def script(connection: Connection) -> None:
        connection.sock.recv(65_536)
        connection.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with Receiver(script) as receiver:
        assert sender.send(f"https://127.0.0.1:{receiver.port}/").reason is Reason.TLS_PROTOCOL


def test_reset_during_the_handshake(sender: Sender) -> None:
    def script(connection: Connection) -> None:
        connection.sock.recv(65_536)
        connection.reset()

    with Receiver(script) as receiver:
        assert sender.send(f"https://127.0.0.1:{receiver.port}/").reason is Reason.CONNECTION_RESET


class TestResetBeforeTheHandshake:
    @pytest.fixture
    def sock(self) -> Iterator[socket.socket]:
        with Receiver(Connection.reset) as receiver, socket.create_connection(("127.0.0.1", receiver.port)) as made:
            # Until it is reset; what stands in line is left there for the handshake to find.
            poll = select.poll()
            poll.register(made, 0)
            assert poll.poll(5_000)
            yield made

    def test_leaves_nothing_open(self, sock: socket.socket) -> None:
        descriptor = sock.fileno()
        context = ssl.create_default_context()
        context.sslsocket_class = TlsSocket
        with pytest.raises(ConnectionResetError):
            context.wrap_socket(sock, server_hostname="localhost")
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)

    def test_nor_does_the_client(self, ca_file: str) -> None:
        adapter = JudgedAdapter(rules=AddressRules(), connections=1, ca_file=ca_file)
        pool = adapter.poolmanager.connection_from_url("https://merchant.example/")
        assert pool.conn_kw["ssl_context"].sslsocket_class is TlsSocket
        adapter.close()


def test_closed_during_the_handshake(sender: Sender) -> None:
    def script(connection: Connection) -> None:
        connection.sock.recv(65_536)
        connection.close()

    with Receiver(script) as receiver:
        reason = sender.send(f"https://127.0.0.1:{receiver.port}/").reason
    assert reason in {Reason.TLS_PROTOCOL, Reason.CONNECTION_RESET, Reason.CONNECTION_CLOSED}


@pytest.mark.parametrize("act", [Connection.close, Connection.reset])
def test_the_end_after_the_request(sender: Sender, act: object) -> None:
    with Receiver(then(b"", act), tls=certificates().valid()) as receiver:  # type: ignore[arg-type]
        reason = sender.send(receiver.url()).reason
        assert len(receiver.requests) == 1
    assert reason in {Reason.CONNECTION_CLOSED, Reason.CONNECTION_RESET}


def test_the_rules_hold_inside_tls(sender: Sender) -> None:
    with Receiver(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10_000), tls=certificates().valid()) as receiver:
        outcome = sender.send(receiver.url())
        assert (outcome.reason, outcome.body_error) == (Reason.DELIVERED, "body_too_large")
    with Receiver(then(b"", Connection.hold), tls=certificates().valid()) as receiver:
        assert sender.send(receiver.url()).reason is Reason.RESPONSE_TIMEOUT
