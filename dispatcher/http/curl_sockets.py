"""The sockets of a CurlMulti: which of them wait for what, and which kept-alive ones were hung up on meanwhile."""

import socket
from contextlib import suppress

import pycurl

from dispatcher.http.poller import READ, WRITE, Poller, best_poller

_BITS = {pycurl.POLL_IN: READ, pycurl.POLL_OUT: WRITE, pycurl.POLL_INOUT: READ | WRITE}


class Sockets:
    """Every socket of libcurl is opened by `Transfer`, which tells `opened`; so a number that comes back is noticed.

    libcurl looks whether a kept-alive connection is still open only when it has been idle for a second, and a receiver
    may hang up at any time. So connections at rest stay watched. When something arrives that nobody asked for, the end
    of the stream or bytes that belong to no answer, the socket is shut for writing. The next request on it then fails
    before a byte has left, which makes it safe to send it again on a fresh connection.
    """

    def __init__(self, poller: Poller | None = None) -> None:
        self._poller = poller or best_poller()
        self._resting: set[int] = set()

    def changed(self, what: int, fd: int, _multi: object, _data: object) -> None:
        """libcurl's socket callback."""
        bits = _BITS.get(what)
        if bits is not None:
            self._resting.discard(fd)
            self._poller.watch(fd, bits)
        elif self._poller.rest(fd):
            self._resting.add(fd)

    def opened(self, fd: int) -> None:
        """A new socket has this number now."""
        self._resting.discard(fd)
        self._poller.renew(fd)

    def watch(self, fd: int) -> None:
        """Also report a descriptor that is not libcurl's."""
        self._poller.watch(fd, READ)

    def wait(self, timeout_s: float) -> list[tuple[int, int]]:
        """Descriptors that somebody waits for and that are ready.

        Resting ones are dealt with here, before libcurl runs again: as long as it has not, none of them can have been
        closed and its number given to something else.
        """
        events = self._poller.wait(timeout_s)
        if self._resting.isdisjoint([fd for fd, _ in events]):
            return events
        for fd, _ in events:
            if fd in self._resting:
                self._hang_up(fd)
        return [event for event in events if event[0] not in self._resting]

    def close(self) -> None:
        self._poller.close()

    def _hang_up(self, fd: int) -> None:
        self._poller.forget(fd)
        with suppress(OSError):
            borrowed = socket.socket(fileno=fd)
            try:
                borrowed.shutdown(socket.SHUT_RDWR)
            finally:
                borrowed.detach()
