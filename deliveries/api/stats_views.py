"""The merchant reads its statistics, of all its endpoints or of one."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from deliveries.api import stats_queries
from deliveries.api.answers import json_answer
from deliveries.api.stats_queries import StatsQuery
from deliveries.selectors import log, statistics
from deliveries.selectors.statistics import Figures, Statistics
from dispatcher.ids import InvalidId, Prefix, parse, show
from subscriptions.api.base import MerchantView
from subscriptions.errors import NotFound

PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}

Shown = dict[str, Any]


class StatsView(MerchantView):
    """`GET /webhooks/stats`: of all the merchant's endpoints, deleted ones included."""

    def get(self, request: Request) -> HttpResponse:
        return self._answer(request, endpoint_id=None)

    def _answer(self, request: Request, *, endpoint_id: UUID | None) -> HttpResponse:
        query = stats_queries.read(
            request.query_params.dict(), owner_id=self.merchant.id, endpoint_id=endpoint_id, now=self.now
        )
        return json_answer(_shown(query, statistics.read(query.scope, bucket=query.bucket)))


class EndpointStatsView(StatsView):
    """`GET /webhooks/endpoints/{id}/stats`: a deleted endpoint still has its statistics."""

    def get(self, request: Request, endpoint: str) -> HttpResponse:  # type: ignore[override] # one route names one
        try:
            endpoint_id = parse(Prefix.ENDPOINT, endpoint)
        except InvalidId:
            raise NotFound("There is no such endpoint.") from None
        log.check_endpoint(owner_id=self.merchant.id, endpoint_id=endpoint_id)
        return self._answer(request, endpoint_id=endpoint_id)


def _shown(query: StatsQuery, found: Statistics) -> Shown:
    """`since` and `until` as they were widened; `pending` and `held` are lower bounds where they are not exact."""
    scope = query.scope
    return {
        "since": scope.since,
        "until": scope.until,
        "bucket": query.bucket.value,
        "endpoint_id": None if scope.endpoint_id is None else show(Prefix.ENDPOINT, scope.endpoint_id),
        "event_type": scope.event_type,
        "totals": _figures(found.totals)
        | {
            "pending": found.pending.count,
            "is_pending_exact": found.pending.is_exact,
            "held": found.held.count,
            "is_held_exact": found.held.is_exact,
        },
        "series": [{"start": start} | _figures(figures) for start, figures in found.series.items()],
        "event_types": [{"event_type": name} | _figures(figures) for name, figures in found.by_type.items()],
    }


def _figures(figures: Figures) -> Shown:
    ratio = figures.success_ratio
    latencies = {name: figures.latency_ms(percent) for name, percent in PERCENTILES.items()}
    return {
        "attempts": figures.attempts,
        "delivered": figures.delivered,
        "failed": figures.failed,
        "success_ratio": None if ratio is None else round(ratio, 6),
        "latency_ms": {name: None if value is None else round(value, 1) for name, value in latencies.items()},
    }
