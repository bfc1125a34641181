"""What the operating system's and OpenSSL's error numbers stand for; both clients read them here."""

import errno

from dispatcher.outcomes import Reason

EXPIRED = frozenset({9, 10})
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED: outside its dates, either way.
WRONG_NAME = frozenset({62, 64})
# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.

RESETS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})

_CONNECT: dict[int, Reason] = {
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
    errno.ENETUNREACH: Reason.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Reason.NETWORK_UNREACHABLE,
    errno.ENETDOWN: Reason.NETWORK_UNREACHABLE,
    errno.EHOSTDOWN: Reason.NETWORK_UNREACHABLE,
    errno.EADDRNOTAVAIL: Reason.NETWORK_UNREACHABLE,
    errno.EAFNOSUPPORT: Reason.NETWORK_UNREACHABLE,
    errno.EACCES: Reason.NETWORK_UNREACHABLE,
    errno.EPERM: Reason.NETWORK_UNREACHABLE,
    errno.ECONNRESET: Reason.CONNECTION_RESET,
    # Out of descriptors or buffers: ours, not the receiver's.
    errno.EMFILE: Reason.INTERNAL_ERROR,
    errno.ENFILE: Reason.INTERNAL_ERROR,
    errno.ENOBUFS: Reason.INTERNAL_ERROR,
}


def reason_of_connect(os_error: int) -> Reason:
    """The reason of a connection that could not be opened."""
    return _CONNECT.get(os_error, Reason.CONNECT_REFUSED)


def reason_of_break(os_error: int) -> Reason:
    """The reason of an open connection that broke; 0 when it ended without an error of the system."""
    return Reason.CONNECTION_RESET if os_error in RESETS else Reason.CONNECTION_CLOSED


def reason_of_certificate(verify: int) -> Reason:
    """The reason behind a number of OpenSSL's X509_V_ERR_*."""
    if verify in EXPIRED:
        return Reason.TLS_CERT_EXPIRED
    return Reason.TLS_CERT_HOSTNAME if verify in WRONG_NAME else Reason.TLS_CERT_UNTRUSTED
