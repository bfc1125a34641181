"""The test button of an endpoint."""

from contextlib import ExitStack
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from deliveries.api import representations
from deliveries.api.answers import json_answer
from deliveries.api.publish_views import ENVELOPE_BYTES
from deliveries.services import trial, waiting
from dispatcher.ids import InvalidId, Prefix, parse, show
from subscriptions.api import idempotency
from subscriptions.api.base import MerchantView
from subscriptions.errors import Conflict, Invalid, NotFound, TooLarge
from subscriptions.models import Endpoint
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH
from subscriptions.selectors import endpoints
from subscriptions.services import shapes

SHAPE: shapes.Shape = {
    "event_type": shapes.nullable(shapes.line(most=EVENT_TYPE_LENGTH)),
    "payload": shapes.anything,
}


class _Body(msgspec.Struct):
    """Hands out the payload as the very bytes that were sent."""

    payload: msgspec.Raw


_decode = msgspec.json.Decoder(_Body).decode


class TrialView(MerchantView):
    """`POST /webhooks/endpoints/{id}/test`: 200 with the attempt, also when the receiver failed."""

    def post(self, request: Request, endpoint: str) -> HttpResponse:  # noqa: ARG002 - the framework's signature
        self.max_body_bytes = settings.PAYLOAD_MAX_BYTES + ENVELOPE_BYTES
        with ExitStack() as held:
            # What a key is kept for is the test that it began: no transaction may be open while the request is sent.
            begun = self.create(lambda: self._begin(endpoint, held))
            delivery_id = parse(Prefix.DELIVERY, begun.data["delivery_id"])
            is_repeat = begun.headers.get(idempotency.REPLAYED) is not None
            made = self._earlier(delivery_id) if is_repeat else trial.finish(delivery_id=delivery_id)
        answer = json_answer(self._shown(made))
        if is_repeat:
            answer.headers[idempotency.REPLAYED] = "true"
        return answer

    def _begin(self, endpoint: str, held: ExitStack) -> Response:
        row = self._endpoint(endpoint)
        values, faults = shapes.read(self.read(may_be_empty=True), SHAPE)
        if faults:
            raise Invalid(*faults)
        held.enter_context(waiting.slot())
        delivery_id = trial.begin(
            endpoint=row,
            event_type=values.get("event_type"),
            payload=self._payload() if "payload" in values else None,
            actor=self.actor,
            now=self.now,
        )
        return Response({"delivery_id": show(Prefix.DELIVERY, delivery_id)})

    def _payload(self) -> bytes:
        payload = bytes(_decode(self.raw_body).payload)
        if len(payload) > settings.PAYLOAD_MAX_BYTES:
            raise TooLarge(f"The payload has more than {settings.PAYLOAD_MAX_BYTES} bytes.")
        return payload

    def _endpoint(self, text: str) -> Endpoint:
        try:
            return endpoints.get(self.merchant, parse(Prefix.ENDPOINT, text))
        except InvalidId:
            raise NotFound("There is no such endpoint.") from None

    def _earlier(self, delivery_id: UUID) -> trial.Trial:
        if made := trial.find(delivery_id):
            return made
        raise Conflict("The test that this Idempotency-Key began is still under way.", code="in_progress")

    def _shown(self, made: trial.Trial) -> dict[str, Any]:
        payload = bytes(made.event.payload)
        is_for_provider = self.caller.merchant is None
        return {
            "event_id": made.event.public_id,
            "delivery_id": made.delivery.public_id,
            "event_type": made.event.type,
            "delivery_status": made.delivery.status,
            **representations.attempt(made.attempt, is_for_provider=is_for_provider, payload=payload),
        }
