"""The default client: thousands of requests in flight on one thread, carried by libcurl's multi interface."""

import resource
import socket
from collections import OrderedDict, deque
from collections.abc import Hashable
from contextlib import suppress
from time import monotonic
from typing import Any

import pycurl

from dispatcher.addresses import AddressRules
from dispatcher.http.curl_sockets import Sockets
from dispatcher.http.curl_transfer import Setup, Transfer
from dispatcher.http.door import Finished, Limits, Request
from dispatcher.http.headers import UnsendableHeader, check_headers
from dispatcher.http.poller import READ, WRITE
from dispatcher.http.resolver import Answer, Resolve, Resolver
from dispatcher.outcomes import Outcome, Phases, Reason
from dispatcher.targets import SENTENCES, Target

IDLE_CONNECTIONS = 4_096
# Kept open for the next request to the same host. About 20 KiB each with TLS.
CACHED_HOSTS = 8_192
# Names and addresses that libcurl remembers, some 300 bytes each. More than may ever be in flight, so that the one that
# is forgotten is not being used.
POOLED_HANDLES = 1_024
# Easy handles that wait for the next request, about 10 KiB each; a burst above makes its own and drops them.

NEVER = float("inf")

_READY = tuple(
    (pycurl.CSELECT_IN if bits & READ else 0)
    | (pycurl.CSELECT_OUT if bits & WRITE else 0)
    | (pycurl.CSELECT_ERR if bits & 0b11000 else 0)
    for bits in range(32)
)
# From the poller's bits to libcurl's; 8 and 16 are error and hang-up.


class _Waiting:
    """A request whose name is being looked up."""

    __slots__ = ("is_over", "request", "started")

    def __init__(self, request: Request, started: float) -> None:
        self.request = request
        self.started = started
        self.is_over = False


