"""Turns names into judged addresses: one lookup for all who ask, in threads of its own, judged before it is used."""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Any

from dispatcher.addresses import Address, AddressRules
from dispatcher.outcomes import Reason
from dispatcher.targets import SENTENCES

FOUND_S = 20.0
# One lookup serves thousands of deliveries to a host, and a receiver that moves is followed within seconds.
FAILED_S = 1.0
# Spares the resolver a burst for a name that is gone; short, so that a name that is set up again is found again.
CACHED_NAMES = 20_000
# A few hundred bytes each.

THREADS = 96
# getaddrinfo cannot be interrupted: a name whose servers are silent holds its thread for tens of seconds. Deliveries
# stop waiting at their deadline, the thread stays behind, and the others take over up to this many.
SLOW_S = 2.0
SLOW_THREADS = 24
# Names that were slow the last time share a quarter of the threads, so that hundreds of them cannot hold up the rest.
SLOW_FOR_S = 600.0
IDLE_S = 30.0
# A thread that found nothing to do for this long ends.

ADDRESSES_USED = 8
# All addresses of an answer are judged, so many are tried.

NOT_FOUND = frozenset(
    {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME), getattr(socket, "EAI_ADDRFAMILY", -9)}
)

Resolve = Callable[..., Sequence[tuple[Any, ...]]]
# The shape of socket.getaddrinfo.


@dataclass(frozen=True, slots=True)
class Answer:
    """What a lookup came to: addresses that all passed the rules, or the reason why nothing is sent."""

    addresses: tuple[Address, ...] = ()
    reason: Reason | None = None
    detail: str = ""
    expires_at: float = 0.0


Waiter = Callable[[Answer], object]


class Resolver:
    """Looks names up in daemon threads. Safe to share between threads; waiters are called in the resolver's."""

    def __init__(self, *, rules: AddressRules, resolve: Resolve = socket.getaddrinfo) -> None:
        self._rules = rules
        self._resolve = resolve
        self._answers: dict[str, Answer] = {}
        self._waiters: dict[str, list[Waiter]] = {}
        self._slow_until: dict[str, float] = {}
        self._ready: deque[str] = deque()
        self._slow: deque[str] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._slow_running = 0
        self._is_closed = False

    @property
    def threads(self) -> int:
        """Threads alive, the ones that hang in a lookup included."""
        return self._threads

    def cached(self, host: str, *, now: float) -> Answer | None:
        """The answer that is still fresh, if there is one. `now` is monotonic, in seconds."""
        answer = self._answers.get(host)
        return answer if answer is not None and answer.expires_at > now else None

    def ask(self, host: str, waiter: Waiter) -> None:
        """Have `waiter` called with the answer, at once when it is cached. One lookup serves all who ask meanwhile."""
        now = time.monotonic()
        with self._changed:
            answer = self.cached(host, now=now)
            if answer is None:
                waiters = self._waiters.setdefault(host, [])
                waiters.append(waiter)
                if len(waiters) == 1:
                    self._enqueue(host, now=now)
                return
        waiter(answer)

    def wait(self, host: str, *, timeout_s: float) -> Answer | None:
        """The answer, or None when it takes longer than `timeout_s`."""
        arrived: SimpleQueue[Answer] = SimpleQueue()
        self.ask(host, arrived.put)
        try:
            return arrived.get(timeout=max(timeout_s, 0.0))
        except Empty:
            return None

    def close(self) -> None:
        """Let the threads end; the ones inside a lookup end after it, without telling anybody."""
        with self._changed:
            self._is_closed = True
            self._waiters.clear()
            self._changed.notify_all()

    def _enqueue(self, host: str, *, now: float) -> None:
        is_slow = self._slow_until.get(host, 0.0) > now
        (self._slow if is_slow else self._ready).append(host)
        if len(self._ready) + len(self._slow) > self._idle and self._threads < THREADS:
            self._threads += 1
            threading.Thread(target=self._work, name="resolver", daemon=True).start()
        else:
            self._changed.notify()

    def _work(self) -> None:
        while True:
            job = self._take()
            if job is None:
                return
            host, is_slow = job
            started = time.monotonic()
            answer = self._look_up(host)
            for waiter in self._settle(host, answer, is_slow=is_slow, took_s=time.monotonic() - started):
                waiter(answer)

    def _take(self) -> tuple[str, bool] | None:
        """The next name and whether it counts as slow; None when the thread shall end."""
        with self._changed:
            while not self._is_closed:
                if self._ready:
                    return self._ready.popleft(), False
                if self._slow and self._slow_running < SLOW_THREADS:
                    self._slow_running += 1
                    return self._slow.popleft(), True
                self._idle += 1
                is_woken = self._changed.wait(IDLE_S)
                self._idle -= 1
                if not is_woken and not self._ready:
                    break
            self._threads -= 1
            return None

    def _settle(self, host: str, answer: Answer, *, is_slow: bool, took_s: float) -> list[Waiter]:
        with self._changed:
            if is_slow:
                self._slow_running -= 1
            self._slow_until.pop(host, None)
            if took_s > SLOW_S:
                self._slow_until[host] = time.monotonic() + SLOW_FOR_S
                _trim(self._slow_until)
            # Taken out first, so that the order of the dict is the order of age.
            self._answers.pop(host, None)
            self._answers[host] = answer
            _trim(self._answers)
            return self._waiters.pop(host, [])

    def _look_up(self, host: str) -> Answer:
        try:
            rows = self._resolve(host, None, type=socket.SOCK_STREAM)
            # dict.fromkeys: the order of getaddrinfo is the order of preference.
            addresses = tuple(dict.fromkeys(ip_address(row[4][0]) for row in rows))
        except socket.gaierror as error:
            if error.errno in NOT_FOUND:
                return _failed(Reason.DNS_NOT_FOUND, "The name does not exist or has no address.")
            return _failed(Reason.DNS_ERROR, "The name could not be looked up.")
        except Exception:  # noqa: BLE001 - whatever a resolver does is an outcome, and its thread lives on
            return _failed(Reason.DNS_ERROR, "The name could not be looked up.")
        if not addresses:
            return _failed(Reason.DNS_NOT_FOUND, "The name does not exist or has no address.")
        if not self._rules.allows_all(addresses):
            return _failed(Reason.BLOCKED_ADDRESS, SENTENCES[Reason.BLOCKED_ADDRESS])
        return Answer(addresses[:ADDRESSES_USED], expires_at=time.monotonic() + FOUND_S)


def _failed(reason: Reason, detail: str) -> Answer:
    return Answer((), reason, detail, time.monotonic() + FAILED_S)


def _trim(oldest_first: dict[str, Any]) -> None:
    while len(oldest_first) > CACHED_NAMES:
        del oldest_first[next(iter(oldest_first))]
