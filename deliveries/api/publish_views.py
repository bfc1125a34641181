"""The provider publishes: one event, or a batch. The busiest routes of all, so they do little."""

from dataclasses import replace

from django.conf import settings
from django.http import HttpResponse
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from deliveries.api import event_bodies
from deliveries.api.answers import json_answer
from deliveries.api.representations import accepted
from deliveries.services import Accepted, NewEvent, publish_batch
from subscriptions.api import bodies, idempotency
from subscriptions.api.base import ProviderView
from subscriptions.errors import Invalid, Refusal

ENVELOPE_BYTES = 16_384
# What may stand around one payload. All other members at their longest, every character escaped, stay below 8 KiB.


class PublishView(ProviderView):
    """`POST /events`."""

    def post(self, request: Request) -> HttpResponse:  # noqa: ARG002 - the framework's signature
        self.max_body_bytes = settings.PAYLOAD_MAX_BYTES + ENVELOPE_BYTES
        key = idempotency.read_key(self.http_request)
        event = event_bodies.read_event(_checked(self), idempotency_key=key)
        return json_answer(accepted(self._publish(event)), status=202)

    def _publish(self, event: NewEvent) -> Accepted:
        """As a batch of one, whose faults then read as those of a single event."""
        try:
            return publish_batch([event], scope=self.actor, now=self.now, are_payloads_checked=True)[0]
        except Invalid as refusal:
            raise Invalid(*[replace(e, pointer=e.pointer.removeprefix("/events/0")) for e in refusal.errors]) from None
        except Refusal as refusal:
            refusal.detail = refusal.detail.removeprefix("Event 0: ")
            raise


class PublishBatchView(ProviderView):
    """`POST /events/batch`. An `Idempotency-Key` here is the whole batch's; each event may have its own as well."""

    def post(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature
        self.max_body_bytes = settings.BATCH_MAX_BYTES
        events = event_bodies.read_batch(_checked(self))
        return self.create(lambda: self._publish(events))

    def _publish(self, events: list[NewEvent]) -> Response:
        answers = publish_batch(events, scope=self.actor, now=self.now, are_payloads_checked=True)
        return Response({"events": [accepted(answer) for answer in answers]}, status=202)


def _checked(view: ProviderView) -> bytes:
    bodies.check_type(view.http_request)
    if not view.raw_body:
        raise ParseError("The body is empty; a JSON object is needed.", code="empty_body")
    return view.raw_body
