"""What a socket's error means for a letter, in the one vocabulary of outcomes."""

import errno
import socket
import ssl

from dispatcher.http.network_errors import RESETS, reason_of_break, reason_of_certificate, reason_of_connect
from dispatcher.outcomes import Outcome, Reason

UNKNOWN_NAMES = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


def outcome_of(error: OSError, *, is_connected: bool) -> Outcome:
    """The outcome of an attempt that ended in `error`, before or after the connection stood."""
    return Outcome(_reason(error, is_connected=is_connected), detail=_detail(error))


def _reason(error: OSError, *, is_connected: bool) -> Reason:
    match error:
        case ssl.SSLCertVerificationError():
            return reason_of_certificate(error.verify_code)
        case ssl.SSLError():
            return Reason.TLS_PROTOCOL
        case socket.gaierror():
            return Reason.DNS_NOT_FOUND if error.errno in UNKNOWN_NAMES else Reason.DNS_ERROR
        case TimeoutError():
            return Reason.RESPONSE_TIMEOUT if is_connected else Reason.CONNECT_TIMEOUT
    number = error.errno or 0
    if is_connected or number in RESETS:
        return reason_of_break(number)
    # Without a number nothing is known of the connection: not that somebody refused it.
    return reason_of_connect(number) if number else Reason.CONNECTION_CLOSED


def _detail(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message[:200]
    if isinstance(error, TimeoutError) and error.errno in (None, errno.ETIMEDOUT):
        return "The server did not answer in time."
    return (error.strerror or type(error).__name__)[:200]
