"""The pure parts: error numbers, header lines, the poller without epoll, the client by its name."""

import errno
import socket

import pycurl
import pytest

from dispatcher.addresses import AddressRules
from dispatcher.http import Limits, UnknownClient, make_client
from dispatcher.http.chunks import unchunk
from dispatcher.http.curl import CurlClient
from dispatcher.http.curl_errors import Failure, body_error_of, reason_of
from dispatcher.http.headers import header_text
from dispatcher.http.network_errors import reason_of_break, reason_of_certificate, reason_of_connect
from dispatcher.http.poller import READ, WRITE, EpollPoller, Poller, SelectorPoller
from dispatcher.http.requests_client import RequestsClient
from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import Sender
from tests.receivers import Receiver
from tests.receivers.scripts import keep_alive, once


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ECONNREFUSED, Reason.CONNECT_REFUSED),
        (errno.ETIMEDOUT, Reason.CONNECT_TIMEOUT),
        (errno.ENETUNREACH, Reason.NETWORK_UNREACHABLE),
        (errno.EHOSTUNREACH, Reason.NETWORK_UNREACHABLE),
        (errno.EADDRNOTAVAIL, Reason.NETWORK_UNREACHABLE),
        (errno.ECONNRESET, Reason.CONNECTION_RESET),
        (errno.EMFILE, Reason.INTERNAL_ERROR),
        (0, Reason.CONNECT_REFUSED),
    ],
)
def test_connect_errors(number: int, reason: Reason) -> None:
    assert reason_of_connect(number) is reason
    assert reason_of(Failure(pycurl.E_COULDNT_CONNECT, os_error=number)) is reason


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (9, Reason.TLS_CERT_EXPIRED),
        (10, Reason.TLS_CERT_EXPIRED),
        (62, Reason.TLS_CERT_HOSTNAME),
        (64, Reason.TLS_CERT_HOSTNAME),
        (18, Reason.TLS_CERT_UNTRUSTED),
        (19, Reason.TLS_CERT_UNTRUSTED),
        (20, Reason.TLS_CERT_UNTRUSTED),
        (21, Reason.TLS_CERT_UNTRUSTED),
    ],
)
def test_certificate_errors(number: int, reason: Reason) -> None:
    assert reason_of_certificate(number) is reason
    assert reason_of(Failure(pycurl.E_PEER_FAILED_VERIFICATION, verify=number)) is reason


@pytest.mark.parametrize(
    ("is_connected", "is_secured", "is_sent", "reason"),
    [
        (False, True, False, Reason.CONNECT_TIMEOUT),
        (True, False, False, Reason.TLS_TIMEOUT),
        (True, True, False, Reason.WRITE_TIMEOUT),
        (True, True, True, Reason.RESPONSE_TIMEOUT),
    ],
)
def test_timeouts_by_phase(*, is_connected: bool, is_secured: bool, is_sent: bool, reason: Reason) -> None:
    failure = Failure(pycurl.E_OPERATION_TIMEDOUT, is_connected=is_connected, is_secured=is_secured, is_sent=is_sent)
    assert reason_of(failure) is reason
    assert body_error_of(failure) is Reason.RESPONSE_TIMEOUT


@pytest.mark.parametrize(
    ("code", "os_error", "reason"),
    [
        (pycurl.E_UNSUPPORTED_PROTOCOL, 0, Reason.PROTOCOL_ERROR),
        (8, 0, Reason.PROTOCOL_ERROR),
        (100, 0, Reason.RESPONSE_TOO_LARGE_HEADERS),
        (pycurl.E_GOT_NOTHING, 0, Reason.CONNECTION_CLOSED),
        (pycurl.E_RECV_ERROR, errno.ECONNRESET, Reason.CONNECTION_RESET),
        (pycurl.E_SEND_ERROR, errno.EPIPE, Reason.CONNECTION_RESET),
        (pycurl.E_RECV_ERROR, 0, Reason.CONNECTION_CLOSED),
        (pycurl.E_SEND_FAIL_REWIND, 0, Reason.CONNECTION_CLOSED),
        (pycurl.E_SSL_CONNECT_ERROR, 0, Reason.TLS_PROTOCOL),
        (pycurl.E_SSL_CONNECT_ERROR, errno.ECONNRESET, Reason.CONNECTION_RESET),
        (pycurl.E_SSL_CACERT_BADFILE, 0, Reason.INTERNAL_ERROR),
        (pycurl.E_OUT_OF_MEMORY, 0, Reason.INTERNAL_ERROR),
    ],
)
def test_other_codes_of_libcurl(code: int, os_error: int, reason: Reason) -> None:
    assert reason_of(Failure(code, os_error=os_error)) is reason


def test_breaks() -> None:
    assert reason_of_break(errno.ECONNRESET) is Reason.CONNECTION_RESET
    assert reason_of_break(0) is Reason.CONNECTION_CLOSED


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], ""),
        ([b"A: b\r\n", b"C: d\r\n"], "A: b\r\nC: d\r\n"),
        ([b"A: b\n", b"C: d\r\n"], "A: b\r\nC: d\r\n"),
        ([b"A: \xff\0\r\n"], "A: \xff\r\n"),
    ],
)
def test_header_text(lines: list[bytes], text: str) -> None:
    assert header_text(lines) == text


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"", b""),
        (b"2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b"2;ext=1\r\nok\r\n3\r\n...\r\n0\r\nTrailer: x\r\n\r\nEXTRA", b"ok..."),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"5\r\nhe", b"he"),
        (b"2\r\nok\r\nzz\r\n", b"ok"),
        (b"2\r\nok\r\n-5\r\nabc", b"ok"),
        (b"2\nok\n0\n\n", b"ok"),
        (b"2", b""),
    ],
)
def test_unchunk(raw: bytes, content: bytes) -> None:
    assert unchunk(raw) == content


@pytest.mark.parametrize("make", [EpollPoller, SelectorPoller])
def test_pollers_agree(make: type[EpollPoller | SelectorPoller]) -> None:
    poller: Poller = make()
    left, right = socket.socketpair()
    with left, right:
        poller.watch(left.fileno(), READ | WRITE)
        assert poller.wait(0) == [(left.fileno(), WRITE)]
        poller.watch(left.fileno(), READ)
        assert poller.wait(0) == []
        right.send(b"x")
        assert poller.wait(1) == [(left.fileno(), READ)]
        poller.forget(left.fileno())
        assert poller.wait(0) == []
        poller.watch(left.fileno(), READ)
        poller.rest(left.fileno())
        poller.watch(left.fileno(), READ)
        assert poller.wait(1) == [(left.fileno(), READ)]
    poller.close()


def test_the_default_client_works_without_epoll(curl: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatcher.http.curl_sockets.best_poller", SelectorPoller)
    with Receiver(keep_alive()) as receiver:
        client = curl.client()
        for _ in range(3):
            assert curl.send(receiver.url(), client=client).reason is Reason.DELIVERED
        assert receiver.connections == 1
    with Receiver(once()) as receiver:
        assert curl.send(receiver.url()).reason is Reason.DELIVERED


def test_clients_by_name() -> None:
    rules = AddressRules()
    for name, kind in (("curl", CurlClient), ("requests", RequestsClient)):
        client = make_client(name, rules=rules, limits=Limits())
        assert isinstance(client, kind)
        client.close()
    with pytest.raises(UnknownClient, match="must be curl or requests"):
        make_client("wget", rules=rules, limits=Limits())
