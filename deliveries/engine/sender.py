"""From a picked delivery to a signed request, and from what came back to what follows."""

import logging
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import cast
from uuid import UUID

from django.conf import settings

from deliveries import tracing
from deliveries.channels.carrier import Carrier
from deliveries.channels.texts import Addressee, TextSource
from deliveries.engine.endpoints import EndpointCache, Ready
from deliveries.engine.values import Pick, Result, Sent
from dispatcher.ack import ANY_SUCCESS, AckRule, judge
from dispatcher.http.door import Client, Finished, Request
from dispatcher.ids import Prefix, new_id, show
from dispatcher.outcomes import TIMEOUTS, Outcome, Reason
from dispatcher.profiles.engine import Rendered
from dispatcher.profiles.frame import Message
from dispatcher.retry import decide
from subscriptions.services.message_texts import TextError

logger = logging.getLogger(__name__)

STALL_SHARE = 0.5
# Of an attempt's deadline. Who did not look at the network for longer, because the worker was frozen or Postgres held
# it up, finds deadlines over whose answers may have come in time: no receiver is to blame for those.
MOST_STALLS = 3
# In a row: a platform that always stands still must not send the same thing for ever without counting.
STALLED = "The worker stood still while this was in the air; the receiver may have got it."


@dataclass(frozen=True, slots=True)
class Flight:
    """A request in the air."""

    pick: Pick
    ready: Ready
    sent: Sent
    started_at: datetime
    ack: AckRule = ANY_SUCCESS
    span: tracing.Attempt | None = None

    @property
    def size(self) -> int:
        """Bytes that it keeps in memory: the payload, and the body where that is another."""
        return len(self.pick.payload) + len(self.sent.body or b"")


class Sender:
    """Renders, signs and submits; judges what comes back. Holds no state but what is in the air.

    Webhooks go by the HTTP client, letters by a carrier's threads. A sender that is given no carrier makes one, which
    costs nothing before the first letter.
    """

    def __init__(self, client: Client, endpoints: EndpointCache, carrier: Carrier | None = None) -> None:
        self._client = client
        self._endpoints = endpoints
        self._carrier = carrier or Carrier(deadline_s=settings.DELIVERY_TIMEOUT)
        self._texts = TextSource()
        # By a number and not by the delivery: one that was abandoned may be sent again while its request still flies.
        self._flights: dict[int, Flight] = {}
        self._numbers = count()
        self._looked_at = 0.0
        self.bytes_in_flight = 0

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    def bytes_to(self, endpoint_ids: Collection[UUID]) -> int:
        """How many of the bytes in flight go to these endpoints."""
        return sum(flight.size for flight in self._flights.values() if flight.pick.endpoint_id in endpoint_ids)

    @property
    def free_letters(self) -> int:
        """How many e-mails and SMS may be sent now. More must wait in their lanes."""
        return self._carrier.free

    def send(self, picks: Sequence[Pick], *, versions: dict[UUID, int], now: datetime) -> list[Result]:
        """Submit each pick. Returns those that failed before anything could be sent."""
        if not picks:
            return []
        if not self._flights:
            self._looked_at = time.monotonic()
        wanted = {pick.endpoint_id: versions[pick.endpoint_id] for pick in picks}
        ready = self._endpoints.get_many(wanted, now=now)
        # Before anything is sent: whatever Postgres refuses here, all picks can still be given back.
        if letters := [pick for pick in picks if isinstance(ready[pick.endpoint_id].sendable, Addressee)]:
            self._texts.prepare(letters)
        return [result for pick in picks if (result := self._send_one(pick, ready[pick.endpoint_id], now=now))]

    def _send_one(self, pick: Pick, ready: Ready, *, now: datetime) -> Result | None:
        refused = Flight(pick, ready, Sent(ready.url, "", None), now)
        if isinstance(ready.sendable, Outcome):
            return _result(refused, ready.sendable, now=now)
        if isinstance(ready.sendable, Addressee):
            return self._send_letter(pick, ready, ready.sendable, now=now)
        try:
            rendered = ready.sendable.render(_message(pick, now=now))
        except Exception:
            # One row that cannot be rendered must not stop its neighbours; the traceback names no secret.
            logger.exception("delivery %s could not be rendered", pick.delivery_id)
            return _result(refused, Outcome(Reason.INTERNAL_ERROR, detail="The request could not be made."), now=now)
        span = tracing.begin(pick, now=now) if pick.traceparent else None
        if span:
            rendered = _traced(rendered, span)
        sent = Sent(ready.url, rendered.log_headers, None if rendered.is_body_payload else rendered.body)
        number = self._enter(Flight(pick, ready, sent, now, ready.sendable.ack, span))
        self._client.submit(Request(number, ready.sendable.target, rendered.headers, rendered.body))
        return None

    def _send_letter(self, pick: Pick, ready: Ready, addressee: Addressee, *, now: datetime) -> Result | None:
        try:
            letter = self._texts.write(pick, _message(pick, now=now), addressee)
        except TextError as trouble:
            outcome = Outcome(Reason.INTERNAL_ERROR, detail=str(trouble)[:200])
        except Exception:
            logger.exception("delivery %s could not be written", pick.delivery_id)
            outcome = Outcome(Reason.INTERNAL_ERROR, detail="The letter could not be written.")
        else:
            sent = Sent(ready.url, letter.log_headers, letter.text.encode())
            span = tracing.begin(pick, now=now) if pick.traceparent else None
            number = self._enter(Flight(pick, ready, sent, now, span=span))
            self._carrier.submit(number, letter.carry)
            return None
        return _result(Flight(pick, ready, Sent(ready.url, "", None), now), outcome, now=now)

    def _enter(self, flight: Flight) -> int:
        number = next(self._numbers)
        self._flights[number] = flight
        self.bytes_in_flight += flight.size
        return number

    def _leave(self, number: int) -> Flight | None:
        flight = self._flights.pop(number, None)
        if flight is not None:
            self.bytes_in_flight -= flight.size
        return flight

    def _poll(self, timeout_s: float) -> list[Finished]:
        """Webhooks never wait for letters: while both are in the air, letters are only looked at in passing."""
        if not self._carrier.in_flight:
            return self._client.poll(timeout_s)
        if not self._client.in_flight:
            return self._carrier.poll(timeout_s)
        letters = self._carrier.poll(0.0)
        return letters + self._client.poll(0.0 if letters else timeout_s)

    def poll(self, timeout_s: float, *, now: Callable[[], datetime]) -> list[Result]:
        """Drive the network for at most `timeout_s`; what finished, judged by its endpoint's rules."""
        finished = self._poll(timeout_s)
        before, self._looked_at = self._looked_at, time.monotonic()
        is_late = self._looked_at - before > timeout_s + settings.DELIVERY_TIMEOUT * STALL_SHARE
        moment = now() if finished else None
        return [result for item in finished if moment and (result := self._land(item, is_late=is_late, now=moment))]

    def _land(self, finished: Finished, *, is_late: bool, now: datetime) -> Result | None:
        flight = self._leave(cast("int", finished.key))
        if flight is None:
            return None
        outcome = judge(finished.outcome, flight.ack)
        if is_late and outcome.reason in TIMEOUTS and flight.pick.attempts_uncounted < MOST_STALLS:
            outcome = replace(outcome, reason=Reason.INTERRUPTED, detail=STALLED)
        return _result(flight, outcome, now=now)

    def abandon(self, endpoint_ids: Collection[UUID]) -> None:
        """Nobody asks any more what becomes of the requests to these endpoints."""
        stale = [number for number, flight in self._flights.items() if flight.pick.endpoint_id in endpoint_ids]
        for number in stale:
            flight = self._leave(number)
            if flight and flight.span:
                flight.span.abandon()

    def close(self) -> None:
        self._flights.clear()
        self.bytes_in_flight = 0
        self._client.close()
        self._carrier.close()