class CurlClient:
    """One CurlMulti, driven by `socket_action` so that a turn costs what happened and not what is open.

    Names are resolved and judged by `Resolver` before libcurl sees the request. libcurl is then told the judged
    addresses with RESOLVE and not with CONNECT_TO: RESOLVE takes all of them, so that a dead IPv6 address costs a fifth
    of a second and not the attempt, and kept-alive connections are found by the name. Its price is that entries land
    in the DNS cache that all requests of the client share. That is harmless: each request writes its entry right
    before libcurl reads it, every entry was judged by the same rules, and the socket is judged once more as it opens.
    A connection that is open when the name moves stays in use for CONNECTION_LIFE_S at most.
    """

    def __init__(
        self,
        *,
        rules: AddressRules,
        limits: Limits,
        resolve: Resolve = socket.getaddrinfo,
        ca_file: str | None = None,
    ) -> None:
        self._sockets = Sockets()
        self._setup = Setup(rules, limits, ca_file, self._sockets.opened)
        self._rules = rules
        self._deadline_s = limits.deadline_s
        self._resolver = Resolver(rules=rules, resolve=resolve)
        self._multi: Any = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, _idle_connections())
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._sockets.changed)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._timer_at = NEVER
        self._cached: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._pool: list[Transfer] = []
        self._running: set[Transfer] = set()
        self._waiting: deque[_Waiting] = deque()
        self._answers: deque[tuple[_Waiting, Answer]] = deque()
        self._finished: list[Finished] = []
        self._in_flight = 0
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.settimeout(0)
        self._wake_write.settimeout(0)
        self._wake_fd = self._wake_read.fileno()
        self._sockets.watch(self._wake_fd)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def submit(self, request: Request) -> None:
        self._in_flight += 1
        now = monotonic()
        try:
            check_headers(request.headers)
        except UnsendableHeader as error:
            self._finish(request.key, Outcome(Reason.INTERNAL_ERROR, detail=str(error)))
            return
        target = request.target
        if target.address is not None:
            self._submit_literal(request, now=now)
            return
        answer = self._resolver.cached(target.host, now=now)
        if answer is not None:
            self._route(request, answer, started=now, now=now)
            return
        waiting = _Waiting(request, now)
        self._waiting.append(waiting)
        self._resolver.ask(target.host, lambda answer: self._on_answer(waiting, answer))

    def poll(self, timeout_s: float) -> list[Finished]:
        until = monotonic() + timeout_s
        while True:
            wake_at = 0.0 if self._finished else min(until, self._timer_at, self._next_dns_deadline())
            # Events first, even when new requests are due: a kept-alive connection whose end has arrived by now is
            # not used again.
            self._run_events(self._sockets.wait(max(wake_at - monotonic(), 0.0)))
            now = monotonic()
            self._run_timer(now)
            self._expire_lookups(now)
            if self._finished or now >= until:
                break
        finished, self._finished = self._finished, []
        self._in_flight -= len(finished)
        return finished

    def close(self) -> None:
        self._resolver.close()
        for transfer in self._running:
            self._multi.remove_handle(transfer.handle)
        self._multi.close()
        for transfer in (*self._running, *self._pool):
            transfer.handle.close()
        self._running.clear()
        self._pool.clear()
        self._waiting.clear()
        self._finished.clear()
        self._in_flight = 0
        self._sockets.close()
        self._wake_read.close()
        self._wake_write.close()

    def _submit_literal(self, request: Request, *, now: float) -> None:
        address = request.target.address
        if address is None or not self._rules.allows(address):
            self._finish(request.key, Outcome(Reason.BLOCKED_ADDRESS, detail=SENTENCES[Reason.BLOCKED_ADDRESS]))
        else:
            self._launch(request, resolve=[], started=now, dns_ms=None, now=now)

    def _route(self, request: Request, answer: Answer, *, started: float, now: float) -> None:
        """Go on with a request whose name is answered."""
        dns_ms = (now - started) * 1000
        if answer.reason is not None:
            phases = Phases(dns=dns_ms, total=dns_ms)
            self._finish(request.key, Outcome(answer.reason, detail=answer.detail, phases=phases))
        else:
            resolve = [_resolve_entry(request.target, answer)]
            self._launch(request, resolve=resolve, started=started, dns_ms=dns_ms, now=now)

    def _launch(
        self, request: Request, *, resolve: list[str], started: float, dns_ms: float | None, now: float
    ) -> None:
        resolve = self._forget_oldest(request.target) + resolve
        transfer = self._pool.pop() if self._pool else Transfer(self._setup)
        timeout_ms = self._left_ms(started, now)
        try:
            transfer.begin(request, resolve=resolve, started=started, dns_ms=dns_ms, timeout_ms=timeout_ms)
            self._multi.add_handle(transfer.handle)
        except (pycurl.error, ValueError) as error:
            # A request that cannot even be put to libcurl: ours, and nobody else's request may suffer for it.
            transfer.handle.close()
            self._finish(request.key, Outcome(Reason.INTERNAL_ERROR, detail=type(error).__name__))
            return
        self._running.add(transfer)

    def _forget_oldest(self, target: Target) -> list[str]:
        """What RESOLVE must say so that libcurl's cache, which never forgets by itself, does not grow for ever."""
        cached, host = self._cached, (target.host, target.port)
        if host in cached:
            cached.move_to_end(host)
            return []
        cached[host] = None
        if len(cached) <= CACHED_HOSTS:
            return []
        (name, port), _ = cached.popitem(last=False)
        return [f"-{name}:{port}"]

    def _finish(self, key: Hashable, outcome: Outcome) -> None:
        self._finished.append(Finished(key, outcome))

    def _run_timer(self, now: float) -> None:
        """What libcurl wanted to be woken for: new requests, deadlines, the second address of a name."""
        if self._timer_at <= now:
            self._timer_at = NEVER
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._reap()

    def _run_events(self, events: list[tuple[int, int]]) -> None:
        socket_action = self._multi.socket_action
        for fd, bits in events:
            if fd == self._wake_fd:
                self._take_answers()
            else:
                socket_action(fd, _READY[bits & 31])
        if events:
            self._reap()

    def _reap(self) -> None:
        """Collect what libcurl has done with."""
        queued = 1
        while queued:
            queued, done, failed = self._multi.info_read()
            for handle in done:
                self._release(handle.transfer, 0, "")
            for handle, code, text in failed:
                self._release(handle.transfer, code, text)

    def _release(self, transfer: Transfer, code: int, text: str) -> None:
        self._multi.remove_handle(transfer.handle)
        if code and transfer.is_unsent(code):
            transfer.begin_again(timeout_ms=self._left_ms(transfer.started, monotonic()))
            self._multi.add_handle(transfer.handle)
            return
        self._finish(transfer.key, transfer.outcome(code, text))
        self._running.discard(transfer)
        if len(self._pool) < POOLED_HANDLES and transfer.is_clean(code):
            transfer.end()
            self._pool.append(transfer)
        else:
            transfer.handle.close()

    def _left_ms(self, started: float, now: float) -> int:
        # libcurl takes 0 for "no limit".
        return max(int((started + self._deadline_s - now) * 1000), 1)

    def _on_timer(self, timeout_ms: int) -> None:
        self._timer_at = NEVER if timeout_ms < 0 else monotonic() + timeout_ms / 1000

    def _on_answer(self, waiting: _Waiting, answer: Answer) -> None:
        """Called in a thread of the resolver, or at once."""
        self._answers.append((waiting, answer))
        # A full pipe wakes as well as one more byte; a closed one belongs to a client that is gone.
        with suppress(OSError):
            self._wake_write.send(b"\0")

    def _take_answers(self) -> None:
        with suppress(BlockingIOError):
            self._wake_read.recv(4_096)
        now = monotonic()
        while self._answers:
            waiting, answer = self._answers.popleft()
            if not waiting.is_over:
                waiting.is_over = True
                self._route(waiting.request, answer, started=waiting.started, now=now)

    def _next_dns_deadline(self) -> float:
        while self._waiting and self._waiting[0].is_over:
            self._waiting.popleft()
        return self._waiting[0].started + self._deadline_s if self._waiting else NEVER

    def _expire_lookups(self, now: float) -> None:
        """All have the same deadline, so the oldest is the first to run out."""
        while self._next_dns_deadline() <= now:
            waiting = self._waiting.popleft()
            waiting.is_over = True
            total_ms = (now - waiting.started) * 1000
            outcome = Outcome(Reason.DNS_TIMEOUT, phases=Phases(dns=total_ms, total=total_ms))
            self._finish(waiting.request.key, outcome)


def _resolve_entry(target: Target, answer: Answer) -> str:
    """`+host:port:address,address`: libcurl's notation; the plus makes the entry age like any other."""
    addresses = ",".join([f"[{address}]" if address.version == 6 else str(address) for address in answer.addresses])
    return f"+{target.host}:{target.port}:{addresses}"


def _idle_connections() -> int:
    """At most half of the descriptors that the process may open; the rest is for requests in flight."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return IDLE_CONNECTIONS if soft == resource.RLIM_INFINITY else min(IDLE_CONNECTIONS, soft // 2)
