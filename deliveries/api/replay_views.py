"""Recover, replay what is missing, release what is held; and how far that is."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from deliveries.api import log_queries
from deliveries.models import Replay
from deliveries.selectors import replays as selectors
from deliveries.services import replays
from dispatcher.ids import InvalidId, Prefix, parse, show
from subscriptions.api import pagination
from subscriptions.api.base import MerchantView
from subscriptions.api.merchant_views import endpoint_id
from subscriptions.errors import Invalid, NotFound
from subscriptions.selectors import endpoints
from subscriptions.services import shapes

SHAPE: shapes.Shape = {
    "since": shapes.moment,
    "until": shapes.nullable(shapes.moment),
    "dry_run": shapes.boolean,
}
LIST_SHAPE: shapes.Shape = {"endpoint": log_queries.endpoint_id}
RELEASE_SHAPE: shapes.Shape = {**SHAPE, "since": shapes.nullable(shapes.moment)}


class BeginView(MerchantView):
    """`POST /endpoints/{id}/recover|replay-missing|release`: 202 with the replay; 200 with a count for a `dry_run`."""

    kind = Replay.Kind.RECOVER

    def post(self, request: Request, endpoint: str) -> Response:  # noqa: ARG002 - the framework's signature, here and below
        return self.create(lambda: self._begin(endpoint_id(endpoint)))

    def _begin(self, endpoint: UUID) -> Response:
        row = endpoints.get(self.merchant, endpoint)
        asked = self._read()
        window = {"since": asked.get("since"), "until": asked.get("until")}
        if asked.get("dry_run"):
            found = replays.count(endpoint=row, kind=self.kind, now=self.now, **window)
            return Response({"count": found.count, "is_exact": found.is_exact})
        begun = replays.begin(endpoint=row, kind=self.kind, actor=self.actor, now=self.now, **window)
        location = f"/api/v2/webhooks/replays/{begun.public_id}"
        return Response(represent(begun), status=202, headers={"Location": location})

    def _read(self) -> dict[str, Any]:
        is_release = self.kind == Replay.Kind.RELEASE
        body = self.read(may_be_empty=is_release)
        values, faults = shapes.read(
            body, RELEASE_SHAPE if is_release else SHAPE, required=() if is_release else ("since",)
        )
        if faults:
            raise Invalid(*faults)
        return values


class ReplaysView(MerchantView):
    """`GET /replays`, newest first; `?endpoint=` for one endpoint's."""

    def get(self, request: Request) -> Response:
        rows = selectors.of_owner(self.merchant.id)
        asked = {name: request.query_params[name] for name in LIST_SHAPE if name in request.query_params}
        values, faults = shapes.read(asked, LIST_SHAPE)
        if faults:
            raise Invalid(*faults)
        if "endpoint" in values:
            rows = rows.filter(endpoint_id=values["endpoint"])
        scope = f"replays:{self.merchant.id}:{asked.get('endpoint', '')}"
        return Response(pagination.page(rows, query=request.query_params, scope=scope, show=_represent_all))


class ReplayView(MerchantView):
    """`GET /replays/{id}`."""

    def get(self, request: Request, replay: str) -> Response:  # noqa: ARG002
        return Response(represent(selectors.get(_replay_id(replay), owner_id=self.merchant.id)))


class StopView(MerchantView):
    """`POST /replays/{id}/stop`."""

    def post(self, request: Request, replay: str) -> Response:  # noqa: ARG002
        found = replays.stop(replay_id=_replay_id(replay), owner_id=self.merchant.id, actor=self.actor, now=self.now)
        if found is None:
            raise NotFound("There is no such replay.")
        return Response(represent(found))


def represent(row: Replay) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "kind": row.kind,
        "endpoint": show(Prefix.ENDPOINT, row.endpoint_id),
        "status": row.status,
        "stop_reason": row.stop_reason or None,
        "since": row.since,
        "until": row.until,
        "sent": row.sent,
        "progress": round(selectors.progress(row), 3),
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }


def _represent_all(rows: Collection[Replay]) -> list[dict[str, Any]]:
    return [represent(row) for row in rows]


def _replay_id(text: str) -> UUID:
    try:
        return parse(Prefix.REPLAY, text)
    except InvalidId:
        raise NotFound("There is no such replay.") from None
