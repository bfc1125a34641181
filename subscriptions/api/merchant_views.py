"""The merchant routes below /api/v2/webhooks that concern configuration, endpoints and secrets."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.api import pagination, representations
from subscriptions.api.base import MerchantView
from subscriptions.api.etags import etag
from subscriptions.errors import Invalid, NotFound
from subscriptions.models import Endpoint
from subscriptions.selectors import endpoints as endpoint_selectors
from subscriptions.selectors import event_types as event_type_selectors
from subscriptions.services import endpoint_rules, endpoints, primary, shapes, signing_secrets

NO_STORE = {"Cache-Control": "no-store"}
LONGEST_OVERLAP_S = 604_800
DEFAULT_OVERLAP_S = 86_400
# A week and a day, as api.md says.

ROTATION: shapes.Shape = {
    "secret": endpoint_rules.check_secret,
    "overlap_seconds": shapes.whole(least=0, most=LONGEST_OVERLAP_S),
}


def endpoint_id(text: str) -> UUID:
    """The id in a path. Raises NotFound for what is no endpoint's id."""
    try:
        return parse(Prefix.ENDPOINT, text)
    except InvalidId:
        raise NotFound("There is no such endpoint.") from None


class ConfigView(MerchantView):
    """/config: the merchant's primary endpoint."""

    def get(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature, here and below
        row = endpoint_selectors.find_primary(self.merchant)
        if row is None:
            raise NotFound(primary.NOT_SET)
        return _config(row)

    def put(self, request: Request) -> Response:  # noqa: ARG002
        changed = primary.put(
            merchant=self.merchant, data=self.read(), now=self.now, actor=self.actor, expected=self.versions()
        )
        return _config(changed.endpoint, is_auth_reset=changed.is_auth_reset)

    def delete(self, request: Request) -> Response:  # noqa: ARG002
        primary.delete(merchant=self.merchant, now=self.now, actor=self.actor, expected=self.versions())
        return Response(status=204)


class EndpointsView(MerchantView):
    """/endpoints"""

    def get(self, request: Request) -> Response:
        return Response(
            pagination.page(
                endpoint_selectors.living(self.merchant),
                query=request.query_params,
                scope=f"endpoints:{self.merchant.id}",
                show=representations.endpoints,
            )
        )

    def post(self, request: Request) -> Response:  # noqa: ARG002
        return self.create(self._create)

    def _create(self) -> Response:
        made = endpoints.create(merchant=self.merchant, data=self.read(), now=self.now, actor=self.actor)
        shown = representations.endpoint(made.endpoint)
        if made.generated:
            shown["secret"] = made.generated
        location = f"{self.http_request.path}/{made.endpoint.public_id}"
        headers = {"ETag": etag(made.endpoint.version), "Location": location, **NO_STORE}
        return Response(shown, status=201, headers=headers)


class EndpointView(MerchantView):
    """/endpoints/{id}"""

    def get(self, request: Request, endpoint: str) -> Response:  # noqa: ARG002
        return _endpoint(endpoint_selectors.get(self.merchant, endpoint_id(endpoint)))

    def patch(self, request: Request, endpoint: str) -> Response:  # noqa: ARG002
        changed = endpoints.update(
            merchant=self.merchant,
            endpoint_id=endpoint_id(endpoint),
            data=self.read(),
            now=self.now,
            actor=self.actor,
            expected=self.versions(),
        )
        return _endpoint(changed.endpoint, is_auth_reset=changed.is_auth_reset)

    def delete(self, request: Request, endpoint: str) -> Response:  # noqa: ARG002
        endpoints.delete(
            merchant=self.merchant,
            endpoint_id=endpoint_id(endpoint),
            now=self.now,
            actor=self.actor,
            expected=self.versions(),
        )
        return Response(status=204)


class SecretView(MerchantView):
    """/endpoints/{id}/secret"""

    def get(self, request: Request, endpoint: str) -> Response:  # noqa: ARG002
        revealed = signing_secrets.reveal(
            merchant=self.merchant, endpoint_id=endpoint_id(endpoint), now=self.now, actor=self.actor
        )
        shown = {"id": revealed.row.public_id, "secret": revealed.text, "created_at": revealed.row.created_at}
        return Response(shown, headers=NO_STORE)


class RotateView(MerchantView):
    """/endpoints/{id}/secret/rotate"""

    def post(self, request: Request, endpoint: str) -> Response:  # noqa: ARG002
        return self.create(lambda: self._rotate(endpoint_id(endpoint)))

    def _rotate(self, endpoint: UUID) -> Response:
        values, faults = shapes.read(self.read(may_be_empty=True), ROTATION)
        if faults:
            raise Invalid(*faults)
        rotated = signing_secrets.rotate(
            merchant=self.merchant,
            endpoint_id=endpoint,
            text=values.get("secret"),
            overlap=timedelta(seconds=values.get("overlap_seconds", DEFAULT_OVERLAP_S)),
            now=self.now,
            actor=self.actor,
            expected=self.versions(),
        )
        shown = {
            "id": rotated.row.public_id,
            "secret": rotated.text,
            "created_at": rotated.row.created_at,
            "previous_expires_at": rotated.previous_expires_at,
        }
        return Response(shown, headers=NO_STORE)


class EventTypesView(MerchantView):
    """/event-types: the catalogue, without archived types."""

    def get(self, request: Request) -> Response:
        return Response(
            pagination.page(
                event_type_selectors.on_offer(),
                query=request.query_params,
                scope="event-types:on-offer",
                show=lambda rows: [representations.event_type(row) for row in rows],
                by="name",
            )
        )


class EventTypeView(MerchantView):
    """/event-types/{name}: one type, with a payload to try it with."""

    def get(self, request: Request, name: str) -> Response:  # noqa: ARG002
        return Response(representations.event_type_with_sample(event_type_selectors.get_on_offer(name)))


def _endpoint(row: Endpoint, *, is_auth_reset: bool = False) -> Response:
    return _versioned(representations.endpoint(row), row, is_auth_reset=is_auth_reset)


def _config(row: Endpoint, *, is_auth_reset: bool = False) -> Response:
    return _versioned(representations.config(row), row, is_auth_reset=is_auth_reset)


def _versioned(shown: dict[str, Any], row: Endpoint, *, is_auth_reset: bool) -> Response:
    """`auth_reset` tells that credentials were dropped because the URL moved to another host."""
    if is_auth_reset:
        shown["auth_reset"] = True
    return Response(shown, headers={"ETag": etag(row.version)})
