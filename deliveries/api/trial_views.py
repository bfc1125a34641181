"""The test button of an endpoint."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from deliveries.api import representations
from deliveries.api.answers import json_answer
from deliveries.services import trial
from dispatcher.ids import InvalidId, Prefix, parse, show
from subscriptions.api import idempotency
from subscriptions.api.base import MerchantView
from subscriptions.errors import Conflict, Invalid, NotFound
from subscriptions.models import Endpoint
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH
from subscriptions.selectors import endpoints
from subscriptions.services import shapes

SHAPE: shapes.Shape = {"event_type": shapes.nullable(shapes.line(most=EVENT_TYPE_LENGTH))}


class TrialView(MerchantView):
    """`POST /webhooks/endpoints/{id}/test`: 200 with the attempt, also when the receiver failed."""

    def post(self, request: Request, endpoint: str) -> HttpResponse:  # noqa: ARG002 - the framework's signature
        # What a key is kept for is the test that it began: no transaction may be open while the request is sent.
        begun = self.create(lambda: self._begin(endpoint))
        delivery_id = parse(Prefix.DELIVERY, begun.data["delivery_id"])
        is_repeat = begun.headers.get(idempotency.REPLAYED) is not None
        made = self._earlier(delivery_id) if is_repeat else trial.finish(delivery_id=delivery_id)
        answer = json_answer(self._shown(made))
        if is_repeat:
            answer.headers[idempotency.REPLAYED] = "true"
        return answer

    def _begin(self, endpoint: str) -> Response:
        row = self._endpoint(endpoint)
        values, faults = shapes.read(self.read(may_be_empty=True), SHAPE)
        if faults:
            raise Invalid(*faults)
        delivery_id = trial.begin(endpoint=row, event_type=values.get("event_type"), actor=self.actor, now=self.now)
        return Response({"delivery_id": show(Prefix.DELIVERY, delivery_id)})

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
