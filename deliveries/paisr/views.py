"""Paisr's webhook routes, below /paisr/v1/webhooks. Keys, tenancy and problem answers are those of the API itself."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from deliveries.api import stats_queries
from deliveries.api.answers import json_answer
from deliveries.models import Delivery
from deliveries.paisr import bodies, representations
from deliveries.selectors import statistics
from deliveries.selectors.statistics import Bucket
from deliveries.services import replay
from dispatcher.ids import InvalidId, Prefix, parse, show
from subscriptions.api import idempotency, pagination
from subscriptions.api.base import MerchantView
from subscriptions.api.etags import etag
from subscriptions.api.merchant_views import DEFAULT_OVERLAP_S, NO_STORE, ROTATION
from subscriptions.errors import Invalid, NotFound
from subscriptions.models import Endpoint
from subscriptions.selectors import endpoints as selectors
from subscriptions.services import endpoints, shapes, signing_secrets


class WebhookView(MerchantView):
    """What all these routes share: a webhook is an endpoint of the caller's in one of Paisr's formats."""

    def webhooks(self) -> QuerySet[Endpoint]:
        return selectors.living(self.merchant).filter(profile__in=bodies.profiles(), channel=Endpoint.Channel.WEBHOOK)

    def webhook(self, text: str) -> Endpoint:
        """Raises NotFound, also for another merchant's and for endpoints in other formats."""
        try:
            found = self.webhooks().filter(id=parse(Prefix.ENDPOINT, text)).first()
        except InvalidId:
            found = None
        if found is None:
            raise NotFound("There is no such webhook.")
        return found

    def shown(self, row: Endpoint, *, status: int = 200, **more: Any) -> Response:
        answer = Response({**representations.webhook(row), **more}, status=status)
        answer.headers["ETag"] = etag(row.version)
        return answer


