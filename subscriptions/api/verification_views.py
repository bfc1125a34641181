"""The merchant routes of an address's confirmation: a new code, and the code given back."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from subscriptions.api import representations
from subscriptions.api.base import MerchantView
from subscriptions.api.etags import etag
from subscriptions.api.merchant_views import endpoint_id
from subscriptions.errors import Invalid, NotFound
from subscriptions.models import AddressCheck, Endpoint
from subscriptions.selectors import endpoints as selectors
from subscriptions.services import address_checks, endpoint_channels, shapes

CODE_LENGTH = 32
# Of what people paste: the digits with spaces around and between them.

CONFIRMATION: shapes.Shape = {"code": shapes.line(most=CODE_LENGTH)}


class VerificationView(MerchantView):
    """/endpoints/{id}/verification: whether the owner of the address has said yes; POST sends a new code."""

    def get(self, request: Request, endpoint: str) -> Response:  # noqa: ARG002 - the framework's signature
        row = selectors.get(self.merchant, endpoint_id(endpoint))
        if not endpoint_channels.is_letter(row):
            raise NotFound("A webhook needs no verification.", code="not_for_channel")
        return Response(_state(row, AddressCheck.objects.filter(endpoint=row, expires_at__gt=self.now).first()))

    def post(self, request: Request, endpoint: str) -> Response:  # noqa: ARG002
        return self.create(lambda: self._ask(endpoint))

    def _ask(self, endpoint: str) -> Response:
        _, faults = shapes.read(self.read(may_be_empty=True), {})
        if faults:
            raise Invalid(*faults)
        row_id = endpoint_id(endpoint)
        check = address_checks.ask_again(merchant=self.merchant, endpoint_id=row_id, now=self.now, actor=self.actor)
        return Response(_state(check.endpoint, check), status=202)


class ConfirmationView(MerchantView):
    """/endpoints/{id}/verification/confirm"""

    def post(self, request: Request, endpoint: str) -> Response:  # noqa: ARG002
        """Not by way of `create`: a wrong code must use up its try, and that would be undone with the refusal."""
        row_id = endpoint_id(endpoint)
        # A stranger hears that there is no such endpoint before anything is said of the body.
        selectors.get(self.merchant, row_id)
        values, faults = shapes.read(self.read(), CONFIRMATION, required=("code",))
        if faults:
            raise Invalid(*faults)
        code = "".join(values["code"].split())
        row = address_checks.confirm(
            merchant=self.merchant, endpoint_id=row_id, code=code, now=self.now, actor=self.actor
        )
        return Response(representations.endpoint(row), headers={"ETag": etag(row.version)})


def _state(row: Endpoint, check: AddressCheck | None) -> dict[str, Any]:
    """`status` is `verified`, `unverified` or `unsubscribed`; the other members are those of the open question."""
    return {
        "status": "verified" if endpoint_channels.may_be_sent_to(row) else row.disabled_reason,
        "verified_at": row.verified_at,
        "sent_at": check.sent_at if check else None,
        "expires_at": check.expires_at if check else None,
        "tries_left": check.tries_left if check else None,
    }
