"""The familiar client: requests and urllib3 in threads, held to the same rules as the default one."""

import socket
import ssl
import threading
from http.client import HTTPException
from queue import Empty, SimpleQueue
from time import monotonic

from requests import Response

from dispatcher.addresses import AddressRules
from dispatcher.http.chunks import BadChunk, BodyCut, TrailerTooLarge
from dispatcher.http.door import BODY_TOO_LARGE, Finished, Limits, Request
from dispatcher.http.exchange import Exchange, Step
from dispatcher.http.headers import UnsendableHeader, check_headers, header_text
from dispatcher.http.network_errors import RESETS, reason_of_break, reason_of_certificate, reason_of_connect
from dispatcher.http.requests_wire import AddressRefused, JudgedAdapter, carry, prepare
from dispatcher.http.resolver import Answer, Resolve, Resolver
from dispatcher.http.watchdog import Watchdog
from dispatcher.http.wire_reader import CHUNK_BYTES, HeadCut, HeadMalformed, HeadTooLarge, WireTooLong
from dispatcher.outcomes import Outcome, Reason, reason_of_status
from dispatcher.targets import SENTENCES

THREADS = 128
# Each carries one request at a time; about 100 KiB of memory each. Requests beyond wait in a queue.


class RequestsClient:
    """Blocking exchanges in daemon threads.

    The deadline of a request begins when a thread begins to carry it, name lookup included: time in the queue is the
    platform's and not the receiver's. `in_flight` counts it from `submit` on, so that a caller who respects it never
    fills the queue.
    """

    def __init__(
        self,
        *,
        rules: AddressRules,
        limits: Limits,
        resolve: Resolve = socket.getaddrinfo,
        ca_file: str | None = None,
        threads: int = THREADS,
    ) -> None:
        self._rules = rules
        self._limits = limits
        self._resolver = Resolver(rules=rules, resolve=resolve)
        self._adapter = JudgedAdapter(rules=rules, connections=threads, ca_file=ca_file)
        self._watchdog = Watchdog()
        self._threads_max = threads
        self._threads = 0
        self._in_flight = 0
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._done: SimpleQueue[Finished] = SimpleQueue()

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def submit(self, request: Request) -> None:
        self._in_flight += 1
        if self._threads < min(self._in_flight, self._threads_max):
            self._threads += 1
            threading.Thread(target=self._work, name="requests-client", daemon=True).start()
        self._queue.put(request)

    def poll(self, timeout_s: float) -> list[Finished]:
        finished: list[Finished] = []
        try:
            finished.append(self._done.get(timeout=max(timeout_s, 0.0)))
            while True:
                finished.append(self._done.get_nowait())
        except Empty:
            pass
        self._in_flight -= len(finished)
        return finished

    def close(self) -> None:
        for _ in range(self._threads):
            self._queue.put(None)
        self._watchdog.close()
        self._resolver.close()
        self._adapter.close()
        self._in_flight = 0

    def _work(self) -> None:
        while (request := self._queue.get()) is not None:
            try:
                outcome = self._carry(request)
            except Exception as error:  # noqa: BLE001 - ours; the thread must live to carry the next request
                outcome = Outcome(Reason.INTERNAL_ERROR, detail=type(error).__name__)
            self._done.put(Finished(request.key, outcome))

    def _carry(self, request: Request) -> Outcome:
        exchange = Exchange(request, self._limits, started=monotonic())
        try:
            check_headers(request.headers)
        except UnsendableHeader as error:
            return Outcome(Reason.INTERNAL_ERROR, detail=str(error))
        exchange.enter(Step.LOOKUP)
        answer = self._judge(exchange)
        if answer is None:
            return Outcome(Reason.DNS_TIMEOUT, phases=exchange.phases())
        if answer.reason is not None:
            return Outcome(answer.reason, detail=answer.detail, phases=exchange.phases())
        exchange.addresses = answer.addresses
        self._watchdog.watch(exchange)
        try:
            return self._exchange(exchange)
        finally:
            exchange.release()
            self._watchdog.dismiss(exchange)

    def _judge(self, exchange: Exchange) -> Answer | None:
        """The addresses to connect to, or why there are none; None when the lookup took too long."""
        target = exchange.request.target
        if target.address is None:
            return self._resolver.wait(target.host, timeout_s=exchange.left_s())
        if not self._rules.allows(target.address):
            return Answer(reason=Reason.BLOCKED_ADDRESS, detail=SENTENCES[Reason.BLOCKED_ADDRESS])
        return Answer((target.address,))

    def _exchange(self, exchange: Exchange) -> Outcome:
        carry(exchange)
        try:
            response = self._adapter.send(prepare(exchange), stream=True)
        except Exception as error:  # noqa: BLE001 - whatever three layers raise, a network failure is a value
            cause = _cause_of(error)
            reason = _reason_of(exchange, cause)
            detail = SENTENCES[reason] if reason is Reason.BLOCKED_ADDRESS else _detail(exchange, cause)
            peer = "" if reason is Reason.BLOCKED_ADDRESS else exchange.peer
            return Outcome(reason, detail=detail, peer=peer, phases=exchange.phases())
        return self._answered(exchange, response)

    def _answered(self, exchange: Exchange, response: Response) -> Outcome:
        """Complete headers have decided; the body is read for the log."""
        body = bytearray()
        body_error = ""
        try:
            while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
                body += chunk
                if len(body) > exchange.limits.body_bytes:
                    body_error = BODY_TOO_LARGE
                    break
        except Exception as error:  # noqa: BLE001 - as above
            body_error = _body_error_of(exchange, error)
        head = exchange.head
        if head is None:
            raise RuntimeError("an answer without a head")
        if exchange.is_expired:
            # Shutting the connection looks like its end, and an end is how some bodies end.
            body_error = Reason.RESPONSE_TIMEOUT.value
        elif head.status == 101:
            body_error = Reason.PROTOCOL_ERROR.value
        if body_error:
            response.raw.close()
        return Outcome(
            reason=reason_of_status(head.status),
            status=head.status,
            headers=header_text(head.lines),
            body=bytes(body[: exchange.limits.excerpt_bytes]),
            body_truncated=body_error == BODY_TOO_LARGE or len(body) > exchange.limits.excerpt_bytes,
            body_error=body_error,
            peer=exchange.peer,
            phases=exchange.phases(),
        )


