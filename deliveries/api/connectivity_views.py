"""The connectivity test of an endpoint."""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from deliveries.api import representations
from deliveries.api.answers import json_answer
from deliveries.services import connectivity
from dispatcher.outcomes import Outcome
from subscriptions.api.base import MerchantView
from subscriptions.api.merchant_views import endpoint_id
from subscriptions.errors import Invalid
from subscriptions.selectors import endpoints
from subscriptions.services import shapes


class ConnectivityView(MerchantView):
    """`POST /webhooks/endpoints/{id}/connectivity`: 200 with what came of it, also when nobody answered."""

    def post(self, request: Request, endpoint: str) -> HttpResponse:  # noqa: ARG002 - the framework's signature
        row = endpoints.get(self.merchant, endpoint_id(endpoint))
        _, faults = shapes.read(self.read(may_be_empty=True), {})
        if faults:
            raise Invalid(*faults)
        outcome = connectivity.check(endpoint=row, actor=self.actor, now=self.now)
        return json_answer(_shown(outcome, is_for_provider=self.caller.merchant is None))


def _shown(outcome: Outcome, *, is_for_provider: bool) -> dict[str, Any]:
    """`reason` and `detail` say why nobody was reached; null for whoever answers, whatever the status."""
    is_reachable = outcome.status is not None
    return {
        "reachable": is_reachable,
        "reason": None if is_reachable else outcome.reason.value,
        "detail": None if is_reachable else outcome.detail,
        "status": outcome.status,
        "phases_ms": representations.phases(outcome.phases),
        "peer": representations.peer(outcome.peer, is_for_provider=is_for_provider),
    }
