"""What libcurl's error codes stand for, as a pure table: code, phase and operating-system error in, reason out."""

from dataclasses import dataclass

import pycurl

from dispatcher.http.network_errors import RESETS, reason_of_break, reason_of_certificate, reason_of_connect
from dispatcher.outcomes import Reason

WEIRD_REPLY = 8
TOO_LARGE = 100
# CURLE_WEIRD_SERVER_REPLY and CURLE_TOO_LARGE: pycurl has no good names for them.

UNVERIFIED = frozenset({0, 1})
# OpenSSL has no complaint, or libcurl has not asked it yet (it starts from 1, X509_V_ERR_UNSPECIFIED): what was refused
# with "peer failed verification" is the name, which libcurl checks by itself and first.

BROKEN = frozenset({pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_SEND_FAIL_REWIND})
# The last one: a kept-alive connection died after the request was written. libcurl wanted to write it again on a fresh
# one and was not let (see Transfer).

_REASONS: dict[int, Reason] = {
    pycurl.E_COULDNT_RESOLVE_HOST: Reason.DNS_ERROR,
    pycurl.E_URL_MALFORMAT: Reason.INVALID_URL,
    # With only http and https switched on, "unsupported protocol" is what libcurl says of an HTTP/0.9 answer.
    pycurl.E_UNSUPPORTED_PROTOCOL: Reason.PROTOCOL_ERROR,
    WEIRD_REPLY: Reason.PROTOCOL_ERROR,
    pycurl.E_BAD_CONTENT_ENCODING: Reason.PROTOCOL_ERROR,
    pycurl.E_GOT_NOTHING: Reason.CONNECTION_CLOSED,
    pycurl.E_PARTIAL_FILE: Reason.CONNECTION_CLOSED,
    # One line longer than 100 KiB, which never reached the callback that counts, or more than 5,000 lines.
    TOO_LARGE: Reason.RESPONSE_TOO_LARGE_HEADERS,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """How far a transfer came before libcurl gave it up. `verify` is OpenSSL's X509_V_ERR number."""

    code: int
    os_error: int = 0
    verify: int = 0
    is_connected: bool = False
    is_secured: bool = False
    is_sent: bool = False


def reason_of(failure: Failure) -> Reason:
    """The reason of an attempt that ended before complete headers."""
    code = failure.code
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return _reason_of_timeout(failure)
    if code == pycurl.E_COULDNT_CONNECT:
        return reason_of_connect(failure.os_error)
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return Reason.TLS_CERT_HOSTNAME if failure.verify in UNVERIFIED else reason_of_certificate(failure.verify)
    if code == pycurl.E_SSL_CONNECT_ERROR:
        return Reason.CONNECTION_RESET if failure.os_error in RESETS else Reason.TLS_PROTOCOL
    if code in BROKEN:
        return reason_of_break(failure.os_error)
    return _REASONS.get(code, Reason.INTERNAL_ERROR)


def _reason_of_timeout(failure: Failure) -> Reason:
    if not failure.is_connected:
        return Reason.CONNECT_TIMEOUT
    if not failure.is_secured:
        return Reason.TLS_TIMEOUT
    return Reason.RESPONSE_TIMEOUT if failure.is_sent else Reason.WRITE_TIMEOUT


def body_error_of(failure: Failure) -> Reason:
    """What went wrong after complete headers had decided, in the words of the reasons."""
    if failure.code == pycurl.E_OPERATION_TIMEDOUT:
        return Reason.RESPONSE_TIMEOUT
    if failure.code in BROKEN and failure.os_error in RESETS:
        return Reason.CONNECTION_RESET
    if failure.code == pycurl.E_PARTIAL_FILE:
        return Reason.CONNECTION_CLOSED
    if failure.code == TOO_LARGE:
        return Reason.RESPONSE_TOO_LARGE_HEADERS
    return Reason.PROTOCOL_ERROR
