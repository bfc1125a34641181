"""Reasons in plain words, as people read them."""

from collections.abc import Mapping

from dispatcher.outcomes import Reason

WORDS: Mapping[str, str] = {
    Reason.DELIVERED: "Delivered",
    Reason.ACK_MISSING: "Answered, but not with the agreed acknowledgement",
    Reason.HTTP_REDIRECT: "Answered with a redirect, which is not followed",
    Reason.HTTP_CLIENT_ERROR: "Refused by the receiver",
    Reason.HTTP_GONE: "Gone: the receiver wants no more",
    Reason.HTTP_RATE_LIMITED: "The receiver asked for less",
    Reason.HTTP_SERVER_ERROR: "The receiver failed",
    Reason.HTTP_UNEXPECTED_STATUS: "Answered with an unexpected status",
    Reason.DNS_NOT_FOUND: "The host name does not exist",
    Reason.DNS_ERROR: "The host name could not be resolved",
    Reason.DNS_TIMEOUT: "The name servers did not answer in time",
    Reason.BLOCKED_ADDRESS: "The host name leads to an address that is not allowed",
    Reason.INVALID_URL: "The URL cannot be used",
    Reason.CONNECT_REFUSED: "The connection was refused",
    Reason.CONNECT_TIMEOUT: "No connection in time",
    Reason.NETWORK_UNREACHABLE: "The network cannot be reached",
    Reason.TLS_CERT_EXPIRED: "The certificate has expired",
    Reason.TLS_CERT_HOSTNAME: "The certificate is for another host name",
    Reason.TLS_CERT_UNTRUSTED: "The certificate is not trusted",
    Reason.TLS_PROTOCOL: "TLS failed",
    Reason.TLS_TIMEOUT: "TLS was not set up in time",
    Reason.WRITE_TIMEOUT: "The receiver did not take the request in time",
    Reason.CONNECTION_RESET: "The connection was reset",
    Reason.CONNECTION_CLOSED: "The connection was closed without an answer",
    Reason.RESPONSE_TIMEOUT: "No complete answer in time",
    Reason.RESPONSE_TOO_LARGE_HEADERS: "The answer's headers are too large",
    Reason.PROTOCOL_ERROR: "The answer is not valid HTTP",
    Reason.RECIPIENT_REFUSED: "Refused for good: the address takes no letters",
    Reason.GATEWAY_REFUSED: "The mail server or SMS gateway did not take it",
    Reason.INTERRUPTED: "Interrupted on our side: the outcome is unknown",
    Reason.CANCELLED: "Cancelled",
    Reason.INTERNAL_ERROR: "An error on our side",
}