def _message(pick: Pick, *, now: datetime) -> Message:
    return Message(
        event_id=pick.external_id or show(Prefix.EVENT, pick.event_id),
        event_type=pick.event_type,
        payload=pick.payload,
        occurred_at=pick.occurred_at,
        account=pick.account,
        merchant=show(Prefix.MERCHANT, pick.merchant_id),
        delivery_id=show(Prefix.DELIVERY, pick.delivery_id),
        attempt=pick.number,
        now=now,
        mode="live" if pick.is_live else "test",
    )


def _result(flight: Flight, outcome: Outcome, *, now: datetime) -> Result:
    pick, ready = flight.pick, flight.ready
    decision = decide(
        outcome,
        attempts_counted=pick.attempts_counted,
        attempts_made=pick.attempts_counted + pick.attempts_uncounted,
        schedule=ready.schedule,
        now=now,
        jitter=random.uniform(-1, 1),  # noqa: S311 - spreads retries, protects nothing
        stop_statuses=ready.stops_at(now=now),
    )
    next_attempt_at = None if decision.wait_s is None else now + timedelta(seconds=decision.wait_s)
    result = Result(new_id(), pick, flight.sent, outcome, decision, flight.started_at, now, next_attempt_at)
    if flight.span:
        flight.span.end(result)
    return result


def _traced(rendered: Rendered, span: tracing.Attempt) -> Rendered:
    """With the trace, where receivers shall learn it. A header of the merchant's own of that name stays."""
    names = {name.lower() for name, _ in rendered.headers}
    if not settings.TRACEPARENT_TO_RECEIVERS or tracing.HEADER in names:
        return rendered
    return rendered._replace(
        headers=(*rendered.headers, (tracing.HEADER, span.traceparent)),
        log_headers=f"{rendered.log_headers}{tracing.HEADER}: {span.traceparent}\r\n",
    )
