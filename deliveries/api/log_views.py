"""The merchant reads what was sent to it, and asks for it again."""

from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from deliveries.api import log_queries, representations
from deliveries.api.answers import json_answer
from deliveries.selectors import events, log
from deliveries.services import replay
from dispatcher.ids import Prefix, show
from subscriptions.api.base import MerchantView
from subscriptions.errors import Invalid
from subscriptions.services import shapes


class EventsView(MerchantView):
    """`GET /webhooks/events`: deliveries, newest first, as a bare array."""

    def get(self, request: Request) -> HttpResponse:
        params = request.query_params.dict()
        query = log_queries.read(params, owner_id=self.merchant.id)
        if query.where.endpoint_id is not None:
            log.check_endpoint(owner_id=self.merchant.id, endpoint_id=query.where.endpoint_id)
        rows = log.read_page(
            owner_id=self.merchant.id,
            where=query.where,
            before=query.before,
            offset=query.offset,
            # One more tells whether there is a next page.
            limit=query.limit + 1,
        )
        shown = rows[: query.limit]
        answer = json_answer(representations.log_rows(shown))
        if len(rows) > query.limit:
            url = request.build_absolute_uri(request.path)
            answer.headers["Link"] = log_queries.next_link(url, params, query, last=shown[-1].id)
        return answer


class EventView(MerchantView):
    """`GET /webhooks/events/{id}`."""

    def get(self, request: Request, event: str) -> HttpResponse:  # noqa: ARG002 - the framework's signature
        found = events.detail(event, owner_id=self.merchant.id)
        is_for_provider = self.caller.merchant is None
        return json_answer(representations.event_detail(found, is_for_provider=is_for_provider))


class ResendView(MerchantView):
    """`POST /webhooks/events/{id}/resend`."""

    def post(self, request: Request, event: str) -> Response:  # noqa: ARG002 - the framework's signature
        return self.create(lambda: self._resend(event))

    def _resend(self, event: str) -> Response:
        resent = replay.resend(
            event=event, owner_id=self.merchant.id, endpoint_id=self._endpoint(), actor=self.actor, now=self.now
        )
        return Response({"deliveries": [show(Prefix.DELIVERY, one) for one in resent]}, status=202)

    def _endpoint(self) -> UUID | None:
        values, faults = shapes.read(
            self.read(may_be_empty=True), {"endpoint": shapes.nullable(log_queries.endpoint_id)}
        )
        if faults:
            raise Invalid(*faults)
        endpoint: UUID | None = values.get("endpoint")
        return endpoint
