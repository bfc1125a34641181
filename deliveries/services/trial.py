"""The test button: one signed event sent to one endpoint now, and what came of it kept like any other attempt."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from deliveries import id_ranges
from deliveries.engine.endpoints import EndpointCache
from deliveries.engine.sender import Sender
from deliveries.engine.values import Pick, Result
from deliveries.models import Attempt, Delivery, Event, LaneEntry
from deliveries.services import lanes, waiting
from dispatcher.addresses import AddressRules
from dispatcher.http import Client, Limits, make_client
from dispatcher.ids import new_id
from subscriptions.errors import Conflict, FieldError, Invalid
from subscriptions.models import Endpoint, EventType, Merchant
from subscriptions.operational import is_reserved
from subscriptions.selectors import event_types, profiles, samples
from subscriptions.services import audit
from subscriptions.services.endpoint_channels import NOT_CONFIRMED, UNVERIFIED, may_be_sent_to
from subscriptions.services.endpoint_urls import target_rules

TAKEN_OVER_AFTER = timedelta(seconds=60)
# Longer than any attempt may take. A process that dies with the request in the air leaves a delivery that a drain then
# sends, so that the trace is never lost; until then no drain touches it.
POLL_S = 1.0
SAMPLE_TYPE = "test.sample"
# For a catalogue that holds nothing the endpoint wants.


@dataclass(frozen=True, slots=True)
class Trial:
    """A test that was made: its event, its delivery, its one attempt."""

    event: Event
    delivery: Delivery
    attempt: Attempt


def make(
    *, endpoint: Endpoint, event_type: str | None, actor: str, now: datetime, payload: bytes | None = None
) -> Trial:
    """A test from its beginning to its end, outside of any transaction. Raises what `begin` does, and Overloaded."""
    with waiting.slot():
        delivery_id = begin(endpoint=endpoint, event_type=event_type, actor=actor, now=now, payload=payload)
        return finish(delivery_id=delivery_id)


@transaction.atomic
def begin(
    *, endpoint: Endpoint, event_type: str | None, actor: str, now: datetime, payload: bytes | None = None
) -> UUID:
    """Write down that a test is owed, and return its delivery's id. Nothing is sent yet. Have a slot of `waiting` until
    `finish` is through.

    `payload` is JSON text, sent exactly so; it need not fit the type's schema, for a merchant may try what it likes on
    its own endpoint. Without one the type's sample is sent.

    Raises Invalid for a type that is not on offer. The endpoint may be disabled: merchants try before they enable. But
    not where the owner of an address has yet to say yes: that is a Conflict.
    """
    if not may_be_sent_to(endpoint):
        raise Conflict(NOT_CONFIRMED, code=UNVERIFIED)
    chosen = _chosen_type(endpoint, event_type)
    event = Event.objects.create(
        merchant_id=endpoint.owner_id,
        type=chosen.name,
        payload=payload or _payload(chosen, endpoint),
        is_test=True,
        is_live=endpoint.owner.mode == Merchant.Mode.LIVE,
        occurred_at=now,
        created_at=now,
    )
    delivery = Delivery.objects.create(
        id=id_ranges.delivery_id(event.id, place=1),
        event_id=event.id,
        endpoint_id=endpoint.id,
        owner_id=endpoint.owner_id,
        event_type=event.type,
        status=Delivery.Status.PENDING,
        next_attempt_at=now + TAKEN_OVER_AFTER,
        created_at=now,
    )
    LaneEntry.objects.create(
        delivery_id=delivery.id,
        endpoint_id=endpoint.id,
        due_at=now + TAKEN_OVER_AFTER,
        trigger=Attempt.Trigger.TEST,
    )
    # The sweep looks at lanes, and rings for this one; the drain then finds nothing due before its time.
    lanes.need([endpoint.id])
    detail = {"event_type": event.type, "delivery": delivery.public_id}
    audit.note(
        actor=actor,
        action="endpoint.tested",
        target=endpoint.public_id,
        merchant_id=endpoint.owner_id,
        detail=detail,
        now=now,
    )
    return delivery.id


def finish(*, delivery_id: UUID, clock: Callable[[], datetime] = timezone.now) -> Trial:
    """Send what `begin` wrote down, once, and record what came of it. Call it outside of any transaction."""
    delivery = Delivery.objects.get(id=delivery_id)
    event = Event.objects.get(id=delivery.event_id)
    result = _send(_pick(event, delivery), clock=clock)
    return _record(event, result)


def find(delivery_id: UUID) -> Trial | None:
    """The test as it was recorded; None while it is under way."""
    delivery = Delivery.objects.get(id=delivery_id)
    attempt = Attempt.objects.filter(delivery_id=delivery_id, number=1).first()
    return Trial(Event.objects.get(id=delivery.event_id), delivery, attempt) if attempt else None


def _chosen_type(endpoint: Endpoint, named: str | None) -> EventType:
    """The named type, or the first that the endpoint hears, with an example if there is one."""
    on_offer = event_types.on_offer()
    if named is not None:
        if chosen := on_offer.filter(name=named).first():
            return chosen
        raise Invalid(FieldError("/event_type", "unknown_event_type", "No such event type."))
    heard = [row for row in on_offer.order_by("name") if _hears(endpoint, row.name)]
    heard.sort(key=lambda row: row.example is None)
    return heard[0] if heard else EventType(name=SAMPLE_TYPE)


def _hears(endpoint: Endpoint, name: str) -> bool:
    # Type names hold none of the characters that this matching treats specially; filters only the star at their end.
    if endpoint.event_types is None:
        return not is_reserved(name)
    return any(fnmatchcase(name, wanted) for wanted in endpoint.event_types)


def _payload(event_type: EventType, endpoint: Endpoint) -> bytes:
    """The type's sample; the flat one where the endpoint's format carries no other, unless the catalogue has one."""
    sample = samples.sample_of(event_type)
    profile = profiles.find(endpoint.profile)
    needs_flat = profile is not None and profile.body.kind in {"form", "b64url_form"}
    if needs_flat and sample.source is samples.Source.SCHEMA and not samples.is_flat(sample.value):
        sample = samples.default_of(event_type)
    return json.dumps(sample.value, ensure_ascii=False).encode()


def _pick(event: Event, delivery: Delivery) -> Pick:
    return Pick(
        endpoint_id=delivery.endpoint_id,
        delivery_id=delivery.id,
        due_at=delivery.created_at,
        trigger=Attempt.Trigger.TEST.value,
        attempts_made=0,
        attempts_counted=0,
        attempts_uncounted=0,
        event_id=event.id,
        external_id=None,
        event_type=event.type,
        account=None,
        payload=bytes(event.payload),
        occurred_at=event.occurred_at,
        merchant_id=event.merchant_id,
        is_live=event.is_live,
    )


def _send(pick: Pick, *, clock: Callable[[], datetime]) -> Result:
    """One request on a client of its own: a client is not for sharing between threads, and tests are rare."""
    with closing(Sender(_client(), EndpointCache(target_rules()))) as sender:
        results = sender.send([pick], versions={pick.endpoint_id: 0}, now=clock())
        while not results:
            results = sender.poll(POLL_S, now=clock)
        return results[0]


def _client() -> Client:
    rules = AddressRules(allowed_networks=tuple(settings.ALLOWED_TARGET_NETWORKS))
    return make_client(settings.HTTP_CLIENT, rules=rules, limits=Limits(deadline_s=settings.DELIVERY_TIMEOUT))


@transaction.atomic
def _record(event: Event, result: Result) -> Trial:
    """The one attempt is the last: the entry goes first, in the order of a drain that settles a closed lane."""
    delivery_id = result.pick.delivery_id
    LaneEntry.objects.filter(delivery_id=delivery_id).delete()
    delivery = Delivery.objects.select_for_update(no_key=True).get(id=delivery_id)
    attempt = _attempt(result)
    attempt.number = delivery.attempts_made + 1
    status = Delivery.Status.DELIVERED if result.outcome.received else Delivery.Status.FAILED
    attempt.leaves = status
    attempt.save(force_insert=True)
    delivery.status, delivery.next_attempt_at, delivery.finished_at = status, None, result.finished_at
    delivery.attempts_made = attempt.number
    delivery.attempts_counted, delivery.attempts_uncounted = int(attempt.is_counted), int(not attempt.is_counted)
    delivery.last_reason, delivery.last_status = attempt.reason, attempt.response_status
    delivery.last_attempt_at = attempt.started_at
    delivery.save()
    return Trial(event, delivery, attempt)


def _attempt(result: Result) -> Attempt:
    outcome, phases = result.outcome, result.outcome.phases
    return Attempt(
        id=new_id(),
        delivery_id=result.pick.delivery_id,
        trigger=Attempt.Trigger.TEST,
        is_counted=result.decision.is_counted,
        reason=outcome.reason.value,
        url=result.sent.url,
        request_headers=result.sent.headers,
        request_body=result.sent.body,
        response_status=outcome.status,
        response_headers=outcome.headers.replace("\0", ""),
        response_body=outcome.body,
        is_response_truncated=outcome.body_truncated,
        body_error=outcome.body_error.replace("\0", "")[:255],
        detail=outcome.detail.replace("\0", "")[:255],
        peer=outcome.peer[:64],
        dns_ms=phases.dns,
        connect_ms=phases.connect,
        tls_ms=phases.tls,
        send_ms=phases.send,
        wait_ms=phases.wait,
        total_ms=phases.total,
        started_at=result.started_at,
    )
