"""Python's TLS socket, which does not stay open when its handshake could not begin."""

import errno
import ssl

HARMLESS = frozenset({errno.ENOTCONN, errno.EINVAL})
# After these Python goes on with the socket.


class TlsSocket(ssl.SSLSocket):
    """For `SSLContext.sslsocket_class`.

    `wrap_socket` takes the descriptor over, finds the connection reset, reads to see what is left of it, and raises
    what the reading raised: nobody has the socket then, and its descriptor stays open until garbage is collected.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except OSError as error:
            if self.version() is None and error.errno not in HARMLESS:
                self.close()
            raise