def _cause_of(error: BaseException) -> BaseException:
    """The first error of the chain: requests wraps urllib3's, which wraps the system's."""
    while True:
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        below = getattr(error, "reason", None)
        if isinstance(below, BaseException):
            error = below
        elif inner:
            error = inner[-1]
        elif error.__cause__ is not None:
            error = error.__cause__
        else:
            return error


_REASONS: dict[type[BaseException], Reason] = {
    AddressRefused: Reason.BLOCKED_ADDRESS,
    HeadTooLarge: Reason.RESPONSE_TOO_LARGE_HEADERS,
    HeadMalformed: Reason.PROTOCOL_ERROR,
    WireTooLong: Reason.RESPONSE_TOO_LARGE_HEADERS,
    HeadCut: Reason.CONNECTION_CLOSED,
}


def _reason_of(exchange: Exchange, cause: BaseException) -> Reason:
    """Why the exchange ended before complete headers: by the deadline, by what was raised, by how far it had come."""
    if exchange.is_expired or isinstance(cause, TimeoutError):
        return exchange.step.value
    if isinstance(cause, ssl.SSLCertVerificationError):
        return reason_of_certificate(cause.verify_code)
    if isinstance(cause, HeadCut) and exchange.send_error in RESETS:
        return Reason.CONNECTION_RESET
    known = _REASONS.get(type(cause))
    if known is not None:
        return known
    if isinstance(cause, OSError):
        return _reason_at(exchange.step, cause)
    # Whatever the layers below make of an answer that none of us thought of, it is the receiver's: an attempt that does
    # not count could be made for ever.
    return Reason.PROTOCOL_ERROR if exchange.step is Step.WAIT else Reason.INTERNAL_ERROR


def _reason_at(step: Step, error: OSError) -> Reason:
    os_error = error.errno or 0
    if step is Step.CONNECT:
        return reason_of_connect(os_error)
    if step is Step.HANDSHAKE and os_error not in RESETS:
        return Reason.TLS_PROTOCOL
    # The number of an SSLError is OpenSSL's, not the system's.
    return reason_of_break(0 if isinstance(error, ssl.SSLError) else os_error)


def _body_error_of(exchange: Exchange, error: BaseException) -> str:
    cause = _cause_of(error)
    if isinstance(cause, WireTooLong):
        return BODY_TOO_LARGE
    if isinstance(cause, TrailerTooLarge):
        return Reason.RESPONSE_TOO_LARGE_HEADERS.value
    if isinstance(cause, OSError) and cause.errno in RESETS:
        return Reason.CONNECTION_RESET.value
    # urllib3 has an exception of its own for a body that is shorter than it should be.
    is_short = exchange.reader is not None and exchange.reader.is_ended and not isinstance(cause, BadChunk)
    is_cut = is_short or isinstance(cause, (OSError, BodyCut))
    return (Reason.CONNECTION_CLOSED if is_cut else Reason.PROTOCOL_ERROR).value


def _detail(exchange: Exchange, cause: BaseException) -> str:
    """What the library said, without the objects that urllib3 likes to print."""
    if exchange.is_expired:
        return "The deadline passed."
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message[:200]
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror[:200]
    return str(cause)[:200] if isinstance(cause, HTTPException) else type(cause).__name__