class WebhooksView(WebhookView):
    """/webhooks"""

    def get(self, request: Request) -> Response:
        return Response(
            pagination.page(
                self.webhooks(),
                query=request.query_params,
                scope=f"paisr-webhooks:{self.merchant.id}",
                show=lambda rows: [representations.webhook(row) for row in rows],
            )
        )

    def post(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature, here and below
        return self.create(self._create)

    def _create(self) -> Response:
        given = bodies.read(self.read(), bodies.NEW, required=bodies.REQUIRED)
        data = {"channel": Endpoint.Channel.WEBHOOK.value, "profile": bodies.PROFILES[1]} | given
        made = bodies.in_their_words(
            lambda: endpoints.create(merchant=self.merchant, data=data, now=self.now, actor=self.actor)
        )
        more = {"secret": made.generated} if made.generated else {}
        answer = self.shown(made.endpoint, status=201, **more)
        answer.headers["Location"] = f"{self.http_request.path}/{made.endpoint.public_id}"
        answer.headers["Cache-Control"] = NO_STORE["Cache-Control"]
        return answer


class WebhookDetailView(WebhookView):
    """/webhooks/{id}"""

    def get(self, request: Request, webhook: str) -> Response:  # noqa: ARG002
        return self.shown(self.webhook(webhook))

    def put(self, request: Request, webhook: str) -> Response:  # noqa: ARG002
        """What Paisr's own fields say from now on; `version` and `is_active`, which are ours, stay unless given."""
        row = self.webhook(webhook)
        given = bodies.read(self.read(), bodies.CHANGES, required=bodies.REQUIRED)
        return self._change(row, {"description": ""} | given)

    def patch(self, request: Request, webhook: str) -> Response:  # noqa: ARG002
        row = self.webhook(webhook)
        return self._change(row, bodies.read(self.read(), bodies.CHANGES))

    def _change(self, row: Endpoint, data: dict[str, Any]) -> Response:
        changed = bodies.in_their_words(
            lambda: endpoints.update(
                merchant=self.merchant,
                endpoint_id=row.id,
                data=data,
                now=self.now,
                actor=self.actor,
                expected=self.versions(),
            )
        )
        return self.shown(changed.endpoint)

    def delete(self, request: Request, webhook: str) -> Response:  # noqa: ARG002
        row = self.webhook(webhook)
        endpoints.delete(
            merchant=self.merchant, endpoint_id=row.id, now=self.now, actor=self.actor, expected=self.versions()
        )
        return Response(status=204)


class RotateView(WebhookView):
    """/webhooks/{id}/rotate-secret: the secret before goes on signing beside the new one, so that no event is lost."""

    def post(self, request: Request, webhook: str) -> Response:  # noqa: ARG002
        return self.create(lambda: self._rotate(self.webhook(webhook)))

    def _rotate(self, row: Endpoint) -> Response:
        values, faults = shapes.read(self.read(may_be_empty=True), ROTATION)
        if faults:
            raise Invalid(*faults)
        rotated = signing_secrets.rotate(
            merchant=self.merchant,
            endpoint_id=row.id,
            text=values.get("secret"),
            overlap=timedelta(seconds=values.get("overlap_seconds", DEFAULT_OVERLAP_S)),
            now=self.now,
            actor=self.actor,
            expected=self.versions(),
        )
        shown = {"id": row.public_id, "secret": rotated.text, "previous_expires_at": rotated.previous_expires_at}
        return Response(shown, headers=NO_STORE)


class EventsView(WebhookView):
    """/webhooks/{id}/events: newest first."""

    def get(self, request: Request, webhook: str) -> HttpResponse:
        row = self.webhook(webhook)
        shown = pagination.page(
            Delivery.objects.filter(owner_id=self.merchant.id, endpoint_id=row.id),
            query=request.query_params,
            scope=f"paisr-events:{row.id}",
            show=lambda rows: representations.events(rows, row),
        )
        answer = json_answer(shown)
        if shown["next_cursor"]:
            asked = urlencode(request.query_params.dict() | {"cursor": shown["next_cursor"]})
            answer.headers["Link"] = f'<{request.build_absolute_uri(request.path)}?{asked}>; rel="next"'
        return answer


class RetryView(WebhookView):
    """/webhooks/{id}/events/{event}/retry: sent again now, with a fresh schedule if it was final."""

    def post(self, request: Request, webhook: str, event: str) -> HttpResponse:  # noqa: ARG002
        row = self.webhook(webhook)
        # What a key is kept for is the retry that it began; the event is shown as it is now.
        begun = self.create(lambda: self._begin(row, event))
        delivery_id = parse(Prefix.DELIVERY, begun.data["delivery_id"])
        shown = representations.events(Delivery.objects.filter(id=delivery_id), row)
        if not shown:
            raise NotFound("There is no such event.")
        answer = json_answer(shown[0], status=202)
        if idempotency.REPLAYED in begun.headers:
            answer.headers[idempotency.REPLAYED] = begun.headers[idempotency.REPLAYED]
        return answer

    def _begin(self, row: Endpoint, event: str) -> Response:
        _, faults = shapes.read(self.read(may_be_empty=True), {})
        if faults:
            raise Invalid(*faults)
        resent = replay.resend(
            event=event, owner_id=self.merchant.id, endpoint_id=row.id, actor=self.actor, now=self.now
        )
        if not resent:
            raise NotFound("There is no such event.")
        return Response({"delivery_id": show(Prefix.DELIVERY, resent[0])})


class StatsView(WebhookView):
    """/webhooks/{id}/stats: what came of its events from `since` to `until`, by default in the last 24 hours."""

    def get(self, request: Request, webhook: str) -> HttpResponse:
        row = self.webhook(webhook)
        asked = {name: request.query_params[name] for name in ("since", "until") if name in request.query_params}
        query = stats_queries.read(
            asked | {"bucket": Bucket.DAY.value}, owner_id=self.merchant.id, endpoint_id=row.id, now=self.now
        )
        return json_answer(representations.stats(query.scope, statistics.read(query.scope, bucket=query.bucket)))
