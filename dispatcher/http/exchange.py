"""One request on its way through the requests client: where it is, how long it may take, and how it is stopped."""

import os
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic

from dispatcher.addresses import Address
from dispatcher.http.door import Limits, Request
from dispatcher.http.wire_reader import Head, WireReader
from dispatcher.outcomes import Phases, Reason


class Step(Enum):
    """What an exchange is doing; the value is the reason when the deadline finds it there."""

    LOOKUP = Reason.DNS_TIMEOUT
    CONNECT = Reason.CONNECT_TIMEOUT
    HANDSHAKE = Reason.TLS_TIMEOUT
    SEND = Reason.WRITE_TIMEOUT
    WAIT = Reason.RESPONSE_TIMEOUT


class DeadlinePassed(OSError):
    """The exchange was stopped. An OSError, so that urllib3 treats it like any other broken connection."""


@dataclass(eq=False)
class Exchange:
    """Shared by the thread that carries the request and the watchdog, which only ever calls `expire`."""

    request: Request
    limits: Limits
    started: float
    addresses: tuple[Address, ...] = ()
    step: Step = Step.LOOKUP
    peer: str = ""
    head: Head | None = None
    is_expired: bool = False
    # The system's number for what ended the sending, 0 when nothing has.
    send_error: int = 0
    reader: WireReader | None = None
    _entered: dict[Step, float] = field(default_factory=dict)
    _guard: socket.socket | None = None
    _is_over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def deadline_at(self) -> float:
        return self.started + self.limits.deadline_s

    def left_s(self) -> float:
        return self.deadline_at - monotonic()

    def enter(self, step: Step) -> None:
        """Go on to the next step. Raises DeadlinePassed, and stays where it is, when time is up."""
        if self.is_expired:
            raise DeadlinePassed
        self.step = step
        self._entered[step] = monotonic()

    def hold(self, sock: socket.socket) -> None:
        """From now on the deadline ends whatever happens on `sock`.

        By way of a second descriptor of the same connection: the first one is wrapped for TLS, closed and given to a
        file object by layers that know nothing of deadlines, and its number may be somebody else's a moment later.
        """
        with self._lock:
            if self._guard is None:
                self._guard = socket.socket(fileno=os.dup(sock.fileno()))
            if self.is_expired:
                _shut(self._guard)

    def expire(self) -> None:
        """Stop the exchange wherever it is. Called by another thread."""
        with self._lock:
            if self._is_over:
                return
            self.is_expired = True
            if self._guard is not None:
                _shut(self._guard)

    def release(self) -> None:
        """Nothing is stopped after this; the connection may serve another exchange."""
        with self._lock:
            self._is_over = True
            if self._guard is not None:
                self._guard.close()
                self._guard = None

    def phases(self) -> Phases:
        """Durations of the steps that were reached; a kept-alive connection has no connect and handshake of its own."""
        now = monotonic()
        entered = self._entered
        first_byte_at = self.head.first_byte_at if self.head is not None else None
        is_reused = Step.SEND in entered and Step.CONNECT not in entered
        has_looked_up = self.request.target.address is None and not is_reused
        return Phases(
            dns=_between(entered.get(Step.LOOKUP), entered.get(Step.CONNECT, now)) if has_looked_up else None,
            connect=_between(entered.get(Step.CONNECT), entered.get(Step.HANDSHAKE) or entered.get(Step.SEND)),
            tls=_between(entered.get(Step.HANDSHAKE), entered.get(Step.SEND)),
            send=_between(entered.get(Step.SEND), entered.get(Step.WAIT)),
            wait=_between(entered.get(Step.WAIT), first_byte_at),
            total=(now - self.started) * 1000,
        )


def _between(earlier: float | None, later: float | None) -> float | None:
    return None if earlier is None or later is None else (later - earlier) * 1000


def _shut(sock: socket.socket) -> None:
    # Wakes every thread that reads from or writes to the connection, through whichever descriptor.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
