"""The vocabulary of outcomes: what can come of one attempt to deliver one request."""

from dataclasses import dataclass, field
from enum import StrEnum


class Reason(StrEnum):
    """Why an attempt ended as it did. Clients, log, API and portal use these words and no others."""

    DELIVERED = "delivered"
    ACK_MISSING = "ack_missing"

    HTTP_REDIRECT = "http_redirect"
    HTTP_CLIENT_ERROR = "http_client_error"
    HTTP_GONE = "http_gone"
    HTTP_RATE_LIMITED = "http_rate_limited"
    HTTP_SERVER_ERROR = "http_server_error"
    HTTP_UNEXPECTED_STATUS = "http_unexpected_status"

    DNS_NOT_FOUND = "dns_not_found"
    DNS_ERROR = "dns_error"
    DNS_TIMEOUT = "dns_timeout"

    BLOCKED_ADDRESS = "blocked_address"
    INVALID_URL = "invalid_url"

    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    NETWORK_UNREACHABLE = "network_unreachable"

    TLS_CERT_EXPIRED = "tls_cert_expired"
    TLS_CERT_HOSTNAME = "tls_cert_hostname"
    TLS_CERT_UNTRUSTED = "tls_cert_untrusted"
    TLS_PROTOCOL = "tls_protocol"
    TLS_TIMEOUT = "tls_timeout"

    WRITE_TIMEOUT = "write_timeout"
    CONNECTION_RESET = "connection_reset"
    CONNECTION_CLOSED = "connection_closed"

    RESPONSE_TIMEOUT = "response_timeout"
    RESPONSE_TOO_LARGE_HEADERS = "response_too_large_headers"
    PROTOCOL_ERROR = "protocol_error"

    RECIPIENT_REFUSED = "recipient_refused"
    GATEWAY_REFUSED = "gateway_refused"

    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    INTERNAL_ERROR = "internal_error"


UNCOUNTED = frozenset({Reason.INTERRUPTED, Reason.CANCELLED, Reason.INTERNAL_ERROR})
# Ours, not the receiver's: they use up none of its attempts.

TIMEOUTS = frozenset(
    {
        Reason.DNS_TIMEOUT,
        Reason.CONNECT_TIMEOUT,
        Reason.TLS_TIMEOUT,
        Reason.WRITE_TIMEOUT,
        Reason.RESPONSE_TIMEOUT,
    }
)
# They held a socket for the whole deadline, so the lane's window shrinks.


@dataclass(frozen=True, slots=True)
class Phases:
    """How long each phase took, in milliseconds; None for a phase that was not reached.

    `dns`, `connect`, `tls`, `send` and `wait` (request sent → first byte) are durations that follow one another;
    `total` is the whole attempt.
    """

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    send: float | None = None
    wait: float | None = None
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt. A network failure is such a value, never an exception.

    `headers` is the block as received (latin-1 text, lines end with CRLF, without the status line), `body` the
    excerpt that was kept, and `body_error` says what went wrong after complete headers had already decided the outcome.
    """

    reason: Reason
    status: int | None = None
    headers: str = ""
    body: bytes = b""
    body_truncated: bool = False
    body_error: str = ""
    detail: str = ""
    peer: str = ""
    phases: Phases = field(default_factory=Phases)

    @property
    def received(self) -> bool:
        return self.reason is Reason.DELIVERED


_REASON_OF_STATUS = {410: Reason.HTTP_GONE, 429: Reason.HTTP_RATE_LIMITED}
_REASON_OF_CLASS = {
    2: Reason.DELIVERED,
    3: Reason.HTTP_REDIRECT,
    4: Reason.HTTP_CLIENT_ERROR,
    5: Reason.HTTP_SERVER_ERROR,
}


def reason_of_status(status: int) -> Reason:
    """The reason that a final HTTP status stands for, before any acknowledgement rule is asked."""
    own = _REASON_OF_STATUS.get(status)
    return own or _REASON_OF_CLASS.get(status // 100, Reason.HTTP_UNEXPECTED_STATUS)
