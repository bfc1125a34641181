"""The provider has contents taken out of the log."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from deliveries.models import Expunge
from deliveries.selectors import expunges as selectors
from deliveries.services import expunges
from dispatcher.ids import InvalidId, Prefix, parse, show
from subscriptions.api import pagination
from subscriptions.api.base import ProviderView
from subscriptions.errors import Invalid, NotFound
from subscriptions.models.merchants import REFERENCE_LENGTH
from subscriptions.selectors import merchants
from subscriptions.services import shapes

ACCOUNT: shapes.Shape = {"account": shapes.line(most=REFERENCE_LENGTH)}
NOTHING: shapes.Shape = {}


class ExpungeEventView(ProviderView):
    """`POST /events/{id}/expunge`: 202 with the expunge, which mostly is finished already."""

    def post(self, request: Request, event: str) -> Response:  # noqa: ARG002 - the framework's signature, here and below
        return self.create(lambda: self._expunge(event))

    def _expunge(self, event: str) -> Response:
        _, faults = shapes.read(self.read(may_be_empty=True), NOTHING)
        if faults:
            raise Invalid(*faults)
        return _begun(expunges.expunge_event(event=event, actor=self.actor, now=self.now))


class ExpungeAccountView(ProviderView):
    """`POST /merchants/{id or reference}/expunge`."""

    def post(self, request: Request, merchant: str) -> Response:  # noqa: ARG002
        return self.create(lambda: self._expunge(merchant))

    def _expunge(self, merchant: str) -> Response:
        owner = merchants.get(merchant)
        values, faults = shapes.read(self.read(), ACCOUNT, required=("account",))
        if faults:
            raise Invalid(*faults)
        return _begun(
            expunges.expunge_account(merchant=owner, account=values["account"], actor=self.actor, now=self.now)
        )


class ExpungesView(ProviderView):
    """`GET /expunges`, newest first."""

    def get(self, request: Request) -> Response:
        rows = selectors.every()
        return Response(pagination.page(rows, query=request.query_params, scope="expunges", show=_represent_all))


class ExpungeView(ProviderView):
    """`GET /expunges/{id}`."""

    def get(self, request: Request, expunge: str) -> Response:  # noqa: ARG002
        return Response(represent(selectors.get(_expunge_id(expunge))))


def _begun(row: Expunge) -> Response:
    return Response(represent(row), status=202, headers={"Location": f"/api/v2/expunges/{row.public_id}"})


def represent(row: Expunge) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "merchant": show(Prefix.MERCHANT, row.merchant_id),
        "event": None if row.event_id is None else show(Prefix.EVENT, row.event_id),
        "account": row.account,
        "status": row.status,
        "events_expunged": row.expunged,
        "events_in_flight": len(row.waiting),
        "deliveries_cancelled": row.cancelled,
        "progress": round(selectors.progress(row), 3),
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }


def _represent_all(rows: Collection[Expunge]) -> list[dict[str, Any]]:
    return [represent(row) for row in rows]


def _expunge_id(text: str) -> UUID:
    try:
        return parse(Prefix.EXPUNGE, text)
    except InvalidId:
        raise NotFound("There is no such expunge.") from None
