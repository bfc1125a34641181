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

ADVICE: Mapping[str, str] = {
    Reason.ACK_MISSING: "The answer's body must begin as this format wants it; see how to verify signatures.",
    Reason.HTTP_REDIRECT: "Register the address that the redirect leads to.",
    Reason.HTTP_CLIENT_ERROR: "Read the answer: most often a wrong path, a signature that does not verify, or a login.",
    Reason.HTTP_GONE: "The receiver said that it wants no more, so the endpoint was disabled. Enable it again if not.",
    Reason.HTTP_RATE_LIMITED: "Set a rate limit at the endpoint, or let the receiver take more.",
    Reason.HTTP_SERVER_ERROR: "Look into the receiver's own log at the time of the attempt.",
    Reason.HTTP_UNEXPECTED_STATUS: "Answer with a status from 200 to 299 once the event is stored.",
    Reason.DNS_NOT_FOUND: "Check the host name for a slip of the pen, and that its DNS record exists.",
    Reason.DNS_ERROR: "Check the name servers of the domain.",
    Reason.DNS_TIMEOUT: "Check the name servers of the domain.",
    Reason.BLOCKED_ADDRESS: "Point the host name at a public address.",
    Reason.INVALID_URL: "Correct the URL.",
    Reason.CONNECT_REFUSED: "Nothing listens at that port: check that the receiver runs and the port is right.",
    Reason.CONNECT_TIMEOUT: "Check the firewall in front of the receiver.",
    Reason.NETWORK_UNREACHABLE: "Check the host's address and its routes.",
    Reason.TLS_CERT_EXPIRED: "Renew the certificate.",
    Reason.TLS_CERT_HOSTNAME: "Install a certificate for this host name, or use the name that it is for.",
    Reason.TLS_CERT_UNTRUSTED: "Install a certificate of a public authority, with its intermediate certificates.",
    Reason.TLS_PROTOCOL: "Check that the port speaks TLS 1.2 or newer.",
    Reason.TLS_TIMEOUT: "Check the load on the receiver or on the proxy in front of it.",
    Reason.WRITE_TIMEOUT: "Read the whole request before working on it.",
    Reason.CONNECTION_RESET: "Look for a proxy or firewall that ends connections, and for crashes of the receiver.",
    Reason.CONNECTION_CLOSED: "Look for crashes of the receiver, and for a proxy that ends idle connections early.",
    Reason.RESPONSE_TIMEOUT: "Answer as soon as the event is stored, and do the work afterwards.",
    Reason.RESPONSE_TOO_LARGE_HEADERS: "Answer with fewer headers.",
    Reason.PROTOCOL_ERROR: "Check what listens at that port: its answer is not HTTP/1.1.",
    Reason.RECIPIENT_REFUSED: "Check the address.",
    Reason.GATEWAY_REFUSED: "The provider's operators have to look at this.",
}
# What the receiver's people can do about it. What is missing here needs nobody.


def said(reason: str | None, status: int | None) -> str:
    """What became of an attempt, in one short sentence: the status where there was one."""
    words = WORDS.get(reason or "", reason or "")
    if status is None or reason in {None, Reason.DELIVERED}:
        return words
    return f"Answered {status}" if str(reason).startswith("http_") else f"{words} ({status})"
