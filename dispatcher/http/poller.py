"""Waits for thousands of sockets: epoll where the platform has it, else the best that `selectors` finds."""

import select
import selectors
from contextlib import suppress
from typing import Protocol

READ = 1
WRITE = 4
# The bits of POLLIN and POLLOUT. Error and hang-up bits (8, 16) may come with them.


class Poller(Protocol):
    def watch(self, fd: int, bits: int) -> None:
        """Report `fd` when it can be read (READ), written (WRITE) or both; replaces what was asked before."""

    def rest(self, fd: int) -> bool:
        """Nobody waits for `fd` now. True when it goes on being watched for a peer that hangs up; it may be closed
        without a word."""

    def renew(self, fd: int) -> None:
        """The number belongs to a new socket: nothing that was known about it holds."""

    def forget(self, fd: int) -> None:
        """Stop reporting `fd`."""

    def wait(self, timeout_s: float) -> list[tuple[int, int]]:
        """Descriptors that are ready, with their bits; empty after `timeout_s`."""

    def close(self) -> None:
        """Free the kernel's table. The watched descriptors stay open."""


class EpollPoller:
    """The table lives in the kernel: a turn costs what is ready, not what is open.

    A closed descriptor leaves the table by itself, so resting ones can stay in it: between two requests on a kept-alive
    connection no system call is needed.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, int] = {}
        self.wait = self._epoll.poll

    def watch(self, fd: int, bits: int) -> None:
        known = self._watched.get(fd)
        if known == bits:
            return
        self._watched[fd] = bits
        if known is None:
            self._epoll.register(fd, bits)
        else:
            self._epoll.modify(fd, bits)

    def rest(self, fd: int) -> bool:
        if fd not in self._watched:
            return False
        self.watch(fd, READ)
        return True

    def renew(self, fd: int) -> None:
        self._watched.pop(fd, None)

    def forget(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            with suppress(OSError):
                self._epoll.unregister(fd)

    def close(self) -> None:
        self._epoll.close()


class SelectorPoller:
    """kqueue, poll or devpoll, for platforms without epoll. Resting descriptors are not watched."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, fd: int, bits: int) -> None:
        events = (selectors.EVENT_READ if bits & READ else 0) | (selectors.EVENT_WRITE if bits & WRITE else 0)
        if fd in self._selector.get_map():
            self._selector.modify(fd, events)
        else:
            self._selector.register(fd, events)

    def rest(self, fd: int) -> bool:
        self.forget(fd)
        return False

    def renew(self, fd: int) -> None:
        self.forget(fd)

    def forget(self, fd: int) -> None:
        with suppress(KeyError, OSError, ValueError):
            self._selector.unregister(fd)

    def wait(self, timeout_s: float) -> list[tuple[int, int]]:
        return [
            (key.fd, (READ if events & selectors.EVENT_READ else 0) | (WRITE if events & selectors.EVENT_WRITE else 0))
            for key, events in self._selector.select(timeout_s)
        ]

    def close(self) -> None:
        self._selector.close()


def best_poller() -> Poller:
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()
